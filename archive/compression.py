"""Compressing rows into members (gzip) or frames (zstd) that can simply be joined.

Chosen by measuring (``benchmarks/compression.py``): igzip at its level 1 is more than ten times as fast as zlib's default level
and its logs are a sixth larger; zstd at level 1 is slower than that, far faster than zlib, and as small as zlib's default.
"""

from __future__ import annotations

from typing import Literal

import zstandard
from isal import igzip

Compression = Literal["gzip", "zstd"]

CONTENT_TYPES = {"gzip": "application/gzip", "zstd": "application/zstd"}


def compress(body: bytes, compression: Compression) -> bytes:
    """One member or frame. The same body gives the same bytes: no file name, no time inside."""
    if compression == "gzip":
        return igzip.compress(body, compresslevel=1, mtime=0)  # pyright: ignore[reportUnknownMemberType] - isal's annotations
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(body)
