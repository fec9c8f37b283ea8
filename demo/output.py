"""The folder that the demo fills: emptied each time, and never one that holds anything else."""

from __future__ import annotations

import shutil
from pathlib import Path

_MARK = ".made-by-the-demo"


def refuse_foreign(output: Path) -> None:
    """Refuses a folder that the demo must not empty.

    Raises:
        ValueError: it is no folder, or holds files that no demo wrote.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise ValueError(f"{output} is no folder.")
    if any(output.iterdir()) and not (output / _MARK).is_file():
        raise ValueError(f"{output} holds files that the demo did not write; name a new or an empty folder.")


def empty(output: Path) -> None:
    """Empties the folder, or makes it.

    Raises:
        ValueError: as `refuse_foreign`.
    """
    refuse_foreign(output)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    (output / _MARK).touch()
