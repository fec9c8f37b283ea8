"""What goes to a terminal: tables to stdout, progress and warnings to stderr, nothing that a name could smuggle in."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager

from rich.console import Console

_WIDTH_OF_FILES = 120
"""Columns where there is no terminal to ask."""


def plain(text: str) -> str:
    """The text on one line: names come from elsewhere, and a terminal obeys control characters."""
    shown = (" " if character.isspace() else character for character in text)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)


def count(number: int, noun: str) -> str:
    """Such as ``1 day`` and ``1,234 days``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def output() -> Console:
    """What was asked for."""
    return _console(sys.stdout.isatty())


def notes() -> Console:
    """Progress and warnings."""
    return _console(sys.stderr.isatty(), stderr=True)


class _Console(Console):
    """Leaves it to the program what happens when whoever read has enough."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - the BrokenPipeError that Rich is about to turn into exit code 1


def _console(terminal: bool, *, stderr: bool = False) -> Console:
    width = None if terminal or "COLUMNS" in os.environ else _WIDTH_OF_FILES
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def say(text: str) -> None:
    """One line to stdout, whole however long it is."""
    output().print(plain(text), soft_wrap=True)


def warn(text: str) -> None:
    """One line to stderr."""
    notes().print(plain(text), soft_wrap=True)


def working(text: str) -> AbstractContextManager[object]:
    """Shows on a terminal that work is under way; says nothing elsewhere."""
    return notes().status(plain(text))
