"""The pages of docs/ as things to run: fenced blocks of Python and consoles, and what a page links to.

A ``console`` block holds commands after ``$ `` and, below each, what it prints, ``...`` standing for anything. Without such
lines the output is not compared. A command must succeed unless ``$ echo $?`` follows it. A block under a comment
``<!-- not run: why -->`` is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))

_FENCE = re.compile(r"(?P<before>^<!-- not run: .+? -->\n+)?^```(?P<kind>\w+)\n(?P<body>.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block."""

    kind: str
    line: int
    body: str


class Command(NamedTuple):
    """One command of a console, and what it is said to print."""

    text: str
    expected: list[str]


def blocks(page: Path, *kinds: str) -> list[Block]:
    """The blocks that are run, in order."""
    text = page.read_text()
    return [Block(found["kind"], text.count("\n", 0, found.start("body")) + 1, found["body"])
            for found in _FENCE.finditer(text) if found["kind"] in kinds and not found["before"]]


def commands(block: Block) -> list[Command]:
    """The commands of a console block."""
    found: list[Command] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], []))
        elif found and found[-1].text.endswith("\\") and not found[-1].expected:
            found[-1] = Command(f"{found[-1].text}\n{line}", [])
        else:
            found[-1].expected.append(line)
    return found


def matches(expected: list[str], printed: str) -> bool:
    """Whether what was printed is what the page shows."""
    if not expected:
        return True
    pattern = "\n".join(re.escape(line.rstrip()).replace(r"\.\.\.", ".*?") for line in expected)
    shown = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, shown, re.DOTALL) is not None


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """(file, anchor or "") of every link inside the repository."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in _LINK.findall(text):
        if "://" not in link and not link.startswith("mailto:"):
            path, _, anchor = link.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor
