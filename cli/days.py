"""What the archive holds of each day, from manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Literal, NamedTuple

from ..alerts.completeness import describe_faults, describe_overdue
from ..api.sources import LogSource
from ..api.times import DAY, SECOND, day_of, day_span
from ..archive.chain import latest, list_days
from ..archive.errors import ManifestError
from ..archive.manifest import Manifest
from ..archive.objects import ObjectStore

_AT_ONCE = 16

State = Literal["settled", "sealed", "open", "gap", "not yet", "MISSING", "INCOMPLETE", "UNREADABLE"]


class ArchivedDay(NamedTuple):
    """One day of one source."""

    source: LogSource
    day: date
    state: State
    """The manifest's status, unless something is wrong (in capitals) or the day is not archived yet."""
    manifest: Manifest | None
    note: str
    """One sentence on what is wrong, or ""."""

    @property
    def wrong(self) -> bool:
        """Whether rows are lacking that should be there."""
        return self.state.isupper()


class SourceDays(NamedTuple):
    """The days of one source, from its first one in the range on."""

    source: LogSource
    days: list[ArchivedDay]
    overdue: str
    """One sentence when the oldest unarchived second is older than 36 hours and lies in no day that is wrong, or ""."""


def read_days(store: ObjectStore, sources: Sequence[LogSource], first: date, last: date, now: float) -> Iterator[SourceDays]:
    """The days from `first` to `last` (both included) of each source, in the order given.

    Args:
        now: seconds since 1970.

    Raises:
        StoreError: the store cannot be read.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for source, archived in zip(sources, pool.map(lambda source: list_days(store, source), sources), strict=True):
            wanted = [day for day in archived if first <= day <= last]
            read = list(pool.map(lambda day, source=source: _read(store, source, day), wanted))
            before = [day for day in archived if day < first]
            # Whether days are expected at the range's start hangs on the day before it.
            look_back = bool(before) and not (wanted and wanted[0] == first)
            day_before = _read(store, source, before[-1]) if look_back else None
            ends_on = _ends_on(day_before) if day_before else None
            begin = first if before else min(wanted, default=last + timedelta(days=1))
            days = list(_filled(source, read, begin, last, ends_on, now))
            # How far the archive is behind does not hang on how many days are shown.
            newest = read or ([day_before] if day_before else [])
            yield SourceDays(source, days, _overdue(newest, days, now) if last >= _today(now) else "")


def _overdue(newest: Sequence[ArchivedDay], shown: Sequence[ArchivedDay], now: float) -> str:
    found = describe_overdue([day.manifest for day in newest if day.manifest], int(now) * SECOND)
    told = {str(day.day) for day in shown if day.wrong}
    return found[1] if found and found[0] not in told else ""


def _today(now: float) -> date:
    return day_of(int(now) * SECOND)


def _read(store: ObjectStore, source: LogSource, day: date) -> ArchivedDay:
    try:
        stored = latest(store, source, day)
    except ManifestError as error:
        return ArchivedDay(source, day, "UNREADABLE", None, str(error))
    if stored is None:
        return ArchivedDay(source, day, "MISSING", None, "The day has no manifest.")
    fault = describe_faults(stored.manifest)
    return ArchivedDay(source, day, "INCOMPLETE" if fault else stored.manifest.status, stored.manifest, fault)


def _ends_on(day: ArchivedDay) -> date | None:
    return day.manifest.ends_on if day.manifest else None


def _filled(source: LogSource, read: Iterable[ArchivedDay], first: date, last: date, ends_on: date | None,
            now: float) -> Iterator[ArchivedDay]:
    """The days that were read, and between and after them those that are not there and should be, or will be."""
    found = {day.day: day for day in read}
    day = first
    while day <= last:
        if day in found:
            ends_on = _ends_on(found[day])
            yield found[day]
        elif day <= min(_today(now), ends_on or last):
            over_for = int(now) * SECOND - day_span(day).end
            if over_for > DAY:
                yield ArchivedDay(source, day, "MISSING", None, "The day has no manifest.")
            else:
                yield ArchivedDay(source, day, "not yet", None, "")
        day += timedelta(days=1)
