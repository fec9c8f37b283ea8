"""Writing a file compressed as its suffix says; the same content always gives the same bytes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import zstandard
from isal import igzip

_GZIP_LEVEL = 2  # igzip's levels end at 3; 2 is its best trade
_ZSTD_LEVEL = 3


@contextmanager
def open_for_writing(path: Path) -> Generator[BinaryIO]:
    """The file at `path`, to be written in binary: gzip for ``.gz``, zstd for ``.zst``, else plain."""
    with path.open("wb") as plain:
        if path.suffix == ".gz":
            # Neither name nor time: they would make two writings of the same rows differ.
            with igzip.IGzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=plain, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        elif path.suffix == ".zst":
            with zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(plain, closefd=False) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield plain
