"""jsonl: the rows as the bytes that came, one a line. The truth of the archive; the other formats are made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ...api.rows import Row
from ..part_stream import decode_lines, decompress
from .columns import Record, to_record
from .compressed_file import open_for_writing


class JsonlFormat:
    """``part-00001.jsonl.gz`` or ``.jsonl.zst``."""

    name = "jsonl"
    content_type = "application/x-ndjson"

    def write(self, rows: Iterable[Row], path: Path) -> None:
        """Writes the rows in the order they come; the path's suffix says how they are compressed."""
        with open_for_writing(path) as file:
            for row in rows:
                file.write(row.raw + b"\n")

    def read(self, key: str, chunks: Iterable[bytes]) -> Iterator[Record]:
        """The rows as table lines, streamed.

        Raises:
            PartError: when the object is no such part.
        """
        return map(to_record, decode_lines(key, decompress(key, chunks)))
