"""What the archive needs of a store: create once, read, list. `S3Store` is the one there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol


class ObjectInfo(NamedTuple):
    """One object of a listing."""

    key: str
    bytes: int


class ObjectStore(Protocol):
    """Objects are created once and never changed or deleted. Keys are whole keys, prefix included."""

    prefix: str

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        """Writes the object if the key is free; False when it is taken (412). Sends `If-None-Match: *` and the checksum.

        A taken key may hold this very object: an SDK repeats a PUT whose answer was lost. The caller compares.
        """
        ...

    def get(self, key: str) -> bytes | None:
        """The object's bytes (small objects), or None when there is none."""
        ...

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        """The object's bytes in chunks, memory bounded, or None when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in key order, all pages."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The common prefixes one level (`/`) below `prefix`, each with its closing slash."""
        ...
