"""Parameters of calls, held against what they must be before anything is asked: users call without a type checker."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import InvalidInputError


def check_texts(values: Iterable[str] | None, name: str) -> list[str] | None:
    """The texts as a list; one text is a list of one. None stays None.

    Raises:
        InvalidInputError: it is no series of texts, or one of them is empty; `name` is the parameter's.
    """
    if values is None:
        return None
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"`{name}` is no list but {type(values).__name__}.", "Give a list of texts.")
    found: list[object] = list(values)
    texts = [value for value in found if isinstance(value, str)]
    if len(texts) < len(found):
        wrong = next(value for value in found if not isinstance(value, str))
        raise InvalidInputError(f"`{name}` holds what is not text but {type(wrong).__name__}.", "Give a list of texts.")
    if "" in texts:
        raise InvalidInputError(f"`{name}` holds an empty text.", "Leave it out.")
    return texts


def check_text(value: str | None, name: str) -> str | None:
    """The text as it came, or None.

    Raises:
        InvalidInputError: it is neither; `name` is the parameter's.
    """
    if value is not None and not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"`{name}` is not text but {type(value).__name__}.", "Give a text, or leave it out.")
    return value


def check_count(value: int, name: str) -> int:
    """The number as it came.

    Raises:
        InvalidInputError: it is no whole number from 1 on; `name` is the parameter's.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"`{name}` is {value!r:.40}.", "Give a whole number from 1 on.")
    return value
