"""OData filters, as far as the platform is known to take them: exact matches joined with ``and``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import InvalidInputError
from .times import SECOND, format_instant

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


def level_filter(level: str) -> str:
    """``level eq 'error'``."""
    return f"level eq {quote(level)}"


def origin_filter(origin: str) -> str:
    """``origin eq 'haystack'``."""
    return f"origin eq {quote(origin)}"


def build_filter(levels: Iterable[str] | None = None, origins: Iterable[str] | None = None,
                 raw: str | None = None) -> list[str | None]:
    """The filters whose answers together are the rows of any of the levels **and** any of the origins that `raw` lets through.

    Whether the platform takes ``or`` is unknown, so several levels and origins become several queries, one for each pair.

    Args:
        levels: level values as the platform writes them; None or none at all for every level. One value may come as plain text.
        origins: the same for origins.
        raw: an OData expression, sent as it is.

    Returns:
        At least one filter; ``[None]`` when there is nothing to filter by. No two let the same row through.

    Raises:
        InvalidInputError: an empty level or origin, or text that cannot be sent.
    """
    extra = _encodable(raw).strip() if raw else ""
    by_level = [[level_filter(level)] for level in each(levels)] or [[]]
    by_origin = [[origin_filter(origin)] for origin in each(origins)] or [[]]
    pairs = [[*level, *origin] for level in by_level for origin in by_origin]
    if extra and any(pairs) and _OR.search(_QUOTED.sub("", extra)):
        extra = f"({extra})"  # `and` binds tighter; parentheses only where they change the meaning
    return [" and ".join([*pair, *([extra] if extra else [])]) or None for pair in pairs]


def not_before(floor: int) -> str:
    """The filter for rows from `floor` on, a whole second in nanoseconds.

    It reaches one second lower than what will be believed, with a fraction: right also where times are compared as strings.
    """
    return f"logged_at ge '{format_instant(floor - SECOND)[:-1]}.000000Z'"


def both(first: str | None, second: str) -> str:
    """The conjunction of two filters."""
    if not first:
        return second
    return f"({first}) and {second}" if _OR.search(_QUOTED.sub("", first)) else f"{first} and {second}"


def each(values: Iterable[str] | None) -> list[str]:
    """The values to filter by, each once; one value may come as plain text."""
    return [values] if isinstance(values, str) else list(dict.fromkeys(values or ()))


def spellings(levels: Iterable[str]) -> list[str]:
    """Each level as given, and in lower case, upper case and capitalized.

    Levels are seen in several spellings, and whether the platform tells them apart is unknown: each is asked for.
    """
    return list(dict.fromkeys(form for level in levels for form in (level, level.lower(), level.upper(), level.capitalize())))


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("A filter holds half of a character (a lone surrogate).", "Correct the filter.") from error
    return text
