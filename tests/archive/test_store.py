from __future__ import annotations

import hashlib
import io
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
