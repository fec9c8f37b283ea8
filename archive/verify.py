"""Verification: is this all of it, and unchanged? Every byte is read again and every number counted again.

What it rests on: manifests name every object by SHA-256 and lead back from revision to revision. Only a signature, whose
key is not in the bucket, shows that somebody who may write rebuilt all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from ..api.errors import InvalidInputError
from ..api.sources import LogSource
from ..api.times import DAY, day_of, to_instant
from .chain import archived_sources, latest, list_days
from .chain_check import CheckedChain, Revision, check_chain, check_links
from .errors import ManifestError, StoreUnavailableError
from .formats import FORMATS
from .keys import day_folder, parse_part_key, source_folder, workspace_folder
from .leftovers import days_with_parts
from .objects import ObjectInfo, ObjectStore
from .part_check import CheckedPart, check_parts, gather_parts
from .verdicts import ArchiveVerdict, DayVerdict, Finding, FindingKind, Findings

__all__ = ["ArchiveVerdict", "DayVerdict", "Finding", "FindingKind", "verify_archive", "verify_day"]

_GRACE = DAY
"""A day's manifest is missed only once the day is over for that long."""
_ATTEMPTS = 3
_TABLES = (*FORMATS, "manifests")


class _CheckedDay(NamedTuple):
    source: LogSource
    day: date
    findings: Findings
    chain: CheckedChain
    parts: dict[str, CheckedPart]

    def verdict(self) -> DayVerdict:
        against = self.findings.speak_against
        newest = max(self.chain.revisions.values(), key=lambda revision: revision.manifest.revision, default=None)
        rows = [self.parts[file.key].recount.rows for file in (newest.manifest.files if newest else ())
                if file.format == "jsonl" and file.key in self.parts and not against(file.key)]
        return DayVerdict(
            workspace=self.source.workspace, source=self.source.name, kind=self.source.kind, day=self.day,
            findings=self.findings.all(), manifests=self.chain.expected,
            manifests_valid=sum(not against(revision.key) for revision in self.chain.revisions.values()),
            parts=len(self.parts), parts_valid=sum(not against(key) for key in self.parts),
            rows=sum(rows), status=newest.manifest.status if newest else None)


def verify_day(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | None = None) -> DayVerdict:
    """Reads and recounts one archived day; see `verify_archive`. A day without a manifest has a finding ``missing``.

    Raises:
        StoreError: when the store cannot be read.
        InvalidInputError: when a format's extra is missing, or the key is empty.
    """
    checked = _check_patiently(store, source, day, signing_key)
    if not checked.chain.expected:
        _miss(store, checked)
    _explain_moves(store, [checked])
    return checked.verdict()


def verify_archive(store: ObjectStore, workspace: str, pipelines: Sequence[str | LogSource] | None, start: date | None,
                   end: date | None, now: datetime, signing_key: str | bytes | None = None,
                   max_concurrency: int = 4) -> ArchiveVerdict:
    """Verifies every day of a workspace's archive, a few days at once, in bounded memory.

    Args:
        pipelines: names of pipelines, or sources; None for every pipeline and index that was ever archived.
        start, end: the first and last day, both included; None for the first one archived and the last one over.
        now: with a time zone. A day is missed only once it is over for 24 hours, and none after the source ended.
        signing_key: what manifests were signed with; then one that is not signed is a finding.
        max_concurrency: days read at once.

    Raises:
        StoreError: when the store cannot be read; what breaks off in the middle is tried three times.
        InvalidInputError: when a format's extra is missing, the key is empty, or `now` has no time zone.
    """
    instant = to_instant(now, "now")
    if start and end and start > end:
        raise InvalidInputError(f"`start` ({start}) is after `end` ({end}).", "Give the earlier day as `start`.")
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")
    archived = archived_sources(store, workspace)
    asked = archived if pipelines is None else [
        LogSource(workspace, name) if isinstance(name, str) else name for name in dict.fromkeys(pipelines)]
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
    if pipelines is None and start is None and end is None:
        _find_strangers(store, workspace, asked, around)
    _explain_moves(store, days, around)
    return ArchiveVerdict(workspace=workspace, days=[checked.verdict() for checked in days], findings=around.all())


def _check_days(store: ObjectStore, source: LogSource, start: date | None, end: date | None, now: int,
                signing_key: str | bytes | None, pool: ThreadPoolExecutor) -> Iterable[_CheckedDay]:
    """The source's days from its first to its last, those with nothing to say left out."""
    archived = list_days(store, source)
    present = {*archived}.union(*(days_with_parts(store, source, table) for table in FORMATS))
    before = [day for day in archived if start and day < start]
    begun = bool(before)
    ends_on = _ends_on(store, source, before[-1]) if before else None
    due = day_of(now - _GRACE - DAY)
    last = max([due, *present]) if end is None else end
    day = start if start and before else min(present, default=last + timedelta(days=1))
    day = max(day, start) if start else day
    wanted = sorted(found for found in present if day <= found <= last)
    check = partial(_check_patiently, store, source, signing_key=signing_key)
    checks = dict(zip(wanted, pool.map(check, wanted), strict=True))
    while day <= last:
        if (checked := checks.get(day)) is not None:
            if checked.chain.expected:
                begun = True
                newest = checked.chain.revisions.get(checked.chain.expected)
                ends_on = newest.manifest.ends_on if newest else None
            elif begun and day <= min(due, ends_on or due):
                _miss(store, checked)
            yield checked
        elif begun and day <= min(due, ends_on or due):
            checked = _CheckedDay(source, day, Findings(), CheckedChain({}, 0, []), {})
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


def _check_patiently(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | None) -> _CheckedDay:
    """`_check_day`, begun again when the store breaks off in the middle of an object: nothing else repeats that."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return _check_day(store, source, day, signing_key)
        except StoreUnavailableError:
            continue
    return _check_day(store, source, day, signing_key)


def _check_day(store: ObjectStore, source: LogSource, day: date, signing_key: str | bytes | None) -> _CheckedDay:
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
    if revisions:
        _tell_gaps(revisions[-1], findings)
    return _CheckedDay(source, day, findings, chain, parts)


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
        for stray in checked.chain.strays:
            explained = [stray.key, f"{stray.key.rpartition('/')[0]}/", *(file.key for file in stray.manifest.files)]
            for findings in everywhere:
                for key in explained:
                    findings.drop("missing", key)
                    findings.drop("foreign", key)
    lost = [(checked, part, part.entries[-1][1]) for checked in days for part in checked.parts.values() if part.missing]
    if not lost:
        return
    named = {key for checked in days for key in checked.parts}
    sizes = {file.bytes for _, _, file in lost}
    places = {_sha256(store, found.key): found.key for found in store.list(f"{store.prefix}/" if store.prefix else "")
              if found.bytes in sizes and found.key not in named}
    for checked, part, file in lost:
        if place := places.get(file.sha256):
            checked.findings.drop("missing", part.key)
            checked.findings.add("moved", part.key, f"it lies at {place}")
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
