"""The columns of the tables beside jsonl, and how a row becomes one line of them without losing anything.

Columns never change with the data. What a column cannot hold exactly is shown in it as well as it can be and carried
exactly in `unknown_fields` under its own name: a message that is no string, half a surrogate pair, nanoseconds.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import msgspec

from ...api.json_slices import escape_surrogates, json_string, split_object
from ...api.rows import Row
from ...api.times import MICROSECOND

RESTORE = "Restore the object from a version or backup; its rows are whole in the jsonl part of the same number."
"""What to do about a table that cannot be read."""


class Record(NamedTuple):
    """One line of a table; `Record._fields` are the columns' names, in order."""

    log_id: str
    logged_at: int
    """Nanoseconds since 1970 in UTC, cut to whole microseconds: what the tables' timestamps hold."""
    level: str
    """Empty when the row has none; so are `origin` and `message`."""
    origin: str
    message: str
    exceptions: str | None
    """JSON text; None when null or absent. So are `extra_fields` and `unknown_fields`."""
    extra_fields: str | None
    unknown_fields: str | None
    """A JSON object of every field that is not in the contract, and of every one that its column cannot hold exactly."""


_TEXT_FIELDS = ("log_id", "level", "origin", "message")
_JSON_FIELDS = ("exceptions", "extra_fields")

_split_quickly = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def to_record(row: Row) -> Record:
    """The row as one line of a table. Of a field that stands twice the last one counts."""
    fields = _fields(row.raw)
    carried: dict[str, str] = {}
    shown = {"level": row.level, "origin": row.origin, "log_id": row.log_id, "message": ""}
    for name in _TEXT_FIELDS:
        text = fields.pop(name, "null")
        value = _plain_string(text)
        if value is None:
            carried[name] = text
            value = shown[name] or _shown(text)
        shown[name] = value
    json_texts = {name: None if (text := fields.pop(name, "null")) == "null" else text for name in _JSON_FIELDS}
    if not row.logged_at % MICROSECOND:
        fields.pop("logged_at", None)
    fields.update(carried)
    unknown = "{" + ", ".join(f"{json_string(name)}: {text}" for name, text in fields.items()) + "}" if fields else None
    instant = row.logged_at - row.logged_at % MICROSECOND
    return Record(shown["log_id"], instant, shown["level"], shown["origin"], shown["message"],
                  json_texts["exceptions"], json_texts["extra_fields"], unknown)


def _fields(raw: bytes) -> dict[str, str]:
    """JSON text of every field of the row, by name."""
    try:
        return {name: bytes(value).decode() for name, value in _split_quickly(raw).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {member.name: escape_surrogates(member.value_text) for member in split_object(_decode(raw))}


def _decode(raw: bytes) -> str:
    """The text of a row that is not proper UTF-8: encoded surrogates are let pass, bytes that mean nothing become U+FFFD."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace")


def _plain_string(json_text: str) -> str | None:
    """The string in the JSON text, or None when it is no string or one that UTF-8 cannot hold."""
    try:
        return _decode_text(json_text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _shown(json_text: str) -> str:
    r"""A value that is no plain string as readable text: null is empty, lone surrogates are shown as ``\ud800``."""
    if json_text == "null":
        return ""
    if json_text.startswith('"'):
        return json.loads(json_text).encode("utf-8", "backslashreplace").decode()
    return json_text
