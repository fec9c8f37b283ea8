"""The store on OpenStack Swift, a storage product beside the emulator. No races: its condition is not atomic."""

from __future__ import annotations

import hashlib
import io

import pytest
from prefect_deepset.archive.errors import BucketMissingError, ChecksumError, StoreAccessError
from prefect_deepset.archive.store import S3Store, s3_config
from prefect_deepset.testing.s3_server import AccessKey

from ..servers.ministack import S3Handle

pytestmark = pytest.mark.swift


def put(store: S3Store, key: str, body: bytes = b"rows") -> bool:
    return store.create(key, body, sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="text/plain")


@pytest.mark.parametrize("mode", ["when_required", "when_supported"])
def test_objects_are_created_once_and_read_and_listed(swift: S3Handle, mode: str):
    client = swift.client(base=s3_config(checksum_mode=mode))  # type: ignore[arg-type]
    store = S3Store(client, swift.bucket(), "logs")
    store.check()
    assert put(store, "logs/w=a%20b/1")
    assert not put(store, "logs/w=a%20b/1", b"other")
    assert store.get("logs/w=a%20b/1") == b"rows"
    assert store.get("logs/none") is None
    put(store, "logs/w=ü/1")
    assert [info.key for info in store.list("logs/w")] == ["logs/w=a%20b/1", "logs/w=ü/1"]
    assert list(store.list_folders("logs/")) == ["logs/w=a%20b/", "logs/w=ü/"]


def test_a_file_is_streamed_and_read_in_chunks(swift: S3Handle):
    store, body = swift.store(), bytes(range(256)) * 20_000
    digest = hashlib.sha256(body).hexdigest()
    assert store.create("big", io.BytesIO(body), sha256=digest, size=len(body), content_type="application/gzip")
    stream = store.open("big")
    assert stream is not None
    with stream as chunks:
        assert hashlib.sha256(b"".join(chunks)).hexdigest() == digest


def test_a_listing_of_several_pages_is_whole(swift: S3Handle):
    store = swift.store()
    keys = [f"k{number:03d}" for number in range(30)]
    for key in keys:
        put(store, key)
    assert swift.client().list_objects_v2(Bucket=store.bucket)["IsTruncated"]
    assert [info.key for info in store.list("k")] == keys
    folders = [f"f{number:03d}/" for number in range(12)]
    for folder in folders:
        put(store, f"{folder}1")
    assert list(store.list_folders("f")) == folders


def test_a_body_that_is_not_what_its_hash_says_is_refused(swift: S3Handle):
    store = swift.store()
    with pytest.raises(ChecksumError):
        store.create("a", b"rows", sha256=hashlib.sha256(b"other").hexdigest(), size=4, content_type="text/plain")
    assert swift.keys(store.bucket) == []


def test_a_wrong_secret_and_a_missing_bucket_are_named(swift: S3Handle):
    with pytest.raises(StoreAccessError, match="does not accept"):
        swift.store(key=AccessKey("test:tester", "wrong")).get("a")
    with pytest.raises(BucketMissingError, match="none-such"):
        swift.store("none-such").check()
