"""Several parts of a day as one series of rows in order, in bounded memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from ..api.rows import Row

_Label = TypeVar("_Label")


class OrderedPart(NamedTuple, Generic[_Label]):
    """A part that can be opened."""

    label: _Label
    """Given back with each row."""
    first: int
    """No row is older than this instant: until then the part is not opened."""
    open: Callable[[], Iterator[Row]]


def merge_parts(parts: Iterable[OrderedPart[_Label]]) -> Generator[tuple[_Label, Row]]:
    """Every row of the parts in order of (`logged_at`, `log_id`), provided that each part is in order.

    A part is opened when its time comes and closed at its end: parts that follow one another are read one after another, and
    no connection to the store idles while another part is read.
    """
    waiting = sorted(parts, key=lambda part: part.first, reverse=True)
    heap: list[tuple[Row, int, _Label, Iterator[Row]]] = []
    opened: list[Iterator[Row]] = []
    try:
        while heap or waiting:
            while waiting and (not heap or waiting[-1].first <= heap[0][0].logged_at):
                part = waiting.pop()
                rows = part.open()
                opened.append(rows)
                if (first := next(rows, None)) is not None:
                    heapq.heappush(heap, (first, len(opened), part.label, rows))
            if not heap:
                continue
            row, number, label, rows = heap[0]
            yield label, row
            if (following := next(rows, None)) is not None:
                heapq.heapreplace(heap, (following, number, label, rows))
            else:
                heapq.heappop(heap)
    finally:
        for rows in opened:
            if isinstance(rows, Generator):
                rows.close()
