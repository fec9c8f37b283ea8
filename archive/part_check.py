"""Verifying a day's parts: bytes, order, doubles, every number the manifests state, and the copies in other formats."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from datetime import date
from itertools import zip_longest

from ..api.rows import Row
from ..api.sources import LogSource
from ..api.times import MICROSECOND, day_span, parse_instant
from .chain_check import Revision
from .errors import ChecksumError, PartError
from .formats import find_table, to_record
from .keys import PartKey, parse_part_key
from .manifest import File
from .objects import ObjectStore
from .part_merge import OrderedPart, merge_parts
from .part_stream import decode_lines, decompress, read_part_rows
from .recount import Recount, add_recounts
from .verdicts import Findings


class CheckedPart:
    """One object that manifests name."""

    def __init__(self, key: str, place: PartKey) -> None:
        self.key = key
        self.place = place
        self.entries: list[tuple[Revision, File]] = []
        """What each revision says of it, oldest first."""
        self.missing = False
        self.bytes = 0
        self.problem: str | None = None
        """Why it cannot be read to its end as what it should be."""
        self.recount = Recount(day_span(place.day))
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hex, of the bytes that were read."""
        return self._hash.hexdigest()

    def hashed(self, chunks: Iterable[bytes]) -> Generator[bytes]:
        """The same chunks, counted."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.bytes += len(chunk)
            yield chunk

    def rows(self, store: ObjectStore) -> Iterator[Row]:
        """The rows of a jsonl part as far as it can be read; all its bytes are hashed in any case."""
        opened = store.open(self.key)
        if opened is None:
            self.missing = True
            return
        with opened as chunks:
            hashed = self.hashed(chunks)
            try:
                for row in decode_lines(self.key, decompress(self.key, hashed)):
                    self.recount.add(row)
                    yield row
            except PartError as error:
                self.problem = error.problem
                for _ in hashed:
                    pass
            except ChecksumError as error:
                self.problem = error.problem


def gather_parts(store: ObjectStore, source: LogSource, day: date, revisions: Iterable[Revision],
                 findings: Findings) -> dict[str, CheckedPart]:
    """Every object that the manifests name, by key. A key outside of the day is a finding and not read; one that a manifest
    names twice is a finding too: all who sum over its files would count the same rows twice."""
    parts: dict[str, CheckedPart] = {}
    for revision in revisions:
        numbers = {place.number for file in revision.manifest.files
                   if (place := parse_part_key(store.prefix, file.key)) and place.format == "jsonl"}
        seen: set[str] = set()
        for file in revision.manifest.files:
            place = parse_part_key(store.prefix, file.key)
            if file.key in seen:
                findings.add("modified", revision.key, f"it names {file.key} more than once")
                continue
            seen.add(file.key)
            if place is None or (place.source, place.day, place.format) != (source, day, file.format):
                findings.add("modified", revision.key, f"it names {file.key}, which is no {file.format} part of its day")
            elif place.number not in numbers:
                findings.add("modified", revision.key, f"it names {file.key}, but no jsonl part of that number")
            else:
                parts.setdefault(file.key, CheckedPart(file.key, place)).entries.append((revision, file))
    return parts


def check_parts(store: ObjectStore, parts: dict[str, CheckedPart], revisions: Iterable[Revision], findings: Findings) -> None:
    """Reads every part once (a jsonl part once more for each copy of it) and says what is not as the manifests state."""
    originals = [part for part in parts.values() if part.place.format == "jsonl"]
    by_number = {part.place.number: part for part in originals}
    doubles = _read_originals(store, originals)
    for part in originals:
        _judge(part, findings)
        for revision, file in part.entries:
            if not findings.speak_against(part.key) and (differing := part.recount.file_differences(file)):
                findings.add("modified", revision.key, f"{', '.join(differing)} of {part.key} are not what the part holds")
    for (one, other), count in doubles.items():
        if not findings.speak_against(one) and not findings.speak_against(other):
            findings.add("modified", other, f"{count} of its rows are in {one} as well")
    for part in parts.values():
        if part.place.format != "jsonl":
            _check_copy(store, part, by_number[part.place.number], findings)
        _check_redaction(part, findings)
    for revision in revisions:
        _check_counts(revision, parts, findings)
        _check_policy(revision, findings)


def _read_originals(store: ObjectStore, originals: Iterable[CheckedPart]) -> Counter[tuple[str, str]]:
    """Reads the jsonl parts; how many rows each pair of parts has in common."""
    ordered = [OrderedPart(part.key, _first(part), lambda part=part: part.rows(store)) for part in originals]
    doubles: Counter[tuple[str, str]] = Counter()
    before: tuple[str, Row] | None = None
    for key, row in merge_parts(ordered):
        if before and before[0] != key and (before[1].logged_at, before[1].log_id) == (row.logged_at, row.log_id):
            doubles[min(before[0], key), max(before[0], key)] += 1
        before = key, row
    return doubles


def _first(part: CheckedPart) -> int:
    """When the part's rows begin, by the manifests; the day's start when one does not say."""
    try:
        return min(parse_instant(file.first or "") for _, file in part.entries)
    except ValueError:
        return part.recount.day.start


def _judge(part: CheckedPart, findings: Findings) -> None:
    """Holds the bytes that were read against every revision's entry."""
    if part.missing:
        findings.add("missing", part.key, "it is not there")
        return
    fitting = [(file.sha256, file.bytes) == (part.sha256, part.bytes) for _, file in part.entries]
    if not any(fitting):
        findings.add("modified", part.key, "its bytes are not those that were written")
        return
    for (revision, _), fits in zip(part.entries, fitting, strict=True):
        if not fits:
            findings.add("modified", revision.key, f"bytes or sha256 of {part.key} are not what the part holds")
    if problem := part.problem or part.recount.disorder:
        findings.add("modified", part.key, f"its hash fits, but it is no part: {problem}")


def _check_copy(store: ObjectStore, part: CheckedPart, original: CheckedPart, findings: Findings) -> None:
    """Reads a part of another format and holds it against its jsonl part, line by line."""
    opened = store.open(part.key)
    if opened is None:
        part.missing = True
        return _judge(part, findings)
    whole = not findings.speak_against(original.key)
    differing: int | None = None
    with opened as chunks:
        hashed = part.hashed(chunks)
        try:
            records = find_table(part.place.format).read(part.key, hashed)
            if whole:
                expected = map(to_record, read_part_rows(store, original.key))
                pairs = enumerate(zip_longest(records, expected), 1)
                differing = next((number for number, (found, right) in pairs if found != right), None)
        except PartError as error:
            part.problem = error.problem
        except ChecksumError as error:
            part.problem = error.problem
            return _judge(part, findings)
        for _ in hashed:
            pass
    if differing is not None:
        part.problem = f"line {differing} is not row {differing} of {original.key}"
    _judge(part, findings)
    for revision, file in part.entries:
        if whole and (file.rows != original.recount.rows or not _times_fit(file, original.recount)):
            findings.add("modified", revision.key, f"rows, first or last of {part.key} are not what the part holds")
    return None


def _times_fit(file: File, recount: Recount) -> bool:
    """Whether a copy's `first` and `last` are those of its rows; a table holds microseconds."""
    for said, counted in ((file.first, recount.first), (file.last, recount.last)):
        if said is not None:
            try:
                instant = parse_instant(said)
            except ValueError:
                return False
            if counted is None or instant // MICROSECOND != counted // MICROSECOND:
                return False
    return True


def _check_counts(revision: Revision, parts: dict[str, CheckedPart], findings: Findings) -> None:
    """Holds a revision's numbers against its own parts, where these are what they were."""
    keys = dict.fromkeys(file.key for file in revision.manifest.files if file.format == "jsonl")
    own = [parts[key] for key in keys if key in parts]
    if any(findings.speak_against(part.key) for part in own):
        return  # the part's finding explains whatever differs
    total = add_recounts(own[0].recount.day, [part.recount for part in own]) if own else _nothing(revision)
    if differing := total.differences(revision.manifest):
        findings.add("modified", revision.key, f"{', '.join(differing)} are not what its parts hold")


def _check_redaction(part: CheckedPart, findings: Findings) -> None:
    """An object is written once: what it went through cannot change from one revision to the next."""
    said = {file.redaction for _, file in part.entries if _says_redaction(file)}
    if len(said) > 1:
        findings.add("modified", part.entries[-1][0].key, f"the redaction of {part.key} is not what an earlier revision says")


def _check_policy(revision: Revision, findings: Findings) -> None:
    """A manifest may state a policy for the day only where every object went through it."""
    policy = revision.manifest.redaction
    others = [file.key for file in revision.manifest.files if _says_redaction(file) and file.redaction != policy]
    if policy is not None and others:
        findings.add("modified", revision.key, f"it states a redaction policy that {', '.join(others)} did not go through")


def _says_redaction(file: File) -> bool:
    """False for entries of the first versions, which spoke of the whole day alone."""
    return "redaction" in file.model_fields_set


def _nothing(revision: Revision) -> Recount:
    return Recount(day_span(date.fromisoformat(revision.manifest.dt)))
