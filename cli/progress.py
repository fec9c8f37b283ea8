"""Shows on a terminal how much of a store has been read; says nothing where nobody watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO

from rich.filesize import decimal

from ..archive.objects import ObjectInfo, ObjectStore
from .terminal import count, notes, plain


class WatchedStore:
    """An `ObjectStore` that passes everything on and tells what was read. Thread-safe where the store is."""

    def __init__(self, store: ObjectStore, tell: Callable[[int, int], None]) -> None:
        self.prefix = store.prefix
        self._store = store
        self._tell = tell
        self._lock = threading.Lock()
        self._objects = self._bytes = 0

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        """See `ObjectStore`."""
        return self._store.create(key, body, sha256=sha256, size=size, content_type=content_type)

    def get(self, key: str) -> bytes | None:
        """See `ObjectStore`."""
        body = self._store.get(key)
        self._read(1, len(body or b""))
        return body

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        """See `ObjectStore`."""
        opened = self._store.open(key)
        self._read(1, 0)
        return None if opened is None else self._watched(opened)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See `ObjectStore`."""
        return self._store.list(prefix)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `ObjectStore`."""
        return self._store.list_folders(prefix)

    @contextmanager
    def _watched(self, opened: AbstractContextManager[Iterator[bytes]]) -> Generator[Iterator[bytes]]:
        with opened as chunks:
            yield self._counted(chunks)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._read(0, len(chunk))
            yield chunk

    def _read(self, objects: int, size: int) -> None:
        with self._lock:
            self._objects += objects
            self._bytes += size
            self._tell(self._objects, self._bytes)


@contextmanager
def watched(store: ObjectStore, text: str) -> Generator[ObjectStore]:
    """The store, with what was read of it shown after `text` as long as the context lasts."""
    console = notes()
    if not console.is_terminal:
        yield store
        return
    with console.status(plain(text)) as shown:
        def tell(objects: int, size: int) -> None:
            shown.update(f"{plain(text)} {count(objects, 'object')}, {decimal(size)}")

        yield WatchedStore(store, tell)
