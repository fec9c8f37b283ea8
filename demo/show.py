"""What the demo prints."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ..archive.manifest import Manifest
from .check import Comparison
from .receiver import Received
from .world import Requests, World

ALERT_LINES = 14
"""Lines of an alert that are shown; all of it is in the output folder."""


class Show:
    """Prints the story; nothing here decides anything."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """A line with its outcome and the seconds it took; the block calls what it is given to say the outcome."""
        began, outcome = time.monotonic(), ""

        def done(text: str) -> None:
            nonlocal outcome
            outcome = text

        with self.console.status(f"{title} ..."):
            yield done
        took = f"[dim]({time.monotonic() - began:.1f} s)[/]"
        self.console.print(f"[bold]{escape(title)}[/]: {escape(outcome)} {took}")

    def world(self, world: World) -> None:
        """What was written, and what stands in the way."""
        self.console.print(f"[bold]a deepset API that makes trouble[/]: {world.url}, {world.day} (UTC), one workspace")
        for name, story in world.pipelines.items():
            self.console.print(f"  {name:<18} {len(world.truth(name)):>7,} rows; {story}")

    def archived(self, manifests: Sequence[Manifest], comparisons: Mapping[str, Comparison]) -> None:
        """One line for each pipeline's day: what the manifest says, and what a recount found."""
        table = Table(title="What was archived", title_justify="left", title_style="bold", header_style="dim",
                      box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("pipeline", no_wrap=True)
        for heading in ("rows", "errors", "status", "files", "size", "requests", "lost", "doubled"):
            table.add_column(heading, justify="left" if heading == "status" else "right")
        for manifest in manifests:
            counted = comparisons[manifest.source.pipeline]
            table.add_row(
                manifest.source.pipeline,
                f"{manifest.rows:,}",
                f"{manifest.errors:,}",
                manifest.status,
                str(len(manifest.files)),
                f"{sum(file.bytes for file in manifest.files) / 1e6:.2f} MB",
                f"{manifest.requests:,}",
                f"{counted.lost:,}",
                f"{counted.doubled:,}",
            )
        self.console.print()
        self.console.print(table)

    def requests(self, requests: Requests) -> None:
        """What the API was asked, as the API counted it."""
        self.console.print(f"[dim]The API answered {requests.pages:,} pages, and 504 to {requests.timeouts:,} more.[/]")

    def alerts(self, received: Sequence[Received], events: Sequence[tuple[str, str]]) -> None:
        """The notifications that arrived, and the events the Prefect server holds."""
        self.console.print()
        for message in received:
            width = self.console.width - 6
            lines = [line for text in message.body.splitlines() for line in (textwrap.wrap(text, width) or [""])]
            shown = "\n".join(lines[:ALERT_LINES] + ["..."] * (len(lines) > ALERT_LINES))
            self.console.print(Panel(escape(shown), title=escape(message.subject), title_align="left", border_style="red"))
        if not received:
            self.console.print("No alert arrived.")
        self.console.print("[bold]Events[/] [dim](each can start a deployment)[/]")
        for event, resource in sorted(events):
            self.console.print(f"  {event:<40} {resource}")

    def files(self, output: Path, objects: Sequence[str], others: Sequence[Path]) -> None:
        """Where everything lies, and how to look at it."""
        parts = [key for key in objects if "/jsonl/" in key]
        manifests = [key for key in objects if "/manifests/" in key and key.endswith(".json")]
        self.console.print(f"\n[bold]Yours to open[/], in {output}/")
        rest = len(objects) - len(parts) - len(manifests)
        self.console.print(f"  archive/: the bucket: {len(parts)} parts, {len(manifests)} manifests, {rest} more")
        for path in others:
            self.console.print(f"  {path.name}")
        self.console.print("[dim]Try:[/]")
        if parts:
            self.console.print(f"  gzip -dc '{output}/archive/{parts[0]}' | head -n 2")
        if manifests:
            self.console.print(f"  cat '{output}/archive/{manifests[0]}'")

    def verdict(self, comparisons: Mapping[str, Comparison], faults: Sequence[str], note: str) -> None:
        """The last line."""
        written = sum(comparison.written for comparison in comparisons.values())
        lost = sum(comparison.lost for comparison in comparisons.values())
        doubled = sum(comparison.doubled for comparison in comparisons.values())
        self.console.print()
        if note:
            self.console.print(f"[yellow]{note}[/]")
        for fault in faults:
            self.console.print(f"[bold red]Not as promised:[/] {escape(fault)}")
        colour = "red" if faults else "green"
        self.console.print(f"[bold {colour}]{written:,} rows written, {lost:,} lost, {doubled:,} doubled.[/]")
