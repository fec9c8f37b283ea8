"""A proxy between boto3 and an S3 server that can do what networks and lesser stores do.

`rule` decides for each request what happens to it; None lets it pass::

    proxy.rule = lambda request: Answer(503, "SlowDown") if request.method == "PUT" else None
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3Request:
    """What a rule sees of one request."""

    number: int
    """From 1, over the proxy's life."""
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def lists(self) -> bool:
        """Whether it is a listing."""
        return self.method == "GET" and not self.key


@dataclass(frozen=True)
class Answer:
    """The server is not asked; this is the answer."""

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    """In place of the error's XML."""


@dataclass(frozen=True)
class Reset:
    """The connection is reset and the server not asked."""


@dataclass(frozen=True)
class LoseAnswer:
    """The server does what it is asked, and the connection is reset before its answer."""


@dataclass(frozen=True)
class Corrupt:
    """The first byte of the body arrives changed: of a PUT's, or of a GET's answer."""


@dataclass(frozen=True)
class CutShort:
    """The answer's body ends after so many bytes, with the connection, which is closed or reset."""

    after: int
    reset: bool = False


@dataclass(frozen=True)
class IgnoreCondition:
    """A store that does not know `If-None-Match` and overwrites."""


@dataclass(frozen=True)
class HideYoung:
    """A listing that lags: keys written through the proxy within the last `requests` requests are not in it."""

    requests: int


Action = Answer | Reset | LoseAnswer | Corrupt | CutShort | IgnoreCondition | HideYoung
Rule = Callable[[S3Request], Action | None]


class S3Proxy:
    """The proxy, a context manager. `client` is used for `IgnoreCondition`, whose request cannot keep its signature."""

    def __init__(self, target: str, client: S3Client) -> None:
        self.target = urlsplit(target).netloc
        self.client = client
        self.rule: Rule = lambda request: None
        self.requests: list[S3Request] = []
        self.written: dict[str, int] = {}
        """Key: number of the request that wrote it."""
        self.lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, method: str, key: str = "") -> int:
        """How many such requests were made, of any key where none is named; the write check's are left out."""
        return sum(request.method == method and (not key or request.key == key) and not request.key.endswith(".write-check")
                   for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    owner: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer's body waits 40 ms for the acknowledgement of its headers

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.owner.lock:
            request = S3Request(len(self.owner.requests) + 1, self.command, bucket, key,
                                dict(parse_qsl(parts.query, keep_blank_values=True)), headers, body)
            self.owner.requests.append(request)
        action = self.owner.rule(request)
        if isinstance(action, Reset):
            self._reset()
        elif isinstance(action, Answer):
            self._answer(action)
        elif isinstance(action, IgnoreCondition):
            self.owner.client.put_object(Bucket=bucket, Key=key, Body=body)
            self._send(200, {}, b"")
        else:
            self._forward(request, action)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - the base class's names

    def _forward(self, request: S3Request, action: LoseAnswer | Corrupt | CutShort | HideYoung | None) -> None:
        body = request.body
        if isinstance(action, Corrupt) and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        sent = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        connection = http.client.HTTPConnection(self.owner.target, timeout=30)
        try:
            connection.request(self.command, self.path, body=body, headers=sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if request.method == "PUT" and answer.status == 200:
            self.owner.written[request.key] = request.number
        if isinstance(action, LoseAnswer):
            self._reset()
            return
        if isinstance(action, HideYoung):
            content = self._without_young(content, request.number - action.requests)
        if isinstance(action, Corrupt) and not body and content:
            content = bytes([content[0] ^ 1]) + content[1:]
        cut = action.after if isinstance(action, CutShort) else None
        self._send(answer.status, dict(answer.getheaders()), content, cut)
        if isinstance(action, CutShort) and action.reset:
            self._reset()

    def _without_young(self, listing: bytes, since: int) -> bytes:
        young = {key for key, number in self.owner.written.items() if number > since}

        def contents(found: re.Match[str]) -> str:
            return "" if unquote(found[1]) in young else found[0]

        def folder(found: re.Match[str]) -> str:
            below = [key for key in self.owner.written if key.startswith(unquote(found[1]))]
            return "" if below and young.issuperset(below) else found[0]

        text = re.sub(r"<Contents>.*?<Key>(.*?)</Key>.*?</Contents>", contents, listing.decode(), flags=re.DOTALL)
        return re.sub(r"<CommonPrefixes>\s*<Prefix>(.*?)</Prefix>\s*</CommonPrefixes>", folder, text, flags=re.DOTALL).encode()

    def _answer(self, action: Answer) -> None:
        error = f"<Error><Code>{action.code}</Code><Message>{action.message}</Message></Error>" if action.code else ""
        self._send(action.status, {"Content-Type": "application/xml", **action.headers}, (action.body or error).encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), None)
        self.send_header("Content-Length", (length or "0") if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
