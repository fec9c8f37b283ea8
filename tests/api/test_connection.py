"""What can happen on the wire, each as an error of its own."""

from __future__ import annotations

import contextlib
import gzip
import pickle
import socket
import threading
import time

import httpx
import pytest
from prefect_deepset.api import errors as e
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource

from .conftest import KEY
from .scripted import ScriptedServer, reply
from .test_credentials import jwt_key

SOURCE = LogSource("w", "p")
EMPTY = {"data": [], "has_more": False, "total": 0}


def failure(client: DeepsetClient) -> e.DeepsetError:
    """The error of one page; it names the place, shows no key, and pickles."""
    with pytest.raises(e.DeepsetError) as caught:
        client.logs_page(SOURCE, after=0)
    error = caught.value
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.args, type(again)) == (str(error), error.args, type(error))
    assert "workspace 'w', pipeline 'p'" in str(error)
    assert "k3yMaterial" not in "".join([str(error), repr(error), repr(error.__cause__)])
    return error


def test_requests_carry_key_agent_and_what_they_accept(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply(EMPTY))
    client.logs_page(SOURCE)
    headers = server.asked[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("prefect-deepset/")
    assert "cookie" not in headers


@pytest.mark.parametrize(("raw", "kind"), [
    (b"", e.TransportError),
    (b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"data": [', e.TransportError),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"dat", e.TransportError),
    (b"not http at all\r\n\r\n", e.TransportError),
    (reply(b"plain", Content_Encoding="gzip"), e.ResponseError),
    (reply(b"<html><h1>Log in</h1></html>", kind="text/html"), e.ResponseError),
    (reply(b'{"data": [{"log_id": "a"', kind="application/json"), e.ResponseError),
    (reply({"data": [{"log_id": "a"}], "has_more": False}), e.ResponseError),
    (reply({"items": []}), e.ResponseError), (reply([]), e.ResponseError), (reply("text"), e.ResponseError),
    (reply(b""), e.ResponseError), (reply(b"", 204), e.ResponseError), (reply(b"", 304), e.ResponseError),
    (reply(b"\xff\xfe\x00"), e.ResponseError),
])
def test_what_is_no_page_is_worth_asking_again_and_never_an_end(
    server: ScriptedServer, client: DeepsetClient, raw: bytes, kind: type[e.DeepsetError]
) -> None:
    server.answers(raw)
    error = failure(client)
    assert type(error) is kind
    assert error.transient
    assert len(server.asked) == 1


def test_a_compressed_page_is_read(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply(gzip.compress(b'{"data":[],"has_more":false,"total":3}'), Content_Encoding="gzip"))
    assert client.logs_page(SOURCE).total == 3


@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 502, 503, 504])
def test_a_server_that_echoes_the_key_does_not_make_it_show(server: ScriptedServer, client: DeepsetClient, status: int) -> None:
    body = f"<p>Bad key <b>{KEY}</b> ({KEY[:18]}), Authorization: Bearer {KEY}</p>"
    server.answers(reply(body.encode(), status, "text/html"))
    error = failure(client)
    assert isinstance(error, e.StatusError)
    assert error.status == status
    assert "Bad key [hidden]" in str(error)


def test_retry_after_comes_with_the_error(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply(b"", 429, Retry_After="17"))
    error = failure(client)
    assert isinstance(error, e.RateLimitedError)
    assert error.retry_after == 17


def test_an_expired_key_is_named_as_expired(server: ScriptedServer) -> None:
    server.answers(reply({"detail": "Unauthorized"}, 401))
    for exp, said in ((1_767_225_600, "expired on 2026-01-01T00:00:00Z"), (1_767_225_999, "Unauthorized")):
        with DeepsetClient(jwt_key({"exp": exp}), server.url, clock=lambda: 1_767_225_700.0) as client:
            with pytest.raises(e.AuthenticationError, match=said) as caught:
                client.logs_page(SOURCE)
            assert caught.value.status == 401


def test_nobody_listening_is_named_with_the_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with DeepsetClient(KEY, f"http://127.0.0.1:{port}") as client:
        error = failure(client)
    assert isinstance(error, e.TransportError)
    assert f"127.0.0.1:{port} cannot be reached" in str(error)


def test_a_host_that_does_not_speak_tls_gets_no_key() -> None:
    heard: list[bytes] = []

    def answer_plainly(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(reply(EMPTY))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_plainly, args=(listener,))
        thread.start()
        with DeepsetClient(KEY, f"https://127.0.0.1:{listener.getsockname()[1]}") as client:
            error = failure(client)
        thread.join()
    assert isinstance(error, e.TransportError)
    assert "SSL_CERT_FILE" in error.advice
    assert b"k3y" not in heard[0]


@pytest.mark.parametrize(("status", "kind"), [(200, e.ReadTimeoutError), (503, e.ServerError)])
def test_an_answer_that_only_trickles_is_given_up(status: int, kind: type[e.DeepsetError]) -> None:
    given_up = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            head, _, body = reply(b'{"data": [], "has_more": false, "total": 0}' + b" " * 40, status).partition(b"\r\n\r\n")
            connection.sendall(head + b"\r\n\r\n")
            for byte in body:
                connection.sendall(bytes([byte]))
                if given_up.wait(0.05):
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        began = time.monotonic()
        try:
            with DeepsetClient(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout=0.2) as client:
                error = failure(client)
            took = time.monotonic() - began
        finally:
            given_up.set()
            thread.join()
    assert type(error) is kind
    assert error.transient
    assert took < 3  # the whole body takes four


@pytest.mark.parametrize(("raised", "kind", "said"), [
    (httpx.ReadTimeout("x"), e.ReadTimeoutError, "200 seconds"),
    (httpx.ConnectTimeout("x"), e.TransportError, "10 seconds"),
    (httpx.PoolTimeout(""), e.TransportError, "PoolTimeout"),
    (httpx.ConnectError("[Errno -2] Name or service not known"), e.TransportError, "Name or service not known"),
    (httpx.ProxyError(f"407 {KEY}"), e.TransportError, "407"),
    (httpx.RemoteProtocolError("Server disconnected"), e.TransportError, "disconnected"),
])
def test_each_failure_of_the_transport_is_an_error_of_ours(
    raised: httpx.HTTPError, kind: type[e.DeepsetError], said: str
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        assert request.extensions["timeout"] == {"connect": 10.0, "read": 200.0, "write": 200.0, "pool": 200.0}
        raise raised

    with DeepsetClient(KEY, "https://api.example", transport=httpx.MockTransport(fail)) as client:
        error = failure(client)
    assert type(error) is kind
    assert error.transient
    assert said in str(error)
    assert "api.example" in str(error)


def test_a_redirect_on_the_same_host_is_followed(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply(b"", 307, Location="/moved?x=1#y"), reply(EMPTY))
    client.logs_page(SOURCE)
    assert [asked.target for asked in server.asked][1] == "/moved?x=1"
    assert server.asked[1].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("place", [
    "http://localhost:{port}/x", "https://evil.example/x", "//evil.example/x", "http://127.0.0.1:1/x",
    "http://127.0.0.1@evil.example/x", "ftp://127.0.0.1/x",
])
def test_the_key_does_not_follow_a_redirect_elsewhere(server: ScriptedServer, client: DeepsetClient, place: str) -> None:
    server.answers(reply(b"", 302, Location=place.format(port=server.port)))
    error = failure(client)
    assert type(error) is e.RedirectError
    assert not error.transient
    assert len(server.asked) == 1


def test_a_redirect_that_spells_the_key_in_its_host_does_not_show_it(server: ScriptedServer, client: DeepsetClient) -> None:
    server.answers(reply(b"", 302, Location=f"https://{KEY}.example/x"))
    error = failure(client)
    assert type(error) is e.RedirectError
    assert "https://[hidden].example" in str(error)


@pytest.mark.parametrize("url", ["https://{key}", "https://host.example/{key}", "{key}.example"])
def test_a_base_url_that_holds_the_key_is_refused_without_being_shown(url: str) -> None:
    key = "sk-OpaqueKeyOfSomePlatform"
    with pytest.raises(e.InvalidInputError, match="holds the API key") as caught:
        DeepsetClient(key, url.format(key=key.lower()))
    assert "opaque" not in str(caught.value).lower()


def test_a_redirect_down_to_plain_http_is_not_followed() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(301, headers={"Location": "http://api.example/x"})

    with DeepsetClient(KEY, "https://api.example", transport=httpx.MockTransport(answer)) as client:
        assert type(failure(client)) is e.RedirectError
    assert len(seen) == 1


@pytest.mark.parametrize("location", ["/again", "", "http://[bad"])
def test_redirects_that_lead_nowhere_end(server: ScriptedServer, client: DeepsetClient, location: str) -> None:
    server.answers(reply(b"", 302, Location=location))
    assert type(failure(client)) is e.RedirectError
    assert len(server.asked) <= 6


def test_the_clock_s_skew_is_told_by_the_date_header(server: ScriptedServer) -> None:
    server.answers(reply(EMPTY, Date="Thu, 01 Jan 2026 00:00:00 GMT"), reply(EMPTY, Date="nonsense"), reply(b"", 500, Date=""))
    with DeepsetClient(KEY, server.url, clock=lambda: 1_767_225_600.5 + 400) as client:
        assert client.clock_skew is None
        client.logs_page(SOURCE)
        assert client.clock_skew == 400
        client.logs_page(SOURCE)
        assert client.clock_skew is None
        failure(client)
        assert client.clock_skew is None


def test_a_closed_client_says_so(server: ScriptedServer, client: DeepsetClient) -> None:
    client.close()
    assert "closed" in str(failure(client))


def test_one_client_serves_many_threads_over_kept_connections(server: ScriptedServer) -> None:
    server.answers(reply(EMPTY))
    with DeepsetClient(KEY, server.url, max_connections=4) as client:
        threads = [threading.Thread(target=lambda: [client.logs_page(SOURCE) for _ in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.asked) == 160
    assert server.connections <= 4


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:pass@proxy")
    with pytest.raises(e.InvalidInputError, match="proxy") as caught:
        DeepsetClient(KEY)
    assert "pass" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "api.cloud.deepset.ai")
    DeepsetClient(KEY).close()
