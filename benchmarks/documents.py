"""Markdown tables, printed as they grow, and put into docs/benchmarks.md between the markers of the command that made them."""

from __future__ import annotations

import re

from .measure import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"


class Table:
    """A Markdown table; each row is printed as soon as it is known."""

    def __init__(self, *columns: str) -> None:
        self._rows = [columns, ("---",) * len(columns)]
        for row in self._rows:
            _show(row)

    def add(self, *cells: object) -> None:
        """One more row."""
        row = tuple(map(str, cells))
        self._rows.append(row)
        _show(row)

    def __str__(self) -> str:
        return "\n".join(map(_line, self._rows))


def publish(name: str, table: Table, *, write: bool, note: str = "") -> None:
    """Puts a table into the document, between ``<!-- name -->`` and ``<!-- /name -->``, when that is wanted."""
    if not write:
        return
    text = DOCUMENT.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{DOCUMENT} has no place for {name}.")
    body = f"{note}\n\n{table}" if note else str(table)
    DOCUMENT.write_text(pattern.sub(lambda found: f"{found[1]}{body}\n{found[2]}", text))


def _line(row: tuple[str, ...]) -> str:
    return f"| {' | '.join(row)} |"


def _show(row: tuple[str, ...]) -> None:
    print(_line(row), flush=True)
