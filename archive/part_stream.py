"""Reading a part: its bytes, its lines, its rows, in bounded memory whatever its size."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast

import zstandard
from isal import isal_zlib

from ..api.errors import ResponseError
from ..api.rows import Row, decode_row
from .errors import PartError
from .objects import ObjectStore

_BLOCK = 1 << 20
"""At most this much comes out of gzip at once."""
_ZSTD_INPUT = 1 << 11
"""zstd cannot be told how much may come out, so little goes in: a repetitive log shrinks to a thousandth."""

_RESTORE = "Restore the object from a version or backup; verify_day shows what else is wrong with its day."


_GZIP_ERROR = cast("type[Exception]", cast("Any", isal_zlib).error)


class _Member(Protocol):
    """A gzip member being decompressed: isal's own annotations say less."""

    eof: bool
    unused_data: bytes
    unconsumed_tail: bytes

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _new_member() -> _Member:
    return cast("_Member", cast("Any", isal_zlib).decompressobj(wbits=zlib.MAX_WBITS + 16))


def inflate(key: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed bytes of an object in blocks; the key's suffix (``.gz``, ``.zst`` or none) says how.

    Several gzip members or zstd frames after one another are one stream: that is what joining compressed files gives.

    Raises:
        PartError: when the bytes are not of that compression, or end early.
    """
    try:
        if key.endswith(".gz"):
            yield from _gunzip(chunks)
        elif key.endswith(".zst"):
            yield from _unzstd(chunks)
        else:
            yield from chunks
    except (_GZIP_ERROR, zstandard.ZstdError, EOFError) as error:
        raise PartError(f"{key} cannot be decompressed: {error}.", _RESTORE) from error


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member = _new_member()
    begun = False
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                member = _new_member()
            begun = True
            block = member.decompress(rest, _BLOCK)
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if block:
                yield block
        # What did not fit into the last block is still inside the decompressor even when all input is taken.
        while begun and not member.eof and (block := member.decompress(b"", _BLOCK)):
            yield block
    if not begun or not member.eof:
        raise EOFError("it ends early")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor()
    frame = decompressor.decompressobj()
    begun = False
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_INPUT):
            rest = chunk[start : start + _ZSTD_INPUT]
            while rest:
                if frame.eof:
                    frame = decompressor.decompressobj()
                begun = True
                block = frame.decompress(rest)
                rest = frame.unused_data if frame.eof else b""
                if block:
                    yield block
    if not begun or not frame.eof:
        raise EOFError("it ends early")


def split_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""The lines without their ends, split at ``\n`` only: U+2028 and the like may stand inside a row."""
    rest: list[bytes] = []
    for block in blocks:
        first, *others = block.split(b"\n")
        rest.append(first)
        if others:
            yield b"".join(rest)
            yield from others[:-1]
            rest = [others[-1]]
    if last := b"".join(rest):
        yield last


def decompress(key: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a compressed (or plain) object, see `inflate` and `split_lines`."""
    return split_lines(inflate(key, chunks))


def decode_lines(key: str, lines: Iterable[bytes]) -> Iterator[Row]:
    """The row of each line; `key` is for the error.

    Raises:
        PartError: names the line that is no row.
    """
    for number, line in enumerate(lines, 1):
        try:
            row = decode_row(line)
        except ResponseError as error:
            raise PartError(f"{key}, line {number}: {error.problem}", _RESTORE) from error
        yield row


def read_part_rows(store: ObjectStore, key: str, sha256: str | None = None,
                   see: Callable[[bytes], object] | None = None) -> Iterator[Row]:
    """The rows of a jsonl part in their order, streamed from the store.

    Args:
        sha256: hex, what the part's bytes must be; None to take them as they are.
        see: gets the object's bytes as they come.

    Raises:
        PartError: when the part is missing or is no part; at the end, when its bytes are not those of `sha256`.
    """
    opened = store.open(key)
    if opened is None:
        raise PartError(f"{key} is missing.", _RESTORE)
    digest = hashlib.sha256()
    with opened as chunks:
        seen = chunks if see is None else _fed(see, chunks)
        yield from decode_lines(key, decompress(key, _fed(digest.update, seen) if sha256 else seen))
    if sha256 and digest.hexdigest() != sha256:
        raise PartError(f"{key} does not hold the bytes that its manifest names.", _RESTORE)


def _fed(update: Callable[[bytes], object], chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk
