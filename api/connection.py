"""One host, one key, plain requests: what goes over the wire and how its failures are called. No retries, no meaning.

httpx's transport is used directly: its client adds cookies, netrc, redirects and logging, none of which is wanted here, and a
third of the CPU of a page.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import httpx

from .credentials import Secret, clean_key, expiry, redactor
from .errors import ApiError, InvalidInputError, ReadTimeoutError, RedirectError, ResponseError, TransportError
from .lanes import Lanes
from .statuses import error_for_status, http_date, shown_instead
from .times import SECOND, format_instant
from .urls import ApiUrl, is_loopback, parse_base_url

CONNECT_TIMEOUT: Final = 10.0
READ_TIMEOUT: Final = 200.0
"""Seconds without a byte. The server gives up at about 180 and says so with a 504, which a shorter clock would never see."""
_WHOLE = 4
"""A whole JSON body gets so many times the read timeout, whose clock starts anew with each byte."""
_MAX_REDIRECTS = 5
_KEY_LENGTH = 8
"""A shorter text is no key that anybody has; it may well be part of an address."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ERROR_BODY = 64 * 1024


def _user_agent() -> str:
    try:
        return f"prefect-deepset/{version('prefect-deepset')}"
    except PackageNotFoundError:  # used from a source tree
        return "prefect-deepset"


_USER_AGENT = _user_agent()


class Connection:
    """Requests to one API with one key. Thread-safe.

    Proxies (``HTTPS_PROXY``, ``NO_PROXY``) and private certificate authorities (``SSL_CERT_FILE``, ``SSL_CERT_DIR``) come from
    the environment.

    Args:
        api_key: as in `clean_key`.
        base_url: as in `parse_base_url`.
        transport: what carries the requests instead of the network.
        max_connections: how many requests for JSON can be under way at once; a further one waits.
        clock: seconds since 1970 by this machine.
        read_timeout: seconds without a byte after which a request is given up; a whole JSON answer may take four times as long.
        gate: entered around every request, such as a rate limit that others share; None for none.

    Raises:
        InvalidInputError: a key or URL that cannot be used.
    """

    def __init__(self, api_key: str | Secret, base_url: str, *, transport: httpx.BaseTransport | None = None,
                 max_connections: int = 32, clock: Callable[[], float] = time.time, read_timeout: float = READ_TIMEOUT,
                 gate: Callable[[], AbstractContextManager[object]] | None = None) -> None:
        if max_connections < 1:
            raise InvalidInputError(f"`max_connections` is {max_connections}.", "Give at least 1.")
        key = clean_key(api_key)
        if len(key) >= _KEY_LENGTH and key.lower() in str(base_url).lower():
            raise InvalidInputError("The base URL holds the API key.", "Give the API's address alone.")
        self.url: Final[ApiUrl] = parse_base_url(base_url)
        self.redact: Final = redactor(key)
        # Tells keys apart and gives nothing away: a spool on disk is found by it.
        self.key_hash: Final = hashlib.sha256(b"prefect-deepset\x00" + key.encode()).hexdigest()[:16]
        self._expiry: Final = expiry(key)
        self._clock: Final = clock
        self._gate: Final = gate or nullcontext
        self._read_timeout: Final = read_timeout
        self._timeout: Final = httpx.Timeout(read_timeout, connect=CONNECT_TIMEOUT).as_dict()
        self._json: Final = _headers(key, "application/json")
        self._csv: Final = _headers(key, "text/csv")
        self._transport: Final = transport if transport is not None else _make_transport(self.url)
        # Not the pool's own limit: with more requests than connections httpcore may close one that another thread just got.
        self._places: Final = threading.BoundedSemaphore(max_connections)
        self._heard: tuple[str, float] | None = None
        self._closed = False
        self.sent = 0
        """Requests sent so far, redirects included; exact while one thread asks."""

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._transport.close()

    @property
    def clock_skew(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the API's latest `Date`; None before the first one."""
        if self._heard is None:
            return None
        text, heard_at = self._heard
        server = http_date(text)
        if server is None:
            return None
        return heard_at - (server + 0.5)  # a `Date` has its fraction cut: half a second on average

    def get(self, target: str, where: Callable[[], str]) -> bytes:
        """The body of a 200 to ``GET <root><target>``, asked for as JSON, in one request (more only where it is redirected).

        Args:
            target: path below ``/api/v1`` with its query, percent-encoded.
            where: gives the place that errors name.

        Raises:
            ApiError: the one that the failure is.
        """
        with self._gate(), self._places, self._answer(target, self._json, where) as response:
            return self._body(response, where)

    @contextmanager
    def stream_csv(self, target: str, where: Callable[[], str]) -> Generator[Iterator[bytes]]:
        """The body of a 200 to ``GET <root><target>``, asked for as CSV, in pieces as they come.

        Raises:
            ResponseError: it is labelled as something other than CSV or plain text.
            ApiError: as `get`, also while the pieces are read.
        """
        with self._gate(), self._answer(target, self._csv, where) as response:
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind not in {"text/csv", "application/csv", "text/plain", "application/octet-stream", ""}:
                said = shown_instead(self._body(response, where), self.redact)
                raise ResponseError(f"Asked for CSV, the API sent {kind[:60]!r}. {said}".rstrip(), "It is worth asking again.",
                                    where())
            yield self._pieces(response, where)

    @contextmanager
    def _answer(self, target: str, headers: httpx.Headers, where: Callable[[], str]) -> Generator[httpx.Response]:
        """The open 200 response behind any redirects."""
        if self._closed:
            raise InvalidInputError("The client is closed.", "Make a new one.", where())
        url = self.url.root + target
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(url, headers, where)
            try:
                if response.status_code == 200:
                    yield response
                    return
                if response.status_code not in _REDIRECTS:
                    raise self._status_error(response, where)
                url = self._redirected(response, url, where)
            finally:
                response.close()
        raise RedirectError(f"The API redirected more than {_MAX_REDIRECTS} times.",
                            "Check the base URL and what stands between here and the API.", where())

    def _send(self, url: str, headers: httpx.Headers, where: Callable[[], str]) -> httpx.Response:
        try:
            request = httpx.Request("GET", url, headers=headers, extensions={"timeout": self._timeout})
        except httpx.InvalidURL as error:
            raise InvalidInputError(f"No URL can be made of this request: {self.redact(str(error))}.",
                                    "Shorten the filter or the names.", where()) from error
        self.sent += 1
        try:
            response = self._transport.handle_request(request)
        except httpx.HTTPError as error:
            raise self._transport_error(error, where) from None  # its text is in ours, without the key
        date = response.headers.get("Date")
        if date is not None:
            self._heard = (date, self._clock())
        return response

    def _body(self, response: httpx.Response, where: Callable[[], str]) -> bytes:
        longest = _WHOLE * self._read_timeout
        until, pieces = time.monotonic() + longest, list[bytes]()
        for piece in self._pieces(response, where):
            pieces.append(piece)
            if time.monotonic() > until:
                raise ReadTimeoutError(f"{self.url.host} began an answer that was not whole after {longest:.0f} seconds.",
                                       "It is worth asking again, for fewer rows.", where())
        return b"".join(pieces)

    def _pieces(self, response: httpx.Response, where: Callable[[], str]) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._transport_error(error, where) from None  # its text is in ours, without the key

    def _status_error(self, response: httpx.Response, where: Callable[[], str]) -> ApiError:
        body, until = bytearray(), time.monotonic() + self._read_timeout
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) >= _ERROR_BODY or time.monotonic() > until:
                    break
        except httpx.HTTPError:
            pass  # the status says enough
        status, now = response.status_code, self._clock()
        if 200 <= status <= 399:
            said = shown_instead(bytes(body), self.redact)
            return ResponseError(f"The API answered {status}, which is no answer to this request. {said}".rstrip(),
                                 "It is worth asking again.", where())
        error = error_for_status(status, response.headers, bytes(body), where(), self.redact, now)
        if status == 401 and self._expiry is not None and self._expiry.timestamp() <= now:
            when = format_instant(int(self._expiry.timestamp()) * SECOND)
            return type(error)(f"The API key expired on {when} (the API answered 401).",
                               "Make a new key and put it where this one is kept.", where(), status, error.retry_after)
        return error

    def _redirected(self, response: httpx.Response, url: str, where: Callable[[], str]) -> str:
        """Where a redirect leads, when the key may follow it there: same host, same port, never down to plain http."""
        try:
            here = httpx.URL(url)
            there = here.join(response.headers["Location"])
        except (KeyError, httpx.InvalidURL) as error:
            raise RedirectError("The API redirected to nowhere, or to what is no URL.", "Check the base URL.",
                                where()) from error
        upgraded = here.scheme == "http" and there.scheme == "https"
        if there.host != here.host or ((there.scheme, there.port) != (here.scheme, here.port) and not upgraded):
            place = self.redact(f"{there.scheme}://{there.netloc.decode('ascii', 'replace').rpartition('@')[2]}"[:200])
            raise RedirectError(f"The API redirected to {place}; the key was not sent there.",
                                "If that is the API's real address, make it the base URL.", where())
        return str(there.copy_with(username=None, password=None, fragment=None))

    def _transport_error(self, error: httpx.HTTPError, where: Callable[[], str]) -> ApiError:
        host = self.url.host
        if isinstance(error, httpx.ReadTimeout):
            return ReadTimeoutError(f"{host} took the request and was silent for {self._read_timeout:.0f} seconds.",
                                    "It is worth asking again, for fewer rows.", where())
        if isinstance(error, httpx.DecodingError):
            return ResponseError(f"The answer of {host} is not compressed as it says.", "It is worth asking again.", where())
        said = self.redact(str(error)).rstrip(".")[:200] or type(error).__name__
        if isinstance(error, httpx.ConnectTimeout):
            return TransportError(f"{host} did not take a connection within {CONNECT_TIMEOUT:.0f} seconds.",
                                  "Check the base URL, the network and the proxy.", where())
        if isinstance(error, httpx.ConnectError):
            tls = isinstance(_root(error), ssl.SSLError)
            advice = ("Check the certificate; a private authority's goes into SSL_CERT_FILE." if tls else
                      "Check the base URL, the network and the proxy.")
            return TransportError(f"{host} cannot be reached: {said}.", advice, where())
        return TransportError(f"The connection to {host} failed: {said}.", "It is worth asking again.", where())


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _headers(key: str, accept: str) -> httpx.Headers:
    return httpx.Headers({"Authorization": f"Bearer {key}", "Accept": accept, "Accept-Encoding": "gzip, deflate",
                          "Connection": "keep-alive", "User-Agent": _USER_AGENT})


def _make_transport(url: ApiUrl) -> httpx.BaseTransport:
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
    proxy, trusted = None, httpx.create_ssl_context()
    if not is_loopback(url.hostname) and not urllib.request.proxy_bypass(url.hostname):
        proxies = urllib.request.getproxies()
        proxy = proxies.get(url.scheme) or proxies.get("all")
    try:
        return Lanes(lambda: httpx.HTTPTransport(verify=trusted, limits=limits, proxy=proxy))
    except (ValueError, ImportError) as error:  # a scheme httpx does not know; SOCKS without its package
        raise InvalidInputError("The proxy in the environment cannot be used.",
                                "Correct HTTPS_PROXY, or name the API's host in NO_PROXY.") from error
