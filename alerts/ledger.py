"""The transitions of a workspace in its bucket: numbered, created once, never changed.

::

    <prefix>/alerts/workspace=<w>/pipeline=<p>/rule=<r>/t00001.json            the claim
    <prefix>/alerts/workspace=<w>/pipeline=<p>/rule=<r>/t00001.again-001.json  the claim of sending it once more
    <prefix>/alerts/workspace=<w>/pipeline=<p>/rule=<r>/t00001.sent.json       it was told
    <prefix>/alerts/workspace=<w>/pipeline=<p>/rule=<r>/t00001.emitted.json    it was not, but its events have gone out
    <prefix>/alerts/workspace=<w>/pipeline=<p>/rule=<r>/t00001.seen-20260131T094500Z.json    a watch looked, and it still stood

A run lists the workspace once and reads only the transitions it needs, mostly the last of each series. That a listing may
lag does no harm: a number that is taken cannot be taken again, and a mark is looked for by its own key before a message is
sent again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast
from urllib.parse import quote, unquote
from uuid import uuid4

from ..api.errors import DeepsetError
from ..api.sources import Kind, LogSource
from ..api.times import SECOND, format_instant, parse_instant
from ..archive.keys import source_folder, workspace_folder
from ..archive.manifest import sha256_hex
from ..archive.objects import ObjectStore
from .errors import AlertStateError, ClaimConflictError
from .transitions import Transition

LEASE = 900.0
"""Seconds for which a claim is its worker's to send; after them, unsent, it is anyone's."""

_JSON = "application/json"
_SEEN_AT = "%Y%m%dT%H%M%SZ"
_KEY = re.compile(r"(?P<kind>pipeline|index)=(?P<name>[^/]+)/rule=(?P<rule>[^/]+)/"
                  r"t(?P<number>\d{5,})(\.(?P<mark>sent|emitted)|\.again-(?P<again>\d{3,})|\.seen-(?P<seen>\d{8}T\d{6}Z))?\.json$")


@dataclass
class _Entry:
    """What the listing shows of one transition."""

    sent: bool = False
    emitted: bool = False
    again: int = 0
    seen: float = 0.0
    """When a watch last looked at it, as far as that was written; seconds since 1970."""


@dataclass
class Series:
    """The transitions of one rule on one pipeline."""

    source: LogSource
    rule: str
    folder: str
    entries: dict[int, _Entry] = field(default_factory=dict[int, _Entry])
    read: dict[int, Transition] = field(default_factory=dict[int, Transition])

    @property
    def last(self) -> int:
        """The highest number known, 0 when there is none."""
        return max(self.entries, default=0)

    def key(self, number: int, mark: str = "") -> str:
        """The key of a transition, or of one of its marks."""
        return f"{self.folder}t{number:05d}{mark}.json"


class Ledger:
    """The alerts of one workspace, as one run sees and extends them. For one thread."""

    def __init__(self, store: ObjectStore, workspace: str) -> None:
        self.store = store
        self.workspace = workspace
        self.problems: list[DeepsetError] = []
        """What went wrong on the way and stopped nothing else."""
        self._series: dict[tuple[LogSource, str], Series] | None = None
        self._leases: dict[str, float] = {}
        self._taken_over: set[str] = set()
        self._worker = uuid4().hex
        """In every mark: two workers' marks of the same instant must not pass for one worker's, repeated."""

    def __repr__(self) -> str:
        return f"Ledger(workspace={self.workspace!r})"

    def series(self, source: LogSource, rule: str) -> Series:
        """The series of one rule on one pipeline, perhaps empty."""
        known = self._listed()
        if (source, rule) not in known:
            folder = f"{source_folder(self.store.prefix, 'alerts', source)}rule={quote(rule, safe='')}/"
            known[source, rule] = Series(source, rule, folder)
        return known[source, rule]

    def all_series(self) -> list[Series]:
        """Every series of the workspace that has transitions."""
        return [series for series in self._listed().values() if series.entries]

    def backwards(self, series: Series) -> Iterator[Transition]:
        """The series' transitions, newest first, each read when it is asked for."""
        for number in sorted(series.entries, reverse=True):
            transition = self.read(series, number)
            if transition is not None:
                yield transition

    def read(self, series: Series, number: int) -> Transition | None:
        """One transition; None when its mark is listed and it is not there.

        Raises:
            AlertStateError: when it cannot be understood.
        """
        if number not in series.read:
            key = series.key(number)
            body = self.store.get(key)
            if body is None:
                return None
            series.read[number] = Transition.from_bytes(body, key)
        return series.read[number]

    def claim(self, series: Series, transition: Transition, now: float) -> bool:
        """Takes the transition's number; False when another worker has it, whose transition is then known."""
        key, body = series.key(transition.number), transition.to_bytes()
        taken = not self._create(key, body)
        series.entries.setdefault(transition.number, _Entry())
        if taken:
            return False
        series.read[transition.number] = transition
        self._leases[key] = now
        return True

    def claim_again(self, series: Series, number: int, now: float) -> bool:
        """Takes over the sending of a transition whose claim, and whose last taking over, are older than the lease.

        False when it was sent, is being sent, or another worker is faster.
        """
        entry = series.entries[number]
        transition = self.read(series, number)
        if transition is None or abs(now - self._claimed_at(series, entry, transition)) < LEASE:
            return False  # abs: a claim from the future, by a clock that was wrong, must not wait for ever
        if self._was_sent(series, number):
            return False
        entry.again += 1
        key = series.key(number, f".again-{entry.again:03d}")
        if not self._create(key, self._mark(transition, now)):
            return False
        self._leases[series.key(number)] = now
        self._taken_over.add(series.key(number))
        return True

    def took_over(self, transition: Transition) -> bool:
        """Whether another run claimed it, and this one sends it."""
        return self.key_of(transition) in self._taken_over

    def untold_before(self, transition: Transition) -> list[str]:
        """The claims of the same series that must be told before it, by their keys. One that cannot be read never will be."""
        series = self.series(transition.log_source, transition.rule)
        return [series.key(number) for number in sorted(series.entries)
                if number < transition.number and not self._was_sent(series, number) and self._is_there(series, number)]

    def changed_since(self, transition: Transition) -> Transition | None:
        """The newest transition of the series after this one that changed what stands, or None."""
        for later in self.backwards(self.series(transition.log_source, transition.rule)):
            if later.number <= transition.number or transition.late:
                return None
            if not later.late:
                return later
        return None

    def unemitted(self, now: float) -> list[Transition]:
        """Claims past their lease whose runs left no trace that their events went out: most likely they died before.

        What cannot be read is put into `problems`.
        """
        found: list[Transition] = []
        for series in self.all_series():
            for number, entry in sorted(series.entries.items()):
                try:
                    if not entry.emitted and not entry.sent and self._died_silently(series, number, now):
                        found += [series.read[number]]
                except DeepsetError as error:
                    self.problems.append(error)
        return found

    def holds(self, transition: Transition, now: float) -> bool:
        """Whether this run still has the right to send it: a run that dawdled longer than the lease has lost it."""
        leased = self._leases.get(self.key_of(transition))
        return leased is not None and 0 <= now - leased < LEASE

    def mark_sent(self, transition: Transition, now: float, to: str | None) -> None:
        """Writes that the transition was told; `to` names the channel, None where the run has none."""
        series = self.series(transition.log_source, transition.rule)
        self._create(series.key(transition.number, ".sent"), self._mark(transition, now, to=to))
        series.entries.setdefault(transition.number, _Entry()).sent = True

    def mark_emitted(self, transition: Transition, now: float) -> None:
        """Writes that the transition's events went out, though it was not told."""
        series = self.series(transition.log_source, transition.rule)
        self._create(series.key(transition.number, ".emitted"), self._mark(transition, now))
        series.entries.setdefault(transition.number, _Entry()).emitted = True

    def last_look(self, series: Series, now: float) -> float:
        """When somebody last looked at what the series watches, seconds since 1970. What lies ahead of `now` does not count."""
        standing = next(self.backwards(series), None)
        looks = [entry.seen for entry in series.entries.values()] + ([_seconds(standing.at)] if standing else [])
        return max((look for look in looks if look < now + LEASE), default=0.0)

    def mark_seen(self, transition: Transition, now: float) -> None:
        """Writes that the transition was looked at, and still stood. The time is in the key, so that a listing tells it."""
        series = self.series(transition.log_source, transition.rule)
        at = datetime.fromtimestamp(now, UTC).strftime(_SEEN_AT)
        self._create(series.key(transition.number, f".seen-{at}"), self._mark(transition, now))
        series.entries[transition.number].seen = now

    def key_of(self, transition: Transition) -> str:
        """The key of the transition's claim."""
        return self.series(transition.log_source, transition.rule).key(transition.number)

    def _listed(self) -> dict[tuple[LogSource, str], Series]:
        if self._series is None:
            listed: dict[tuple[LogSource, str], Series] = {}
            start = workspace_folder(self.store.prefix, "alerts", self.workspace)
            for info in self.store.list(start):
                self._add(listed, info.key, start)
            self._series = listed  # only now: half a listing must not pass for the whole
        return self._series

    def _add(self, listed: dict[tuple[LogSource, str], Series], key: str, start: str) -> None:
        found = _KEY.match(key.removeprefix(start))
        if found is None:
            return
        kind: Kind = "pipeline" if found["kind"] == "pipeline" else "index"
        source, rule = LogSource(self.workspace, unquote(found["name"]), kind), unquote(found["rule"])
        series = listed.setdefault((source, rule), Series(source, rule, key.rpartition("/")[0] + "/"))
        entry = series.entries.setdefault(int(found["number"]), _Entry())
        entry.sent = entry.sent or found["mark"] == "sent"
        entry.emitted = entry.emitted or found["mark"] == "emitted"
        entry.again = max(entry.again, int(found["again"] or 0))
        if found["seen"]:
            entry.seen = max(entry.seen, _seen_at(found["seen"]))

    def _was_sent(self, series: Series, number: int) -> bool:
        """Whether its mark is there. Looks past the listing."""
        entry = series.entries[number]
        entry.sent = entry.sent or self.store.get(series.key(number, ".sent")) is not None
        return entry.sent

    def _is_there(self, series: Series, number: int) -> bool:
        try:
            return self.read(series, number) is not None
        except AlertStateError:
            return False

    def _died_silently(self, series: Series, number: int, now: float) -> bool:
        transition = self.read(series, number)
        if transition is None or abs(now - _seconds(transition.at)) < LEASE or self._was_sent(series, number):
            return False
        return self.store.get(series.key(number, ".emitted")) is None

    def _claimed_at(self, series: Series, entry: _Entry, transition: Transition) -> float:
        """When the transition was last claimed, seconds since 1970. Looks past the listing for a newer taking over."""
        at = transition.at
        while True:
            body = self.store.get(series.key(transition.number, f".again-{entry.again + 1:03d}"))
            if body is None:
                break
            entry.again += 1
        try:
            if entry.again:
                body = self.store.get(series.key(transition.number, f".again-{entry.again:03d}")) or b"{}"
                at = str(cast("dict[str, object]", json.loads(body)).get("at", at))
        except (ValueError, AttributeError):
            return 0.0  # a mark that someone edited: long ago, so that the message is not lost
        return _seconds(at)

    def _mark(self, transition: Transition, now: float, **more: str | None) -> bytes:
        fields = {"at": claim_time(now), "claim_id": transition.claim_id, "worker": self._worker, **more}
        return (json.dumps(fields, indent=1) + "\n").encode()

    def _create(self, key: str, body: bytes) -> bool:
        """Whether the object is now ours: just written, or written before by a PUT whose answer was lost."""
        if self.store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type=_JSON):
            return True
        return self.store.get(key) == body


def _seen_at(text: str) -> float:
    try:
        return datetime.strptime(text, _SEEN_AT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0  # a name that somebody made up


def _seconds(at: str) -> float:
    """Seconds since 1970; 0 for a time that someone edited: long ago, so that what it stands for is not lost."""
    try:
        return parse_instant(at) / SECOND
    except ValueError:
        return 0.0


def claim_time(now: float) -> str:
    """`now` as it stands in a claim, to the millisecond."""
    return format_instant(round(now * 1000) * (SECOND // 1000))


def conflict(series: Series) -> ClaimConflictError:
    """The error of a worker that never got a number."""
    return ClaimConflictError("Every number of the alert's series was taken by another worker.",
                              "Let one run at a time evaluate a workspace, then run again.",
                              f"{series.source}, rule {series.rule!r}")
