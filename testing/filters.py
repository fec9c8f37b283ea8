"""The `filter` parameter: the part of OData the platform documents, read into conditions."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from .behaviour import Behaviour
from .instants import HOUR, parse

Predicate = Callable[[str, str, int], bool]
"""(level, origin, nanoseconds) -> selected."""

_TOKEN = re.compile(r"\s*(?:([()])|('(?:[^']|'')*')|([^\s()']+))")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le,
}  # fmt: skip
_INVERSE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}


class FilterError(ValueError):
    """The filter is not one the server takes: 400."""


class Comparison(NamedTuple):
    """``field op value``."""

    field: str
    op: str
    value: str


class Junction(NamedTuple):
    """Parts joined by ``and`` or ``or``."""

    word: Literal["and", "or"]
    parts: tuple[Comparison | Junction, ...]


@dataclass(frozen=True)
class Condition:
    """A filter, ready to be applied."""

    key: object = None
    """Equal for filters that select the same rows, bounds aside."""
    of_kind: Callable[[str, str], bool] | None = None
    """Selects by level and origin; None: all."""
    of_row: Predicate | None = None
    """Where times and kinds are mixed by ``or``: selects row by row."""
    start: int | None = None
    """Rows at or after this."""
    end: int | None = None
    """Rows before this."""
    nothing: bool = False

    @property
    def bounded_below(self) -> bool:
        """Whether the filter keeps the query from reading back without end."""
        return self.start is not None


def read_filter(text: str | None, behaviour: Behaviour) -> Condition:
    """The condition a filter stands for under this behaviour. Raises `FilterError`."""
    if text is None or not text.strip():
        return Condition()
    return _compile(text, behaviour)


@lru_cache(maxsize=1024)
def _compile(text: str, behaviour: Behaviour) -> Condition:
    tree = _Parser(text).parse()
    if _has_or(tree):
        if behaviour.or_filter == "400":
            raise FilterError("Only exact match and AND are supported.")
        if behaviour.or_filter == "ignored":
            return Condition()
        return Condition(key=(text, behaviour), of_row=_predicate(tree, behaviour))
    comparisons = [c for c in _flat(tree) if _heeded(c, behaviour)]
    times = [c for c in comparisons if c.field == "logged_at"]
    if any(behaviour.time_filter == "inverted" or c.op == "ne" for c in times):
        return Condition(key=(text, behaviour), of_row=_predicate(tree, behaviour))
    start, end = _bounds(times, behaviour)
    kinds = sorted(c for c in comparisons if c.field != "logged_at")
    if not kinds:
        return Condition(start=start, end=end)
    parts = [_predicate(c, behaviour) for c in kinds]
    return Condition((*kinds, behaviour), lambda lv, og: all(part(lv, og, 0) for part in parts), None, start, end)


def _bounds(times: Sequence[Comparison], behaviour: Behaviour) -> tuple[int | None, int | None]:
    """The half-open span that the comparisons leave."""
    starts, ends = list[int](), list[int]()
    for comparison in times:
        bound = _bound(comparison, behaviour)
        if comparison.op in {"ge", "gt", "eq"}:
            starts.append(bound + (comparison.op == "gt"))
        if comparison.op in {"le", "lt", "eq"}:
            ends.append(bound + (comparison.op != "lt"))
    return max(starts, default=None), min(ends, default=None)


def _heeded(comparison: Comparison, behaviour: Behaviour) -> bool:
    """Whether the server heeds the comparison. Raises `FilterError` where it refuses it."""
    supports = {"level": behaviour.level_filter, "origin": behaviour.origin_filter, "logged_at": behaviour.time_filter}
    support = supports[comparison.field]
    if support == "400":
        raise FilterError(f"Filtering on '{comparison.field}' is not supported.")
    return support != "ignored"


def _bound(comparison: Comparison, behaviour: Behaviour) -> int:
    try:
        instant = parse(comparison.value)
    except ValueError as error:
        raise FilterError(str(error)) from error
    return instant + HOUR if behaviour.time_filter == "wrong" else instant


def _predicate(tree: Comparison | Junction, behaviour: Behaviour) -> Predicate:
    if isinstance(tree, Junction):
        parts = [_predicate(part, behaviour) for part in tree.parts]
        join = any if tree.word == "or" else all
        return lambda lv, og, t: join(part(lv, og, t) for part in parts)
    if not _heeded(tree, behaviour):
        return lambda _lv, _og, _t: True
    if tree.field == "logged_at":
        bound = _bound(tree, behaviour)
        compare_times = _OPERATORS[_INVERSE[tree.op] if behaviour.time_filter == "inverted" else tree.op]
        return lambda _lv, _og, t: compare_times(t, bound)
    compare, value = _OPERATORS[tree.op], tree.value
    if tree.field == "origin":
        return lambda _lv, og, _t: compare(og, value)
    shown = str.lower if behaviour.level_case == "any" else str
    value = shown(value)
    return lambda lv, _og, _t: compare(shown(lv), value)


def _has_or(tree: Comparison | Junction) -> bool:
    return isinstance(tree, Junction) and (tree.word == "or" or any(map(_has_or, tree.parts)))


def _flat(tree: Comparison | Junction) -> list[Comparison]:
    return [c for part in tree.parts for c in _flat(part)] if isinstance(tree, Junction) else [tree]


class _Parser:
    """``or`` binds weaker than ``and``; parentheses group."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        text, position = text.rstrip(), 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise FilterError("The filters you provided are invalid. Check the filters and try again.")
            self._tokens.append(found.group().strip())
            position = found.end()
        self._tokens.reverse()

    def parse(self) -> Comparison | Junction:
        tree = self._joined("or")
        if self._tokens:
            raise FilterError(f"Unexpected {self._tokens[-1][:40]!r} in the filter.")
        return tree

    def _next(self) -> str:
        if not self._tokens:
            raise FilterError("The filter ends too early.")
        return self._tokens.pop()

    def _joined(self, word: Literal["and", "or"]) -> Comparison | Junction:
        parts = [self._joined("and") if word == "or" else self._single()]
        while self._tokens and self._tokens[-1].lower() == word:
            self._tokens.pop()
            parts.append(self._joined("and") if word == "or" else self._single())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))

    def _single(self) -> Comparison | Junction:
        field = self._next()
        if field == "(":
            tree = self._joined("or")
            if self._next() != ")":
                raise FilterError("A parenthesis is not closed.")
            return tree
        op, value = self._next().lower(), self._next()
        if field not in {"level", "origin", "logged_at"}:
            raise FilterError(f"Unknown field {field[:40]!r} in the filter.")
        if op not in _OPERATORS:
            raise FilterError(f"Unknown operator {op[:40]!r} in the filter.")
        quoted = value.startswith("'")
        if not quoted and field != "logged_at":
            raise FilterError("Text values stand in single quotes.")
        return Comparison(field, op, value[1:-1].replace("''", "'") if quoted else value)
