"""Taking a JSON object apart without touching what is inside: each value stays the slice of text that came.

That keeps integers of any size, the digits of decimals, duplicate keys and escapes exactly as they were. Values may be nested
deeper than any decoder goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple

# Numbers are only passed over, so they stay text: turning one of 5000 digits into an int is refused by Python.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY, _COLON, _SEPARATOR = (
    re.compile(rf"[ \t\r\n]*({character})[ \t\r\n]*").match for character in (r"\{", r"\}", r"\[", r"\]", ":", r"[,\]}]"))
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
_CLOSES = {"]": "[", "}": "{"}
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
    position = _end_of(_OPEN_OBJECT, text, 0)
    members: list[Member] = []
    if (empty := _CLOSE_OBJECT(text, position)) is None:
        separator = ","
        while separator == ",":
            if text[position : position + 1] != '"':
                raise ValueError("a name is expected")
            name, end = _scan(text, position)
            start = _end_of(_COLON, text, end)
            value_end = _value_end(text, start)
            members.append(Member(name, text[position:end], text[start:value_end]))
            separator, position = _after(text, value_end)
        if separator != "}":
            raise ValueError("the object's end is expected")
    else:
        position = empty.end()
    if position != len(text):
        raise ValueError("more follows")
    return members


def split_array(text: str) -> list[str]:
    """The elements of the JSON array in `text` as slices of it.

    Raises:
        ValueError: when `text` is not one JSON array.
    """
    position = _end_of(_OPEN_ARRAY, text, 0)
    elements: list[str] = []
    if (empty := _CLOSE_ARRAY(text, position)) is None:
        separator = ","
        while separator == ",":
            end = _value_end(text, position)
            elements.append(text[position:end])
            separator, position = _after(text, end)
        if separator != "]":
            raise ValueError("the array's end is expected")
    else:
        position = empty.end()
    if position != len(text):
        raise ValueError("more follows")
    return elements


def json_string(text: str) -> str:
    r"""The text as a JSON string that every encoder takes: lone surrogates as ``\ud800``."""
    return escape_surrogates(json.dumps(text, ensure_ascii=False))


def escape_surrogates(json_text: str) -> str:
    """JSON text with its lone surrogates, which can only stand inside strings, as escapes."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text)


def _value_end(text: str, start: int) -> int:
    try:
        return _scan(text, start)[1]
    except RecursionError:
        return _deep_end(text, start)


def _deep_end(text: str, start: int) -> int:
    """The end of an object or array that is nested too deep for `json`: only its brackets and its strings are looked at."""
    opened: list[str] = []
    for found in _BRACKETS.finditer(text, start):
        sign = found[0]
        if sign in {"[", "{"}:
            opened.append(sign)
        elif sign in _CLOSES:
            if opened.pop() != _CLOSES[sign]:
                break
            if not opened:
                return found.end()
        elif sign == '"':
            break
    raise ValueError("a value does not end")


def _end_of(match: Callable[[str, int], re.Match[str] | None], text: str, position: int) -> int:
    found = match(text, position)
    if found is None:
        raise ValueError(f"another character is expected at {position}")
    return found.end()


def _after(text: str, position: int) -> tuple[str, int]:
    """The character that follows a value, and where what comes after it begins."""
    found = _SEPARATOR(text, position)
    if found is None:
        raise ValueError(f"a separator is expected at {position}")
    return found[1], found.end()
