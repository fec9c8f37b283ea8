"""``prefect-deepset status``: a wall calendar of each pipeline's archived days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from rich import box
from rich.table import Table
from rich.text import Text

from ..api.times import SECOND, day_of
from .days import ArchivedDay, SourceDays, read_days
from .places import OpenArchive, choose_sources, choose_workspace
from .progress import watched
from .terminal import count, output, plain, say

_STYLES = {"settled": "green", "sealed": "green", "open": "yellow", "gap": "magenta", "not yet": "dim"}
_WRONG = "bold red"


def show_status(archive: OpenArchive, workspace: str | None, names: Sequence[str] | None, days: int, now: float) -> int:
    """Prints the calendars and what is wrong; 1 when something is, otherwise 0."""
    today = day_of(int(now) * SECOND)
    first = today - timedelta(days=days - 1)
    chosen = choose_workspace(archive.store, workspace)
    sources = choose_sources(archive.store, chosen, names)
    with watched(archive.store, f"Reading the manifests of {archive.name}:") as store:
        found = list(read_days(store, sources, first, today, now))
    console = output()
    for source in found:
        console.print(_calendar(source))
    wrong = [day for source in found for day in source.days if day.wrong]
    for day in wrong:
        say(f"{day.state} {day.source.name} {day.day}: {day.note}")
    for source in found:
        if source.overdue:
            say(f"INCOMPLETE {source.source.name}: {source.overdue}")
    manifests = [day.manifest for source in found for day in source.days if day.manifest]
    say(f"{archive.name}, workspace {chosen}: {count(len(found), 'source')}, {count(len(manifests), 'day')}, "
        f"{count(sum(m.rows for m in manifests), 'row')}, {count(sum(m.errors for m in manifests), 'error')}, "
        f"{len(wrong) or 'none'} incomplete")
    return 1 if wrong or any(source.overdue for source in found) else 0


def _calendar(source: SourceDays) -> Table:
    kind = "" if source.source.kind == "pipeline" else f" ({source.source.kind})"
    table = Table(title=Text(plain(source.source.name) + kind, "bold"), title_justify="left", box=box.SIMPLE_HEAD,
                  padding=(0, 1, 0, 0), pad_edge=False)
    days = {day.day: day for day in source.days}
    # The wall's form where weekdays carry meaning: a week a row, Monday first.
    for name in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        table.add_column(name, min_width=10, no_wrap=True)
    if days:
        monday = min(days) - timedelta(days=min(days).weekday())
        while monday <= max(days):
            week = [monday + timedelta(days=n) for n in range(7)]
            table.add_row(*(_cell(days[day]) if day in days else Text() for day in week))
            monday += timedelta(days=7)
    return table


def _cell(day: ArchivedDay) -> Text:
    text = Text(f"{_shown(day.day)}\n", no_wrap=True)
    text.append(day.state, _WRONG if day.wrong else _STYLES.get(day.state, ""))
    if day.manifest is not None:
        text.append(f"\n{day.manifest.rows:,}")
        if day.manifest.errors:
            text.append(f"\n{day.manifest.errors:,} err", "red")
    text.append("\n")
    return text


def _shown(day: date) -> str:
    return datetime(day.year, day.month, day.day).strftime("%d %b")  # noqa: DTZ001 - only its name is wanted
