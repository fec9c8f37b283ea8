"""What was archived, compared with what the pipelines wrote, by gzip and json: none of the project's own reading code."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..archive.manifest import Manifest


class Comparison(NamedTuple):
    """One pipeline's day, row by row."""

    written: int
    archived: int
    lost: int
    doubled: int
    foreign: int
    """Rows that the pipeline never wrote."""

    @property
    def same(self) -> bool:
        """Whether the archive holds exactly what was written."""
        return not (self.lost or self.doubled or self.foreign)


def compare(manifest: Manifest, objects: Path, truth: Iterable[tuple[str, str]]) -> Comparison:
    """Counts the rows of the day's parts against `truth`, its (`log_id`, `logged_at`) pairs.

    Args:
        manifest: the day's newest manifest; only the parts it names are read, and each must have the hash it states.
        objects: the folder that the bucket's objects were copied to.
        truth: what the server knows it holds.
    """
    archived: Counter[tuple[str, str]] = Counter()
    for file in manifest.files:
        body = (objects / file.key).read_bytes()
        if hashlib.sha256(body).hexdigest() != file.sha256:
            raise SystemExit(f"{file.key} is not what its manifest says.")
        if file.format == "jsonl":
            rows = (json.loads(line) for line in gzip.decompress(body).split(b"\n") if line)
            archived.update((row["log_id"], row["logged_at"]) for row in rows)
    written = Counter(truth)
    return Comparison(
        written=written.total(),
        archived=archived.total(),
        lost=len(written.keys() - archived.keys()),
        doubled=archived.total() - len(archived),
        foreign=len(archived.keys() - written.keys()),
    )
