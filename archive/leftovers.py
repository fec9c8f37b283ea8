"""Parts that no manifest names: what a run left that died in between. Found by listing, since nothing else tells of them."""

from __future__ import annotations

from datetime import date

from ..api.sources import LogSource
from .keys import day_folder, parse_part_key, source_folder
from .manifest import Manifest
from .objects import ObjectStore


def next_number(manifest: Manifest | None) -> int:
    """The number of the first part after those of the manifest."""
    keys = [file.key for file in manifest.files if file.format == "jsonl"] if manifest else []
    return max((int(key.rpartition("part-")[2].split(".")[0]) for key in keys), default=0) + 1


def has_leftover(store: ObjectStore, source: LogSource, day: date, manifest: Manifest | None) -> bool:
    """Whether the first part after those of the day's newest manifest is there. One listing, of that number alone."""
    begin = f"{day_folder(store.prefix, 'jsonl', source, day)}part-{next_number(manifest):05d}."
    return any(parse_part_key(store.prefix, found.key) for found in store.list(begin))


def days_with_parts(store: ObjectStore, source: LogSource, table: str = "jsonl") -> set[date]:
    """The days that have a folder in a table."""
    days: set[date] = set()
    for folder in store.list_folders(source_folder(store.prefix, table, source)):
        try:
            days.add(date.fromisoformat(folder.rstrip("/").rpartition("/dt=")[2]))
        except ValueError:
            continue  # no day's folder: verification reports what lies in it
    return days
