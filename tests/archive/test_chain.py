"""Chains of manifests and streams of parts, read as runs read them."""

from __future__ import annotations

import gzip
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.api.rows import Row
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive import chain
from prefect_deepset.archive.errors import ManifestError, PartError
from prefect_deepset.archive.objects import ObjectInfo
from prefect_deepset.archive.part_merge import OrderedPart, merge_parts
from prefect_deepset.archive.part_stream import inflate, read_part_rows, split_lines
from prefect_deepset.archive.store import S3Store

from ..servers.ministack import S3Handle
from .built_archive import PIPELINE, put, put_day
from .damages import FOURTH_DAY, INDEX, PREFIX, SECOND_DAY, THIRD_DAY, Bucket, manifest, part
from .day_runs import load_chain
from .log_rows import DAY, plain_row, plain_rows


@pytest.fixture(scope="module")
def archive(s3: S3Handle) -> Bucket:
    """Two days of a pipeline, the first with three revisions, and one of an index."""
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(9)], [[plain_row(77, plain_rows(9)[4].logged_at + 1)]], []])
    put_day(bucket.store, PIPELINE, THIRD_DAY, [[]])
    put_day(bucket.store, INDEX, DAY, [[plain_rows(2)]])
    return bucket


def test_a_chain_is_loaded_oldest_first(archive: Bucket):
    found = load_chain(archive.store, PIPELINE, DAY)
    assert [(stored.key, stored.manifest.revision) for stored in found] == [(manifest(n), n) for n in (1, 2, 3)]
    links = [stored.manifest.previous and stored.manifest.previous.sha256 for stored in found]
    assert links == [None, found[0].sha256, found[1].sha256]
    assert load_chain(archive.store, PIPELINE, SECOND_DAY) == []


@pytest.mark.parametrize("hint", [None, 1, 3, 8])
def test_the_latest_revision_is_found_with_any_hint(hint: int | None, archive: Bucket):
    assert chain.latest(archive.store, PIPELINE, DAY, hint) == load_chain(archive.store, PIPELINE, DAY)[-1]
    assert chain.latest(archive.store, PIPELINE, SECOND_DAY, hint) is None


def test_days_and_sources_are_listed(archive: Bucket):
    assert chain.list_days(archive.store, PIPELINE) == [DAY, THIRD_DAY]
    assert chain.archived_sources(archive.store, "my space") == [INDEX, PIPELINE]
    assert chain.archived_sources(archive.store, "other") == chain.list_days(archive.store, LogSource("my space", "x")) == []
    assert [stored.manifest.dt for stored in chain.latest_days(archive.store, PIPELINE, 1)] == [THIRD_DAY.isoformat()]
    assert [stored.manifest.revision for stored in chain.latest_days(archive.store, PIPELINE, 5)] == [3, 1]
    assert chain.latest_days(archive.store, PIPELINE, 0) == []


def test_folders_that_are_no_days_are_passed_over(s3: S3Handle):
    bucket = Bucket(s3)
    for name in ("dt=soon", "dt=20260314", "x=2026-03-14", "dt=2026-03-15"):
        bucket[f"{manifest(1).partition('dt=')[0]}{name}/r00001.json"] = b"x"
    assert chain.list_days(bucket.store, PIPELINE) == [SECOND_DAY]


class LaggingStore(S3Store):
    """A store whose listing does not show the newest revisions yet."""

    hidden: tuple[str, ...] = ()

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return (found for found in super().list(prefix) if not found.key.endswith(self.hidden))


@pytest.mark.parametrize("hidden", [("r00003.json",), ("r00002.json", "r00003.json"), (".json",), ("r00002.json",)])
def test_a_listing_that_lags_hides_no_revision(hidden: tuple[str, ...], archive: Bucket):
    store = LaggingStore(archive.client, archive.name, PREFIX)
    store.hidden = hidden
    assert [stored.manifest.revision for stored in load_chain(store, PIPELINE, DAY)] == [1, 2, 3]
    newest = chain.latest(store, PIPELINE, DAY)
    assert newest is not None
    assert newest.manifest.revision == 3


class ForgetfulStore(S3Store):
    """A store that lists what it does not give."""

    def get(self, key: str) -> bytes | None:
        return None


def test_a_revision_that_is_listed_and_not_there_is_an_error_that_names_it(archive: Bucket):
    store = ForgetfulStore(archive.client, archive.name, PREFIX)
    with pytest.raises(ManifestError, match=r"r00003.json is listed, and is not there"):
        chain.latest(store, PIPELINE, DAY)


def test_a_look_alike_key_is_no_revision(archive: Bucket):
    archive[manifest(1, THIRD_DAY).replace("r00001", "r000007")] = b"{}"
    newest = chain.latest(archive.store, PIPELINE, THIRD_DAY)
    assert newest is not None
    assert newest.manifest.revision == 1


def test_a_manifest_of_another_place_is_refused(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(3)]])
    bucket[manifest(1, FOURTH_DAY)] = bucket[manifest(1)]
    with pytest.raises(ManifestError, match=r"speaks of pipeline 'rag/prod' .* 2026-03-14"):
        chain.latest(bucket.store, PIPELINE, FOURTH_DAY)
    bucket[manifest(1)] = b"not json"
    with pytest.raises(ManifestError, match="is not a manifest"):
        chain.latest(bucket.store, PIPELINE, DAY)


def test_a_part_is_read_row_by_row(archive: Bucket):
    rows = list(read_part_rows(archive.store, part(1)))
    assert rows == plain_rows(9)
    with pytest.raises(PartError, match=r"part-00005.jsonl.gz is missing"):
        list(read_part_rows(archive.store, part(5)))


def test_a_part_is_held_against_its_hash(archive: Bucket):
    entry = load_chain(archive.store, PIPELINE, DAY)[0].manifest.files[0]
    assert len(list(read_part_rows(archive.store, entry.key, entry.sha256))) == 9
    with pytest.raises(PartError, match="does not hold the bytes"):
        list(read_part_rows(archive.store, entry.key, "0" * 64))


def test_a_line_that_is_no_row_is_named(s3: S3Handle):
    store = s3.store()
    put(store, "x.jsonl.gz", gzip.compress(plain_rows(1)[0].raw + b"\n{}\n"))
    with pytest.raises(PartError, match=r"x.jsonl.gz, line 2"):
        list(read_part_rows(store, "x.jsonl.gz"))


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"a.gz": gzip.compress, "a.zst": zstd}


@pytest.mark.parametrize("key", PACKERS)
@settings(max_examples=60)
@given(members=st.lists(st.binary(max_size=400), min_size=1, max_size=4), size=st.integers(1, 300))
def test_joined_members_are_one_stream_however_they_arrive(key: str, members: list[bytes], size: int):
    body = b"".join(map(PACKERS[key], members))
    assert b"".join(inflate(key, pieces(body, size))) == b"".join(members)


@pytest.mark.parametrize("key", PACKERS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_ends_early_or_goes_on_is_refused(key: str, size: int):
    body = PACKERS[key](bytes(range(256)) * 20)
    for cut in (0, 1, 5, len(body) // 2, len(body) - 1):
        with pytest.raises(PartError, match="cannot be decompressed"):
            list(inflate(key, pieces(body[:cut], size)))
    with pytest.raises(PartError, match="cannot be decompressed"):
        list(inflate(key, pieces(body + b"more bytes", size)))


@pytest.mark.parametrize("key", PACKERS)
def test_a_large_object_is_inflated_in_bounded_memory(key: str):
    noise = random.Random(1)
    body = PACKERS[key](b"".join(noise.randbytes(4) + bytes(60) for _ in range(500_000)))
    chunks = pieces(body, 1 << 20)
    tracemalloc.start()
    assert sum(map(len, inflate(key, chunks))) == 32_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


@given(st.binary(max_size=200), st.integers(1, 50))
def test_lines_end_at_line_feeds_only(body: bytes, size: int):
    lines = list(split_lines(pieces(body, size)))
    assert lines == (body.split(b"\n") if body and not body.endswith(b"\n") else body.split(b"\n")[:-1])


@given(st.lists(st.lists(st.integers(0, 50), max_size=8), max_size=5))
def test_parts_are_merged_in_order_and_opened_when_their_time_comes(parts: list[list[int]]):
    opened: list[int] = []
    base = plain_rows(1)[0].logged_at
    rows = [sorted(plain_row(100 * label + n, base + at) for n, at in enumerate(instants))
            for label, instants in enumerate(parts)]

    def opening(label: int) -> Callable[[], Iterator[Row]]:
        def open_part() -> Iterator[Row]:
            opened.append(label)
            return iter(rows[label])
        return open_part

    labelled = [OrderedPart(label, own[0].logged_at if own else base, opening(label)) for label, own in enumerate(rows)]
    merged: list[Row] = []
    for label, row in merge_parts(labelled):
        assert row in rows[label]
        assert all(not rows[other] or rows[other][0].logged_at <= row.logged_at for other in opened)
        merged.append(row)
    assert merged == sorted(row for own in rows for row in own)
