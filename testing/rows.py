"""The rows a pipeline has, kept small: sorted arrays of times and kinds, and rows rendered only when they are asked for."""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .filters import Condition
from .instants import Instant, parse, to_ns

GivenRow = Mapping[str, Any] | bytes | str
"""A row as an object, or as the JSON text of one, kept byte for byte."""


class RowSource(Protocol):
    """Many rows, oldest first or not, that can be rendered one by one."""

    times: array[int]
    """`logged_at` of each row, nanoseconds."""
    kinds: array[int]
    """Each row's place in `kind_names`."""

    @property
    def kind_names(self) -> Sequence[tuple[str, str]]:
        """(level, origin) pairs."""
        ...

    def raw(self, index: int) -> bytes:
        """The row's JSON."""
        ...

    def log_id(self, index: int) -> str:
        """The row's `log_id`."""
        ...

    def logged_at(self, index: int) -> str:
        """The row's `logged_at` as its JSON has it."""
        ...


class TruthRow(NamedTuple):
    """A row as it is, whatever the server shows."""

    log_id: str
    logged_at: str
    raw: bytes


class GivenRows:
    """Rows given one by one."""

    def __init__(self, rows: Iterable[GivenRow]) -> None:
        self.times: array[int] = array("q")
        self.kinds: array[int] = array("H")
        self.kind_names: list[tuple[str, str]] = []
        self._raws: list[bytes] = []
        self._ids: list[str] = []
        self._clocks: list[str] = []
        codes: dict[tuple[str, str], int] = {}
        for given in rows:
            raw = _encode(given)
            row = json.loads(raw)
            self._raws.append(raw)
            self._ids.append(str(row["log_id"]))
            self._clocks.append(row["logged_at"])
            self.times.append(parse(row["logged_at"]))
            kind = (str(row.get("level", "")), str(row.get("origin", "")))
            if kind not in codes:
                codes[kind] = len(codes)
                self.kind_names.append(kind)
            self.kinds.append(codes[kind])

    def raw(self, index: int) -> bytes:
        """The row's JSON."""
        return self._raws[index]

    def log_id(self, index: int) -> str:
        """The row's `log_id`."""
        return self._ids[index]

    def logged_at(self, index: int) -> str:
        """The row's `logged_at` as its JSON has it."""
        return self._clocks[index]


def _encode(row: GivenRow) -> bytes:
    if isinstance(row, bytes):
        return row
    if isinstance(row, str):
        return row.encode()
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate can only travel escaped
        return json.dumps(row, separators=(",", ":")).encode()


class View(NamedTuple):
    """Some of a table's rows, oldest first."""

    times: Sequence[int]
    positions: Sequence[int]


class RowTable:
    """One pipeline's rows, sorted by time; rows of one instant stay in the order they were added."""

    _VIEWS = 16

    def __init__(self) -> None:
        self.times: array[int] = array("q")
        self._kinds: array[int] = array("H")
        self._kind_codes: dict[tuple[str, str], int] = {}
        self._sources: list[RowSource] = []
        self._refs: Sequence[int] = range(0)  # source number << 40 | the row's place in it
        self._visible_at: array[int] | None = None
        self._appearances: list[int] = []
        self._views: OrderedDict[object, View] = OrderedDict()

    def __len__(self) -> int:
        return len(self.times)

    def add(self, source: RowSource, visible_at: Instant | None = None) -> None:
        """Merge rows in. They are visible from their own `logged_at` on, or only from `visible_at`."""
        count, old = len(source.times), len(self.times)
        codes = [self._kind_codes.setdefault(kind, len(self._kind_codes)) for kind in source.kind_names]
        times = self.times + source.times
        kinds = self._kinds + array("H", map(codes.__getitem__, source.kinds))
        base = len(self._sources) << 40
        refs = array("q", self._refs)
        refs.extend(range(base, base + count))
        self._sources.append(source)
        visible = self._visible_at
        if visible_at is not None or visible is not None:
            late = to_ns(visible_at) if visible_at is not None else 0
            visible = (visible if visible is not None else array("q", bytes(8 * old))) + array("q", [late]) * count
        if any(times[i] > times[i + 1] for i in range(max(0, old - 1), len(times) - 1)):
            order = sorted(range(len(times)), key=times.__getitem__)
            times = array("q", map(times.__getitem__, order))
            kinds = array("H", map(kinds.__getitem__, order))
            refs = array("q", map(refs.__getitem__, order))
            visible = array("q", map(visible.__getitem__, order)) if visible is not None else None
        self.times, self._kinds, self._refs, self._visible_at = times, kinds, refs, visible
        self._appearances = sorted(set(visible)) if visible is not None else []
        self._views.clear()

    def raw(self, position: int) -> bytes:
        """The JSON of the row at this place in time order."""
        ref = self._refs[position]
        return self._sources[ref >> 40].raw(ref & 0xFF_FFFF_FFFF)

    def raws(self, positions: Iterable[int]) -> Iterator[bytes]:
        """The JSON of the rows at these places."""
        refs, sources = self._refs, self._sources  # taken now: a long answer outlives later additions
        return (sources[ref >> 40].raw(ref & 0xFF_FFFF_FFFF) for ref in map(refs.__getitem__, positions))

    def log_id(self, position: int) -> str:
        """The `log_id` of the row at this place in time order."""
        ref = self._refs[position]
        return self._sources[ref >> 40].log_id(ref & 0xFF_FFFF_FFFF)

    def identity(self, position: int) -> tuple[str, str]:
        """(`log_id`, `logged_at` as the JSON has it) of the row at this place in time order."""
        ref = self._refs[position]
        source, index = self._sources[ref >> 40], ref & 0xFF_FFFF_FFFF
        return source.log_id(index), source.logged_at(index)

    def view(self, condition: Condition, now: int) -> View:
        """The rows that the condition selects (its time bounds aside) and that have appeared by `now`."""
        epoch = bisect_right(self._appearances, now)
        late = self._visible_at if epoch < len(self._appearances) else None
        if condition.key is None and late is None:
            return View(self.times, range(len(self.times)))
        key = (condition.key, epoch)
        found = self._views.get(key)
        if found is None:
            found = self._views[key] = self._select(condition, late, now)
            if len(self._views) > self._VIEWS:
                self._views.popitem(last=False)
        return found

    def window(self, start: int | None, end: int | None) -> range:
        """The places of the rows with ``start <= logged_at < end``."""
        low = 0 if start is None else bisect_left(self.times, start)
        high = len(self.times) if end is None else bisect_left(self.times, end)
        return range(low, max(low, high))

    def _select(self, condition: Condition, late: array[int] | None, now: int) -> View:
        positions: Iterable[int] = range(len(self.times))
        kinds, names = self._kinds, list(self._kind_codes)
        if condition.of_kind is not None:
            wanted = {code for code, (level, origin) in enumerate(names) if condition.of_kind(level, origin)}
            positions = [i for i, kind in enumerate(kinds) if kind in wanted]
        if condition.of_row is not None:
            of_row: Callable[[str, str, int], bool] = condition.of_row
            positions = [i for i in positions if of_row(*names[kinds[i]], self.times[i])]
        if late is not None:
            positions = [i for i in positions if late[i] <= now]
        chosen = array("q", positions)
        return View(array("q", map(self.times.__getitem__, chosen)), chosen)
