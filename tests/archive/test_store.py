from __future__ import annotations

import hashlib
import io
import tracemalloc
from pathlib import Path
from typing import Any

from ..servers.ministack import S3Handle


def put(store: Any, key: str, body: bytes, **changes: Any) -> bool:
    given = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "content_type": "text/plain", **changes}
    return store.create(key, body, **given)


def test_an_object_is_created_once_and_never_overwritten(s3: S3Handle):
    store = s3.store()
    assert put(store, "a/1", b"first")
    assert not put(store, "a/1", b"second")
    assert store.get("a/1") == b"first"


def test_a_file_is_streamed_from_its_start(s3: S3Handle):
    store, body = s3.store(), b"x" * 3_000_000
    file = io.BytesIO(body)
    file.read(100)
    assert store.create("f", file, sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="application/gzip")
    stream = store.open("f")
    assert stream is not None
    with stream as chunks:
        read = list(chunks)
    assert b"".join(read) == body
    assert max(map(len, read)) <= 1024 * 1024


def test_a_missing_object_is_none(s3: S3Handle):
    store = s3.store()
    assert store.get("none") is None
    assert store.open("none") is None


def test_a_large_file_passes_through_a_small_memory(s3: S3Handle, tmp_path: Path):
    size = 32 * 1024 * 1024
    path = tmp_path / "part"
    with path.open("wb") as out:
        out.truncate(size)
    digest = hashlib.sha256(bytes(size)).hexdigest()
    store = s3.store()
    put(store, "first", b"")
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            assert store.create("big", file, sha256=digest, size=size, content_type="application/gzip")
        stream, read = store.open("big"), hashlib.sha256()
        assert stream is not None
        with stream as chunks:
            for chunk in chunks:
                read.update(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read.hexdigest() == digest
    assert peak < 6 * 1024 * 1024


def test_folders_one_level_below_are_listed_once_each(s3: S3Handle):
    store = s3.store()
    for key in ("p/a=1/x", "p/a=1/y", "p/a=2/b/z", "p/file"):
        put(store, key, b"")
    assert list(store.list_folders("p/")) == ["p/a=1/", "p/a=2/"]
    assert [info.key for info in store.list("p/a=1/")] == ["p/a=1/x", "p/a=1/y"]
    assert list(store.list("none/")) == []


def test_an_empty_object_is_an_object(s3: S3Handle):
    store = s3.store()
    assert put(store, "empty", b"")
    assert store.get("empty") == b""
    assert not put(store, "empty", b"")


def test_checking_a_bucket_twice_leaves_one_small_object(s3: S3Handle):
    store = s3.store(prefix="logs")
    store.check()
    store.check()
    assert [info.key for info in store.list("")] == ["logs/.write-check"]
