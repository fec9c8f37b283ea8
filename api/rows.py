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
from .json_slices import split_array, split_object
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


def decode_page(body: bytes) -> Page:
    """The page in a response's body.

    Raises:
        ResponseError: when the body is no page of the contract (HTML, cut short, rows without id or time). It is transient:
            such a body is asked for again, and never taken for the end.
    """
    try:
        page = _decode_page(body)
        raws, has_more, total = list(map(bytes, page.data)), page.has_more, page.total
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raws, has_more, total = _decode_page_slowly(body)
    decode = decode_row if b"\n" in body or b"\r" in body else _decode_line
    rows = list(map(decode, raws))
    if len({row.log_id for row in rows}) < len(rows):
        _refuse_two_under_one_id(rows)
    return Page(rows, has_more, total)


def _refuse_two_under_one_id(rows: list[Row]) -> None:
    """Rows that come twice are repeats by id and time, so two that differ would become one."""
    first: dict[tuple[int, str], Row] = {}
    for row in rows:
        if first.setdefault((row.logged_at, row.log_id), row).raw != row.raw:
            raise ResponseError("Two log rows that differ have the same `log_id` and `logged_at`.")


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
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return _decode_row_slowly(raw)


def _frame_name(trace: list[_Frame] | None) -> str:
    return f"{trace[-1].name}:{trace[-1].line_number}" if trace else ""


def _decode_page_slowly(body: bytes) -> tuple[list[bytes], bool, int | None]:
    """The same as msgspec's, slice by slice, which lets lone surrogates, deep nesting and other oddities pass."""
    try:
        members = split_object(body.decode("utf-8", "surrogatepass").lstrip("\ufeff"))
    except ValueError as error:
        raise ResponseError("The answer is no JSON object, or is cut short.") from error
    texts = {member.name: member.value_text for member in members}
    data, has_more, total = texts.get("data", ""), texts.get("has_more", ""), texts.get("total", "")
    if not data.startswith("[") or has_more not in {"true", "false"}:
        raise ResponseError("The answer is JSON, but not a page of logs: `data` or `has_more` is missing.")
    try:
        rows = split_array(data)
    except ValueError as error:  # only where it is too deep for `json` to have looked inside
        raise ResponseError("The answer's `data` is no JSON array.") from error
    return [row.encode("utf-8", "surrogatepass") for row in rows], has_more == "true", _count(total)


def _count(json_text: str) -> int | None:
    return int(json_text) if json_text.isdecimal() and len(json_text) < 20 else None


def _decode_row_slowly(raw: bytes) -> Row:
    try:
        fields = loose_fields(raw)
    except ValueError as error:
        raise ResponseError("A log row is no JSON object.") from error
    log_id, logged_at = fields.get("log_id"), fields.get("logged_at")
    if not isinstance(log_id, str) or not isinstance(logged_at, str):
        raise ResponseError("A log row has no `log_id` or no `logged_at`.")
    try:
        instant = parse_instant(logged_at)
    except ValueError as error:
        raise ResponseError("A log row's `logged_at` is not a time.") from error
    level, origin = _text(fields.get("level")), _text(fields.get("origin"))
    return Row(instant, _text(log_id), level, origin, raw, _exceptions(fields.get("exceptions")))


def loose_fields(raw: bytes) -> dict[str, Any]:
    """A row's fields as `json` decodes them; a value that is too much for it (deep nesting, long numbers) stays JSON text.

    Raises:
        ValueError: it is no JSON object.
    """
    return {member.name: _loose(member.value_text) for member in split_object(raw.decode("utf-8", "surrogatepass"))}


def _loose(json_text: str) -> Any:
    try:
        return json.loads(json_text)
    except (RecursionError, ValueError):
        return json_text


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
