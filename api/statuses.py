"""From an HTTP status to an error: the one place that decides."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, cast

from .errors import (
    AuthenticationError,
    BadRequestError,
    GatewayTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    StatusError,
    UnprocessableError,
)

_SHOWN = 200
"""Characters of a body that an error shows."""
_READ = 20_000
"""Bytes of a body that are looked at."""

_KNOWN: dict[int, tuple[type[StatusError], str]] = {
    400: (BadRequestError, "Check the filter and the times."),
    401: (AuthenticationError, "Check the API key and that it belongs to this host; make a new one if it was revoked."),
    403: (PermissionDeniedError, "Ask an admin of the workspace to let this key's user read it."),
    404: (NotFoundError, "Check the names of workspace and pipeline."),
    408: (ServerError, "It is worth asking again."),
    422: (UnprocessableError, "Check the parameters."),
    425: (ServerError, "It is worth asking again."),
    429: (RateLimitedError, "Ask less often: lower max_concurrency."),
    504: (GatewayTimeoutError, "It is worth asking again, for fewer rows."),
    524: (GatewayTimeoutError, "It is worth asking again, for fewer rows."),
}
_FINAL_SERVER_ERRORS = frozenset({501, 505, 506, 508, 510, 511})


def error_for_status(status: int, headers: Mapping[str, str], body: bytes, where: str,
                     redact: Callable[[str], str], now: float) -> StatusError:
    """The error that an answer with any status but 200 is.

    Transient, so worth asking again: 408, 425, 429, 500, 502, 503, 504 (with its twin 524 a `GatewayTimeoutError`, which a
    smaller page may cure) and every 5xx that a proxy may invent. Final: all else, also the 5xx that say "never" (501, 505,
    506, 508, 510, 511).

    Args:
        status: the HTTP status.
        headers: the answer's, looked up in any case; `Retry-After` is read in both forms.
        body: as it came, complete or its beginning; a short piece is shown.
        where: the place, as in `DeepsetError`.
        redact: hides the key in a text.
        now: seconds since 1970 by this machine, for a `Retry-After` that is a date and comes without a `Date`.
    """
    kind, advice = _KNOWN.get(status, (StatusError, "Check the base URL and what stands between here and the API."))
    if status not in _KNOWN and 500 <= status <= 599 and status not in _FINAL_SERVER_ERRORS:
        kind, advice = ServerError, "It is worth asking again."
    said = shown(body, redact)
    problem = f"The API answered {status}{f': {said}' if said else '.'}"
    error = kind(problem, advice, where, status, retry_after(headers, now))
    error.web_page = body.lstrip().startswith(b"<")
    return error


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by the `Retry-After` header, a number or a date (held against the answer's own `Date`); None without."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until = http_date(text)
        if until is None:
            return None
        seconds = until - (http_date(headers.get("Date", "")) or now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def http_date(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def shown(body: bytes, redact: Callable[[str], str]) -> str:
    """What a person can read of a body: at most 200 characters on one line, no markup, no key."""
    text = body[:_READ].decode("utf-8", "replace")
    try:
        said = _message(json.loads(text)) if text.lstrip()[:1] in {"{", "[", '"'} else None
    except (ValueError, RecursionError):
        said = None
    text = redact(_plain(said if said is not None else text))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def shown_instead(body: bytes, redact: Callable[[str], str]) -> str:
    """A sentence on a body that came instead of logs: a proxy's page is quoted; what may hold rows is not, since errors are
    logged and stored where no redaction of rows reaches."""
    if not body.lstrip().startswith(b"<") and any(sign in body for sign in (b"{", b"log_id")):
        return f"Its {len(body)} bytes may hold rows and are not shown."
    said = shown(body, redact)
    return f"It begins: {said}" if said else ""


def _message(body: object) -> str | None:
    """The words in the JSON bodies seen: ``{"errors": [...]}``, ``{"detail": ...}``, ``{"message", "details"}``."""
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return "; ".join(filter(None, (_message(item) for item in cast("list[object]", body)))) or None
    if not isinstance(body, dict):
        return None if body is None else str(body)
    fields = cast("dict[str, Any]", body)
    if isinstance(fields.get("msg"), str):  # an element of a validation error's detail
        loc = fields.get("loc")
        place = ".".join(str(part) for part in cast("list[object]", loc)) if isinstance(loc, list) else ""
        return f"{place}: {fields['msg']}" if place else fields["msg"]
    parts = [_message(fields[name]) for name in ("errors", "detail", "message", "details", "error") if name in fields]
    return ": ".join(part for part in parts if part) or None


def _plain(text: str) -> str:
    text = re.sub(r"(?is)<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", " ", text)
    text = html.unescape(re.sub(r"</?[A-Za-z!?][^<>]*(?:>|$)", " ", text))
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
