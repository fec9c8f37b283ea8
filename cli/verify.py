"""``prefect-deepset verify``: is this all of it, and unchanged?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from ..archive.verdicts import DayVerdict, Finding
from ..archive.verify import verify_archive
from .places import OpenArchive, choose_sources, choose_workspace
from .progress import watched
from .terminal import count, say


def show_verdict(archive: OpenArchive, workspace: str | None, names: Sequence[str] | None, start: date | None, end: date | None,
                 now: datetime) -> int:
    """Reads all of it again and prints what was found; 1 when something is wrong, otherwise 0."""
    chosen = choose_workspace(archive.store, workspace)
    # Not every source by name: only then are objects found that belong to none.
    sources = choose_sources(archive.store, chosen, names) if names else None
    with watched(archive.store, f"Reading {archive.name} again:") as store:
        verdict = verify_archive(store, chosen, sources, start, end, now, archive.trust)
    days: dict[tuple[str, str], list[DayVerdict]] = defaultdict(list)
    for day in verdict.days:
        days[day.kind, day.source].append(day)
    for (kind, name), checked in days.items():
        sound = "valid" if all(day.ok for day in checked) else "WRONG"
        say(f"{kind} {name}: {sound}, {checked[0].day} to {checked[-1].day}, {count(len(checked), 'day')}, "
            f"{count(sum(day.rows for day in checked), 'row')}")
        for day in checked:
            _tell(day.findings, f"  {day.day} ")
    _tell(verdict.findings, "  ")
    say(f"{archive.name}, workspace {chosen}: {verdict.summary}: {'valid' if verdict.ok else 'WRONG'}")
    return 0 if verdict.ok else 1


def _tell(findings: Sequence[Finding], indent: str) -> None:
    for finding in findings:
        say(f"{indent}{finding}")
