"""``python -m benchmarks.compression``: how small and how fast log rows become, for the choice in archive/compression.py.

Blocks of the size that the archive compresses at once, each by itself, as the spool does it. Medians.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from statistics import median

import zstandard
from isal import igzip, isal_zlib

from .documents import Table, publish
from .scenarios import Scenario, make_rows, yesterday

BLOCK = 1024 * 1024

Function = Callable[[bytes], bytes]


def _methods() -> Iterator[tuple[str, Function, Function]]:
    for level in (0, 1, 2, 3):
        yield f"igzip {level}", lambda body, level=level: igzip.compress(body, level), isal_zlib_decompress
    for level in (1, 3, 6, 9):
        yield f"zlib {level}", lambda body, level=level: zlib.compress(body, level, 31), lambda body: zlib.decompress(body, 31)
    for level in (-1, 1, 3, 6, 9):
        yield f"zstd {level}", zstandard.ZstdCompressor(level=level).compress, zstandard.ZstdDecompressor().decompress


def isal_zlib_decompress(body: bytes) -> bytes:
    """Inflates gzip, as the archive is read back."""
    return isal_zlib.decompress(body, 31)


def _speed(function: Function, bodies: list[bytes], size: int, repeats: int) -> float:
    """MB/s over `size` bytes of plain text."""
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        for body in bodies:
            function(body)
        taken.append(time.perf_counter() - started)
    return size / 1e6 / median(taken)


def blocks(rows: int) -> list[bytes]:
    """The rows of a day as lines, in blocks."""
    source = make_rows(Scenario(rows), yesterday())
    text = b"\n".join(source.raw(index) for index in range(rows)) + b"\n"
    return [text[start : start + BLOCK] for start in range(0, len(text), BLOCK)]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.compression", description=main.__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="rows to compress")
    parser.add_argument("--repeats", type=int, default=5, help="medians are taken over so many runs")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    bodies = blocks(given.rows)
    size = sum(map(len, bodies))
    table = Table("method and level", "smaller by a factor of", "compresses", "decompresses")
    for name, compress, decompress in _methods():
        packed = [compress(body) for body in bodies]
        if list(map(decompress, packed)) != bodies:
            raise AssertionError(name)
        table.add(
            name,
            f"{size / sum(map(len, packed)):.1f}",
            f"{_speed(compress, bodies, size, given.repeats):,.0f} MB/s",
            f"{_speed(decompress, packed, size, given.repeats):,.0f} MB/s",
        )
    publish("compression", table, write=given.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
