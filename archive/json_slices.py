"""Taking a JSON object apart without touching what is inside: each value stays the slice of text that came.

That keeps integers of any size, the digits of decimals, duplicate keys and escapes exactly as they were.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

# Numbers are only passed over, so they stay text: turning one of 5000 digits into an int is refused by Python.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_WHITESPACE = " \t\r\n"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Member(NamedTuple):
    """One ``"name": value`` of an object."""

    name: str
    name_text: str
    """The name as it stands in the text, quotes included."""
    value_text: str


def split_object(text: str) -> list[Member]:
    """The members of the JSON object in `text`, in order, duplicates included.

    Raises:
        ValueError: when `text` is not one JSON object (`json.JSONDecodeError` is one).
    """
    position = _skip(text, 0)
    members: list[Member] = []
    if text[position : position + 1] != "{":
        raise ValueError("not a JSON object")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "}":
        if members:
            position = _skip(text, _expect(text, position, ","))
        if text[position : position + 1] != '"':
            raise ValueError("a name is expected")
        name, end = _scan(text, position)
        name_text = text[position:end]
        start = _skip(text, _expect(text, _skip(text, end), ":"))
        _, end = _scan(text, start)
        members.append(Member(name, name_text, text[start:end]))
        position = _skip(text, end)
    _end(text, position + 1)
    return members


def split_array(text: str) -> list[str]:
    """The elements of the JSON array in `text` as slices of it.

    Raises:
        ValueError: when `text` is not one JSON array.
    """
    position = _skip(text, 0)
    elements: list[str] = []
    if text[position : position + 1] != "[":
        raise ValueError("not a JSON array")
    position = _skip(text, position + 1)
    while text[position : position + 1] != "]":
        if elements:
            position = _skip(text, _expect(text, position, ","))
        _, end = _scan(text, position)
        elements.append(text[position:end])
        position = _skip(text, end)
    _end(text, position + 1)
    return elements


def json_string(text: str) -> str:
    r"""The text as a JSON string that every encoder takes: lone surrogates as ``\ud800``."""
    return escape_surrogates(json.dumps(text, ensure_ascii=False))


def escape_surrogates(json_text: str) -> str:
    """JSON text with its lone surrogates, which can only stand inside strings, as escapes."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _WHITESPACE:
        position += 1
    return position


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise ValueError(f"{character!r} is expected")
    return position + 1


def _end(text: str, position: int) -> None:
    if _skip(text, position) != len(text):
        raise ValueError("more follows")
