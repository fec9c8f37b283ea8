"""Log rows as the bytes that came, with the few fields that the work needs decoded.

Rows are never rebuilt from a model: unknown fields, integers beyond 64 bits, lone surrogates and the order of keys all
survive because nobody touches them. A raw line break can only stand between tokens of valid JSON, so turning it into a
space changes nothing and makes every row one line.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, cast

import msgspec

from .errors import ResponseError
from .times import parse_instant

ERROR_LEVELS = frozenset({"error", "critical", "fatal"})
"""Levels that count as errors, compared in lower case."""


class Row(msgspec.Struct, order=True, gc=False):
    """One log row; it sorts by (`logged_at`, `log_id`), the order inside an archive's part."""

    logged_at: int
    """Nanoseconds since 1970, UTC."""
    log_id: str
    level: str
    """As it came, any case; empty when the row has none."""
    origin: str
    raw: bytes
    """The row's JSON on one line, without the line's end."""
    exceptions: tuple[tuple[str, str], ...] = ()
    """(type, innermost frame as ``module:line`` or "") of each exception in the row."""


class Page(NamedTuple):
    """One answer of the logs endpoint, in the order it came."""

    rows: list[Row]
    has_more: bool | None
    """None where the answer does not say (CSV)."""
    total: int | None


class _RawPage(msgspec.Struct, gc=False):
    data: list[msgspec.Raw]
    has_more: bool
    total: int | None = None


class _Frame(msgspec.Struct):
    filename: str = ""
    line_number: int = 0
    name: str = ""


class _Exception(msgspec.Struct):
    type: str = ""
    trace: list[_Frame] | None = None


class _Head(msgspec.Struct, gc=False):
    log_id: str
    logged_at: str
    level: str
    origin: str
    exceptions: list[_Exception] | None = None


_decode_page = msgspec.json.Decoder(_RawPage).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_scan_json = json.JSONDecoder().raw_decode


def decode_page(body: bytes) -> Page:
    """The page in a response's body.

    Raises:
        ResponseError: when the body is no page of the contract (HTML, cut short, rows without id or time). It is transient:
            such a body is asked for again, and never taken for the end.
    """
    try:
        page = _decode_page(body)
        raws, has_more, total = list(map(bytes, page.data)), page.has_more, page.total
    except (msgspec.DecodeError, UnicodeDecodeError):
        raws, has_more, total = _decode_page_slowly(body)
    if b"\n" in body or b"\r" in body:
        return Page([decode_row(raw) for raw in raws], has_more, total)
    return Page([_decode_line(raw) for raw in raws], has_more, total)


def decode_row(raw: bytes) -> Row:
    """The row in one JSON object (one element of a page, or one line of an archive).

    Raises:
        ResponseError: without a usable `log_id` or `logged_at`.
    """
    if b"\n" in raw or b"\r" in raw:
        raw = raw.replace(b"\r", b" ").replace(b"\n", b" ")
    return _decode_line(raw)


def _decode_line(raw: bytes) -> Row:
    try:
        head = _decode_head(raw)
        if not head.exceptions:
            return Row(parse_instant(head.logged_at), head.log_id, head.level, head.origin, raw)
        exceptions = tuple((e.type, _frame_name(e.trace)) for e in head.exceptions)
        return Row(parse_instant(head.logged_at), head.log_id, head.level, head.origin, raw, exceptions)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return _decode_row_slowly(raw)


def _frame_name(trace: list[_Frame] | None) -> str:
    return f"{trace[-1].name}:{trace[-1].line_number}" if trace else ""


def _decode_page_slowly(body: bytes) -> tuple[list[bytes], bool, int | None]:
    """The same as msgspec's, by `json`, which lets lone surrogates and other oddities of strings pass."""
    try:
        text = body.decode("utf-8", "surrogatepass").lstrip("\ufeff")
        page: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResponseError("The answer is not JSON, or is cut short.") from error
    if not isinstance(page, dict):
        raise ResponseError("The answer is JSON, but not a page of logs.")
    fields = cast("dict[str, Any]", page)
    if not isinstance(fields.get("data"), list) or not isinstance(fields.get("has_more"), bool):
        raise ResponseError("The answer is JSON, but not a page of logs: `data` or `has_more` is missing.")
    total = fields.get("total")
    return _slices(text), fields["has_more"], total if isinstance(total, int) else None


def _slices(text: str) -> list[bytes]:
    """The elements of the top-level `data` array as the bytes that came; `text` is known to be valid JSON."""
    position = text.index("{") + 1
    rows: list[bytes] = []
    while True:
        position = _skip(text, position, " \t\r\n,")
        if text[position] == "}":
            return rows
        key, position = _scan_json(text, position)
        position = _skip(text, position, " \t\r\n:")
        if key != "data":
            _, position = _scan_json(text, position)
            continue
        rows, position = [], position + 1
        while text[position := _skip(text, position, " \t\r\n,")] != "]":
            _, end = _scan_json(text, position)
            rows.append(text[position:end].encode("utf-8", "surrogatepass"))
            position = end
        position += 1


def _skip(text: str, position: int, characters: str) -> int:
    while text[position] in characters:
        position += 1
    return position


def _decode_row_slowly(raw: bytes) -> Row:
    try:
        row: object = json.loads(raw.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ResponseError("A log row is not JSON.") from error
    if not isinstance(row, dict):
        raise ResponseError("A log row is not a JSON object.")
    fields = cast("dict[str, Any]", row)
    log_id, logged_at = fields.get("log_id"), fields.get("logged_at")
    if not isinstance(log_id, str) or not isinstance(logged_at, str):
        raise ResponseError("A log row has no `log_id` or no `logged_at`.")
    try:
        instant = parse_instant(logged_at)
    except ValueError as error:
        raise ResponseError("A log row's `logged_at` is not a time.") from error
    level, origin = _text(fields.get("level")), _text(fields.get("origin"))
    return Row(instant, _text(log_id), level, origin, raw, _exceptions(fields.get("exceptions")))


def _text(value: object) -> str:
    """Any JSON value as text that can be encoded: a lone surrogate is shown escaped."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "backslashreplace").decode()


def _exceptions(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        return ()
    found: list[tuple[str, str]] = []
    for item in cast("list[object]", value):
        if not isinstance(item, dict):
            continue
        exception = cast("dict[str, Any]", item)
        trace = exception.get("trace")
        frames = cast("list[object]", trace) if isinstance(trace, list) else []
        place = ""
        if frames and isinstance(frames[-1], dict):
            frame = cast("dict[str, Any]", frames[-1])
            place = f"{_text(frame.get('name'))}:{_text(frame.get('line_number'))}"
        found.append((_text(exception.get("type")), place))
    return tuple(found)
