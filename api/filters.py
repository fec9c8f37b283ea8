"""OData filters: exact matches joined with ``and``, which the platform is known to take, or with ``or``, which it may."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from .errors import InvalidInputError
from .times import SECOND, format_instant

Field = Literal["level", "origin"]

_OR = re.compile(r"(?i)\bor\b")
_QUOTED = re.compile(r"'(?:[^']|'')*'")


def quote(text: str) -> str:
    """An OData string literal: in single quotes, those inside doubled.

    Raises:
        InvalidInputError: when it is empty, or not text that can be sent.
    """
    if not isinstance(text, str) or not text:  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError("A level or origin to filter by is empty.", "Leave it out, or name one such as 'error'.")
    return "'" + _encodable(text).replace("'", "''") + "'"


def comparison(field: Field, value: str, operator: Literal["eq", "ne"] = "eq") -> str:
    """``level eq 'error'``, or with ``ne`` for all but the value."""
    return f"{field} {operator} {quote(value)}"


def level_filter(level: str) -> str:
    """``level eq 'error'``."""
    return comparison("level", level)


def any_level(levels: Iterable[str]) -> str:
    """``level eq 'error' or level eq 'ERROR'``, where the platform takes ``or``."""
    return " or ".join(map(level_filter, levels))


def origin_filter(origin: str) -> str:
    """``origin eq 'haystack'``."""
    return comparison("origin", origin)


def origin_and(origin: str | None, raw: str | None) -> str | None:
    """The filter for the rows of an origin that `raw`, an OData expression, lets through; None for neither.

    Raises:
        InvalidInputError: an empty origin, or text that cannot be sent.
    """
    extra = _encodable(raw).strip() if raw else ""
    if origin is None:
        return extra or None
    return both(origin_filter(origin), extra) if extra else origin_filter(origin)


def not_before(floor: int) -> str:
    """The filter for rows from `floor` on, a whole second in nanoseconds.

    It reaches one second lower than what will be believed, with a fraction: right also where times are compared as strings.
    """
    return f"logged_at ge '{format_instant(floor - SECOND)[:-1]}.000000Z'"


def both(first: str | None, second: str) -> str:
    """The conjunction of two filters."""
    return f"{_grouped(first)} and {_grouped(second)}" if first else second


def each(values: Iterable[str] | None) -> list[str]:
    """The values to filter by, each once; one value may come as plain text."""
    return [values] if isinstance(values, str) else list(dict.fromkeys(values or ()))


def spellings(levels: Iterable[str]) -> list[str]:
    """Each level as given, and in lower case, upper case and capitalized.

    Levels are seen in several spellings, and whether the platform tells them apart is unknown: each is asked for.
    """
    return list(dict.fromkeys(form for level in levels for form in (level, level.lower(), level.upper(), level.capitalize())))


def _grouped(part: str) -> str:
    """A part of a conjunction: `and` binds tighter than `or`; parentheses stand only where they change the meaning."""
    return f"({part})" if _OR.search(_QUOTED.sub("", part)) else part


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("A filter holds half of a character (a lone surrogate).", "Correct the filter.") from error
    return text
