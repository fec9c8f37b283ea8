"""Verification: is this all of it, and unchanged? Every byte is read again and every number counted again.

What it rests on: manifests name every object by SHA-256 and lead back from revision to revision. Only a signature, whose
key is not in the bucket, shows that somebody who may write rebuilt all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from ..api.errors import InvalidInputError
from ..api.sources import LogSource, sources_of
from ..api.times import DAY, day_of, day_span, format_instant, to_day, to_instant
from .chain import archived_sources, latest, list_days
from .chain_check import Revision, check_chain, check_links
from .errors import ManifestError, StoreUnavailableError
from .formats import FORMATS
from .keys import day_folder, parse_part_key, source_folder, workspace_folder
from .leftovers import days_with_parts
from .manifest import File
from .objects import ObjectInfo, ObjectStore
from .part_check import check_parts, gather_parts
from .plan import gap_span, to_mend
from .signing import Trust
from .spans import subtract_spans
from .verdicts import ArchiveVerdict, DayVerdict, Finding, FindingKind, Findings

__all__ = ["ArchiveVerdict", "DayVerdict", "Finding", "FindingKind", "verify_archive", "verify_day"]

_GRACE = DAY
"""A day's manifest is missed only once the day is over for that long."""
_ATTEMPTS = 3
_TABLES = (*FORMATS, "manifests")


class _Stray(NamedTuple):
    """A manifest of another day or source that lies here."""

    key: str
    """Where it belongs."""
    parts: tuple[str, ...]
    """Keys of those that it names."""


class _CheckedDay(NamedTuple):
    """What is still needed of a day that was checked: neither its manifests nor what was counted stay in memory."""

    source: LogSource
    day: date
    findings: Findings
    expected: int = 0
    """Revisions there must be."""
    revisions: tuple[str, ...] = ()
    """Keys of those that are there."""
    parts: tuple[str, ...] = ()
    rows: tuple[tuple[str, int], ...] = ()
    """Of each jsonl part of the newest revision."""
    status: str | None = None
    ends_on: date | None = None
    strays: tuple[_Stray, ...] = ()
    lost: tuple[File, ...] = ()
    """Parts that are not where they belong."""

    def verdict(self) -> DayVerdict:
        against = self.findings.speak_against
        return DayVerdict(
            workspace=self.source.workspace, source=self.source.name, kind=self.source.kind, day=self.day,
            findings=self.findings.all(), manifests=self.expected,
            manifests_valid=sum(not against(key) for key in self.revisions),
            parts=len(self.parts), parts_valid=sum(not against(key) for key in self.parts),
            rows=sum(rows for key, rows in self.rows if not against(key)), status=self.status)


def verify_day(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | Trust | None = None,
               now: datetime | None = None) -> DayVerdict:
    """Reads and recounts one archived day; see `verify_archive`. A day without a manifest has a finding ``missing``.

    Raises:
        StoreError: when the store cannot be read.
        InvalidInputError: when a format's extra is missing, the key is empty, or `now` has no time zone.
    """
    checked = _check_patiently(store, source, to_day(day, "day"), signing_key, to_instant(now or datetime.now(UTC), "now"))
    if not checked.expected:
        _miss(store, checked)
    _explain_moves(store, [checked])
    return checked.verdict()


def verify_archive(store: ObjectStore, workspace: str, pipelines: Sequence[str | LogSource] | None, start: date | None,
                   end: date | None, now: datetime, signing_key: str | bytes | Trust | None = None,
                   max_concurrency: int = 4) -> ArchiveVerdict:
    """Verifies every day of a workspace's archive, a few days at once, in bounded memory.

    Args:
        pipelines: names of pipelines, or sources; None for every pipeline and index that was ever archived.
        start, end: the first and last day, both included; None for the first one archived and the last one over.
        now: with a time zone. A day is missed, and an open one incomplete, only once it is over for 24 hours; none is missed
            after the source ended.
        signing_key: what manifests were signed with; then one that is not signed is a finding. A `Trust` accepts several keys,
            and says from which day on.
        max_concurrency: days read at once.

    Raises:
        StoreError: when the store cannot be read; what breaks off in the middle is tried three times.
        InvalidInputError: when a format's extra is missing, the key is empty, `now` has no time zone, or the days asked for are
            all before the first or after the last one archived, and none of them is missed.
    """
    instant = to_instant(now, "now")
    start, end = start and to_day(start, "start"), end and to_day(end, "end")
    if start and end and start > end:
        raise InvalidInputError(f"`start` ({start}) is after `end` ({end}).", "Give the earlier day as `start`.")
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")
    archived = archived_sources(store, workspace)
    asked = archived if pipelines is None else sources_of(workspace, pipelines)
    around = Findings()
    if not archived:
        around.add("missing", workspace_folder(store.prefix, "manifests", workspace), "nothing is archived here")
    for source in asked:
        if archived and source not in archived:
            around.add("missing", source_folder(store.prefix, "manifests", source), "nothing of it is archived")
    days: list[_CheckedDay] = []
    with ThreadPoolExecutor(max_concurrency, "verify") as pool:
        for source in asked:
            days += _check_days(store, source, start, end, instant, signing_key, pool)
    if not days and not around.all():
        _refuse_empty_range(store, asked, start, end)
    if pipelines is None and start is None and end is None:
        _find_strangers(store, workspace, asked, around)
    _explain_moves(store, days, around)
    return ArchiveVerdict(workspace=workspace, days=[checked.verdict() for checked in days], findings=around.all())


def _refuse_empty_range(store: ObjectStore, sources: Iterable[LogSource], start: date | None, end: date | None) -> None:
    """To find nothing wrong with nothing would pass for a proof. Between archived days, nothing may be what is expected."""
    archived = [day for source in sources for day in list_days(store, source)]
    if archived and ((start and start > max(archived)) or (end and end < min(archived))):
        ends = [f"`{name}` {day}" for name, day in (("start", start), ("end", end)) if day]
        raise InvalidInputError(f"In the days that {' and '.join(ends)} leave, none is archived and none should be.",
                                f"Archived is {min(archived)} to {max(archived)}.")


def _check_days(store: ObjectStore, source: LogSource, start: date | None, end: date | None, now: int,
                signing_key: str | bytes | Trust | None, pool: ThreadPoolExecutor) -> Iterable[_CheckedDay]:
    """The source's days from its first to its last, those with nothing to say left out."""
    archived = list_days(store, source)
    present = {*archived}.union(*(days_with_parts(store, source, table) for table in FORMATS))
    before = [day for day in archived if start and day < start]
    begun = bool(before)
    ends_on = _ends_on(store, source, before[-1]) if before else None
    due = day_of(now - _GRACE - DAY)
    last = max([due, *present])
    last = last if end is None else min(end, last)
    day = start if start and before else min(present, default=last + timedelta(days=1))
    day = max(day, start) if start else day
    wanted = sorted(found for found in present if day <= found <= last)
    check = partial(_check_patiently, store, source, signing_key=signing_key, now=now)
    checks = dict(zip(wanted, pool.map(check, wanted), strict=True))
    while day <= last:
        if (checked := checks.get(day)) is not None:
            if checked.expected:
                begun = True
                ends_on = checked.ends_on
            elif begun and day <= min(due, ends_on or due):
                _miss(store, checked)
            yield checked
        elif begun and day <= min(due, ends_on or due):
            checked = _CheckedDay(source, day, Findings())
            _miss(store, checked)
            yield checked
        day += timedelta(days=1)


def _ends_on(store: ObjectStore, source: LogSource, day: date) -> date | None:
    try:
        newest = latest(store, source, day)
    except ManifestError:
        return None
    return newest.manifest.ends_on if newest else None


def _miss(store: ObjectStore, checked: _CheckedDay) -> None:
    folder = day_folder(store.prefix, "manifests", checked.source, checked.day)
    detail = "the day has no manifest"
    # That no manifest names its parts is then no news of its own.
    unnamed = [found.key for found in checked.findings.all()
               if found.kind == "foreign" and _is_part(store, checked.source, checked.day, found.key)]
    for key in unnamed:
        checked.findings.drop("foreign", key)
    checked.findings.add("missing", folder, f"{detail}, though {len(unnamed)} parts of it are there" if unnamed else detail)


def _is_part(store: ObjectStore, source: LogSource, day: date, key: str) -> bool:
    place = parse_part_key(store.prefix, key)
    return place is not None and (place.source, place.day) == (source, day)


def _check_patiently(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | Trust | None,
                     now: int) -> _CheckedDay:
    """`_check_day`, begun again when the store breaks off in the middle of an object: nothing else repeats that."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _check_day(store, source, day, signing_key, now)
        except StoreUnavailableError:
            continue
    return _check_day(store, source, day, signing_key, now)


def _check_day(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | Trust | None,
               now: int) -> _CheckedDay:
    findings = Findings()
    # Parts first: what is committed while this runs is then named by a manifest that is read later.
    listed = [found for table in FORMATS for found in store.list(day_folder(store.prefix, table, source, day))]
    chain = check_chain(store, source, day, findings, signing_key)
    revisions = list(chain.revisions.values())
    parts = gather_parts(store, source, day, revisions, findings)
    check_parts(store, parts, revisions, findings)
    check_links(chain.revisions, findings)
    # What only an unreadable revision names cannot be told: its parts are not accused.
    blind = chain.expected not in chain.revisions and chain.expected > 0
    for found in listed:
        if found.key not in parts and not (blind and _is_part(store, source, day, found.key)):
            findings.add("foreign", found.key, "no manifest names it: a run that did not finish left it (the next one takes it "
                                               "over), or somebody else put it there")
    newest = revisions[-1] if revisions else None
    if newest:
        _tell_gaps(newest, findings)
        if newest.manifest.status == "open" and now >= day_span(day).end + _GRACE:
            _tell_unread(newest, day, findings)
    readable = chain.revisions.get(chain.expected)
    originals = dict.fromkeys(file.key for file in newest.manifest.files if file.format == "jsonl") if newest else {}
    return _CheckedDay(
        source, day, findings, chain.expected, tuple(revision.key for revision in revisions), tuple(parts),
        tuple((key, parts[key].recount.rows) for key in originals if key in parts),
        newest.manifest.status if newest else None, readable.manifest.ends_on if readable else None,
        tuple(_Stray(stray.key, tuple(file.key for file in stray.manifest.files)) for stray in chain.strays),
        tuple(part.entries[-1][1] for part in parts.values() if part.missing))


def _tell_unread(newest: Revision, day: date, findings: Findings) -> None:
    """What an open day lacks beside its gaps. Its own run should have mended it long ago."""
    told = [gap_span(gap.start, gap.end) for gap in newest.manifest.gaps]
    for span in subtract_spans(to_mend(newest.manifest, day_span(day)), told):
        stretch = f"{format_instant(span.start)} to {format_instant(span.end)}"
        findings.add("gap", newest.key, f"{stretch}: read too early, and not again")


def _tell_gaps(newest: Revision, findings: Findings) -> None:
    for gap in newest.manifest.gaps:
        if gap.reason != "before-first-run":
            findings.add("gap", newest.key, f"{gap.start} to {gap.end}: {gap.reason}")
    for tie in newest.manifest.unresolved_ties:
        findings.add("gap", newest.key, f"{tie.start} to {tie.end}: {tie.rows} rows of one instant, perhaps not all")


def _find_strangers(store: ObjectStore, workspace: str, sources: Iterable[LogSource], around: Findings) -> None:
    """Objects in the tables that lie in no day's folder of a verified source. Other workspaces are left alone."""
    known = {source_folder(store.prefix, table, source): source for table in _TABLES for source in sources}
    for table in _TABLES:
        workspace_root = workspace_folder(store.prefix, table, workspace)
        root = f"{workspace_root.rstrip('/').rpartition('/')[0]}/"
        for found in store.list(root):
            first, _, rest = found.key.removeprefix(root).partition("/")
            if first.startswith("workspace=") and not found.key.startswith(workspace_root):
                continue
            source = known.get(f"{root}{first}/{rest.partition('/')[0]}/")
            if source is None or not _in_a_day(store, table, source, found):
                around.add("foreign", found.key, "it lies where no part and no manifest belongs")


def _in_a_day(store: ObjectStore, table: str, source: LogSource, found: ObjectInfo) -> bool:
    """Whether the day's own check has seen the object."""
    name = found.key.removeprefix(source_folder(store.prefix, table, source)).partition("/")[0].removeprefix("dt=")
    try:
        return found.key.startswith(day_folder(store.prefix, table, source, date.fromisoformat(name)))
    except ValueError:
        return False


def _explain_moves(store: ObjectStore, days: Sequence[_CheckedDay], around: Findings | None = None) -> None:
    """Turns ``missing`` into ``moved`` where the same bytes lie under another key, and says no more of that key."""
    everywhere = [*(checked.findings for checked in days), *([around] if around else [])]
    for checked in days:
        for stray in checked.strays:
            explained = [stray.key, f"{stray.key.rpartition('/')[0]}/", *stray.parts]
            for findings in everywhere:
                for key in explained:
                    findings.drop("missing", key)
                    findings.drop("foreign", key)
    lost = [(checked, file) for checked in days for file in checked.lost]
    if not lost:
        return
    named = {key for checked in days for key in checked.parts}
    sizes = {file.bytes for _, file in lost}
    places = {_sha256(store, found.key): found.key for found in store.list(f"{store.prefix}/" if store.prefix else "")
              if found.bytes in sizes and found.key not in named}
    for checked, file in lost:
        if place := places.get(file.sha256):
            checked.findings.drop("missing", file.key)
            checked.findings.add("moved", file.key, f"it lies at {place}")
            for findings in everywhere:
                findings.drop("foreign", place)


def _sha256(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    opened = store.open(key)
    if opened is not None:
        with opened as chunks:
            for chunk in chunks:
                digest.update(chunk)
    return digest.hexdigest()
