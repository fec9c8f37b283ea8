"""Verifying a day's chain of manifests: every revision readable and in its place, none missing, each leading to the one before.

Unlike `chain`, which stops at the first fault because a run must not build on it, this goes on and says all there is.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from ..api.sources import LogSource
from .errors import ManifestError
from .keys import day_folder, manifest_key, parse_manifest_key, parse_part_key
from .manifest import Manifest, sha256_hex
from .objects import ObjectStore
from .relations import contradictions
from .signing import Trust
from .verdicts import Findings


class Revision(NamedTuple):
    """One readable revision of the day."""

    key: str
    """Where it belongs; it may have been found elsewhere."""
    body: bytes
    manifest: Manifest


class CheckedChain(NamedTuple):
    """What the day's folder of manifests holds."""

    revisions: dict[int, Revision]
    """The readable ones by number, those found under another key included."""
    expected: int
    """How many revisions there must be."""
    strays: list[Revision]
    """Manifests that belong to other days or sources, and are not there."""


def check_chain(store: ObjectStore, source: LogSource, day: date, findings: Findings,
                signing_key: str | bytes | Trust | None) -> CheckedChain:
    """Reads and verifies every revision of the day."""
    revisions, unreadable, strays = _read(store, source, day, findings)
    expected = max([*revisions, 0])
    for number, problem in unreadable.items():
        key = manifest_key(store.prefix, source, day, number)
        if number <= expected + 1:
            findings.add("modified", key, problem)
            expected = max(expected, number)
        else:
            findings.add("foreign", key, f"{problem}, and the revision before it does not exist")
    for number in range(1, expected + 1):
        if number not in revisions and number not in unreadable:
            findings.add("missing", manifest_key(store.prefix, source, day, number), "newer revisions exist")
    _check_steps(store, source, day, revisions, findings)
    if signing_key is not None and (trust := Trust.of(signing_key)).covers(day):
        _check_signatures(revisions, findings, trust)
    return CheckedChain(revisions, expected, strays)


def check_links(revisions: dict[int, Revision], findings: Findings) -> None:
    """Holds each revision against itself and the one before. Last of all: a fault already found explains a broken hash."""
    for number, revision in revisions.items():
        previous, before = revision.manifest.previous, revisions.get(number - 1)
        linked = previous is not None and before is not None and previous.sha256 == sha256_hex(before.body)
        for contradiction in contradictions(revision.manifest, before.manifest if linked and before else None):
            findings.add("modified", revision.key, contradiction)
    for number, revision in revisions.items():
        previous, before = revision.manifest.previous, revisions.get(number - 1)
        if previous and before and previous.sha256 != sha256_hex(before.body) and not findings.speak_against(before.key):
            findings.add("broken-link", revision.key, f"{before.key} is not, byte for byte, what this revision was built on")


def _read(store: ObjectStore, source: LogSource, day: date,
          findings: Findings) -> tuple[dict[int, Revision], dict[int, str], list[Revision]]:
    """The readable revisions; by number, what is wrong with the unreadable ones; the strays. Says what is foreign or moved."""
    revisions: dict[int, Revision] = {}
    unreadable: dict[int, str] = {}
    misplaced: list[Revision] = []
    for key in _keys(store, source, day):
        number, body = _number(store, source, day, key), store.get(key) or b""
        try:
            manifest = Manifest.from_bytes(body, key)
        except ManifestError as error:
            if number:
                unreadable[number] = error.problem
            else:
                findings.add("foreign", key, "it is no manifest")
            continue
        if number and _home(store, manifest) == key:
            revisions[number] = Revision(key, body, manifest)
        else:
            misplaced.append(Revision(key, body, manifest))
    strays: list[Revision] = []
    newest = max([*revisions, 0])
    for found in misplaced:
        home, number = _home(store, found.manifest), _number(store, source, day, found.key)
        movable = home is not None and _is_vacant(store, home)
        if number and (_contradicts_itself(store, source, day, number, found.manifest) or (not movable and number <= newest)):
            unreadable[number] = "it says that it is another revision, or belongs to another day or source"
        elif home is None or not movable:
            findings.add("foreign", found.key, f"it is a copy of {home}" if home else "it is the manifest of another archive")
        else:
            findings.add("moved", home, f"it lies at {found.key}")
            if home == manifest_key(store.prefix, source, day, found.manifest.revision):
                revisions[found.manifest.revision] = found._replace(key=home)
            else:
                strays.append(found._replace(key=home))
    return dict(sorted(revisions.items())), dict(sorted(unreadable.items())), strays


def _keys(store: ObjectStore, source: LogSource, day: date) -> list[str]:
    """Every key in the day's folder of manifests, and those after the newest listed: a listing may lag."""
    keys = [found.key for found in store.list(day_folder(store.prefix, "manifests", source, day))]
    newest = max((number for key in keys if (number := _number(store, source, day, key))), default=0)
    while store.get(following := manifest_key(store.prefix, source, day, newest + 1)) is not None:
        keys.append(following)
        newest += 1
    return keys


def _number(store: ObjectStore, source: LogSource, day: date, key: str) -> int:
    """The revision whose place the key is, 0 when it is nobody's."""
    parsed = parse_manifest_key(store.prefix, key)
    return parsed.revision if parsed and key == manifest_key(store.prefix, source, day, parsed.revision) else 0


def _home(store: ObjectStore, manifest: Manifest) -> str | None:
    """The key the manifest says it belongs to; None when it names no possible one."""
    try:
        day = date.fromisoformat(manifest.dt)
    except ValueError:
        return None
    source = LogSource(manifest.source.workspace, manifest.source.pipeline, manifest.source.kind)
    return manifest_key(store.prefix, source, day, manifest.revision) if manifest.revision > 0 else None


def _is_vacant(store: ObjectStore, home: str) -> bool:
    """Whether what belongs at a manifest's key is not there: nothing is, or another manifest that belongs elsewhere."""
    body = store.get(home)
    try:
        return body is None or _home(store, Manifest.from_bytes(body, home)) != home
    except ManifestError:
        return False


def _contradicts_itself(store: ObjectStore, source: LogSource, day: date, number: int, manifest: Manifest) -> bool:
    """Whether a manifest that is not where it says was changed, not moved: its parts or its link speak for where it is."""
    previous = manifest.previous
    if (previous is None) != (manifest.revision == 1):
        return True
    if previous is not None and previous.key == manifest_key(store.prefix, source, day, number - 1):
        return True
    here = manifest_key(store.prefix, source, day, manifest.revision) == _home(store, manifest)
    places = (parse_part_key(store.prefix, file.key) for file in manifest.files)
    return not here and any(place is not None and (place.source, place.day) == (source, day) for place in places)


def _check_steps(store: ObjectStore, source: LogSource, day: date, revisions: dict[int, Revision], findings: Findings) -> None:
    """Each revision names the one before, comes from the same place, and drops none of its files."""
    for number, revision in revisions.items():
        manifest, previous = revision.manifest, revision.manifest.previous
        if number == 1:
            if previous:
                findings.add("broken-link", revision.key, "the first revision names one before it")
            continue
        if previous is None:
            findings.add("broken-link", revision.key, "it names no revision before it")
        elif previous.key != manifest_key(store.prefix, source, day, number - 1):
            findings.add("broken-link", revision.key, f"it names {previous.key} as the one before it")
        before = revisions.get(number - 1)
        if before is None:
            continue
        for name in ("host", "workspace_id"):
            then, now = getattr(before.manifest.source, name), getattr(manifest.source, name)
            if then and now and then != now:
                findings.add("modified", revision.key, f"its source's {name} is not that of the revision before")
        kept = {file.key for file in manifest.files}
        dropped = [file.key for file in before.manifest.files if file.key not in kept]
        if dropped:
            findings.add("modified", revision.key, f"it no longer names {', '.join(dropped)}")


def _check_signatures(revisions: dict[int, Revision], findings: Findings, trust: Trust) -> None:
    """Newest first: what a signed revision was built on is covered by its signature, through `previous`."""
    covered: str | None = None
    for _, revision in sorted(revisions.items(), reverse=True):
        signed = trust.signed(revision.body)
        if not signed and revision.manifest.signature is not None:
            findings.add("modified", revision.key, "its signature does not fit its bytes and any key")
        elif not signed and covered != sha256_hex(revision.body):
            findings.add("unsigned", revision.key, "it carries no signature, which only days before signed_since may lack")
        trusted = signed or covered == sha256_hex(revision.body)
        covered = revision.manifest.previous.sha256 if trusted and revision.manifest.previous else None
