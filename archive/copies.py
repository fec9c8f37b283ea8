"""Copies of a day's jsonl parts in other formats, one for one, with the same number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from itertools import zip_longest
from pathlib import Path

from ..api.sources import LogSource
from .errors import PartError
from .formats import compression_of, find_table, read_table, to_record, write_table
from .keys import parse_part_key, part_key
from .manifest import File
from .objects import ObjectStore
from .part_stream import read_part_rows
from .spool_folder import disk_error

_CHUNK = 1 << 20


def missing_copies(
    store: ObjectStore, source: LogSource, day: date, files: Iterable[File], formats: Iterable[str], folder: Path
) -> list[File]:
    """Writes the copies that `files` lacks and returns their entries.

    A key that is taken by an equal copy (a run that crashed, another run) is adopted.

    Args:
        files: all files of the day; its jsonl parts are read from the store.
        formats: wanted; ``jsonl`` is skipped.
        folder: for temporary files.

    Raises:
        PartError: a key is taken by something else.
        DiskFullError, SpoolError: the folder takes no more.
    """
    files = list(files)
    have = {(file.format, _number(store, file.key)) for file in files}
    written: list[File] = []
    for name in formats:
        for part in files:
            number = _number(store, part.key)
            if name != "jsonl" and part.format == "jsonl" and (name, number) not in have:
                try:
                    written.append(_copy(store, source, day, part, name, number, folder))
                except OSError as error:
                    raise disk_error(error, folder) from error
    return written


def _number(store: ObjectStore, key: str) -> int:
    parsed = parse_part_key(store.prefix, key)
    return parsed.number if parsed else 0


def _copy(store: ObjectStore, source: LogSource, day: date, part: File, name: str, number: int, folder: Path) -> File:
    compression = compression_of(name, "gzip")
    key = part_key(store.prefix, name, source, day, number, compression)
    path = folder / key.rpartition("/")[2]
    try:
        write_table(name, read_part_rows(store, part.key), path)
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
            size = file.tell()
            free = store.create(key, file, sha256=digest.hexdigest(), size=size, content_type=find_table(name).content_type)
        if not free:
            size, sha256 = _adopted(store, part, name, key, folder)
            return part.model_copy(update={"key": key, "format": name, "bytes": size, "sha256": sha256})
        return part.model_copy(update={"key": key, "format": name, "bytes": size, "sha256": digest.hexdigest()})
    finally:
        path.unlink(missing_ok=True)


def _adopted(store: ObjectStore, part: File, name: str, key: str, folder: Path) -> tuple[int, str]:
    """Size and hash of the copy that is there already, once it is seen to hold the part's rows."""
    path = folder / ("taken-" + key.rpartition("/")[2])
    stream = store.open(key)
    if stream is None:
        raise PartError(f"{key} was there a moment ago and is gone.", "Something deletes from this archive.")
    try:
        digest = hashlib.sha256()
        with stream as chunks, path.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        rows = map(to_record, read_part_rows(store, part.key))
        if any(mine != theirs for mine, theirs in zip_longest(rows, read_table(name, path))):
            raise PartError(f"{key} is taken by something that is not a copy of {part.key}.", "Move it away and run again.")
        return path.stat().st_size, digest.hexdigest()
    finally:
        path.unlink(missing_ok=True)
