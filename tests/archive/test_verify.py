"""Verification finds every kind of damage, and nothing else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import zstandard
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.archive.errors import StoreUnavailableError
from prefect_deepset.archive.keys import part_key
from prefect_deepset.archive.manifest import Manifest, sha256_hex
from prefect_deepset.archive.signing import Trust, sign
from prefect_deepset.archive.store import S3Store
from prefect_deepset.archive.verify import ArchiveVerdict, verify_archive, verify_day

from ..servers.ministack import S3Handle
from .built_archive import PIPELINE, put, put_day
from .damages import (
    DAMAGES,
    FOREIGN,
    FOURTH_DAY,
    INDEX,
    LONE,
    LONE_PART,
    MISSING,
    MODIFIED,
    PREFIX,
    SECOND_DAY,
    THIRD_DAY,
    Bucket,
    build,
    flip,
    folder,
    manifest,
    part,
)
from .log_rows import DAY, plain_rows

KEY = "a long random signing key"


@pytest.fixture(scope="module")
def sound(s3: S3Handle) -> tuple[Bucket, dict[str, bytes]]:
    """A sound archive, and its objects."""
    bucket = Bucket(s3)
    build(bucket.store)
    return bucket, {key: bucket[key] for key in bucket.listed()}


@pytest.fixture
def bucket(sound: tuple[Bucket, dict[str, bytes]]) -> Iterator[Bucket]:
    """The sound archive, to be damaged: it is mended afterwards."""
    yield sound[0]
    sound[0].restore(sound[1])


def test_a_sound_archive_is_valid(bucket: Bucket):
    bucket.store.check()  # leaves an object of its own
    verdict = bucket.verify()
    assert verdict.all_findings == []
    assert (verdict.ok, verdict.complete) == (True, True)
    assert verdict.summary == "7/7 manifests valid, 8/8 parts valid, 5 days, 132 rows"
    assert [(day.source, day.day, day.rows, day.status) for day in verdict.days] == [
        ("docs", FOURTH_DAY, 4, "sealed"), ("rag/prod", DAY, 93, "settled"), ("rag/prod", SECOND_DAY, 30, "sealed"),
        ("rag/prod", THIRD_DAY, 0, "sealed"), ("rag/prod", FOURTH_DAY, 5, "sealed")]


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_nothing_else(name: str, bucket: Bucket):
    damage, expected = DAMAGES[name]
    damage(bucket)
    verdict = bucket.verify()
    assert sorted((finding.kind, finding.key) for finding in verdict.all_findings) == sorted(expected), verdict.all_findings
    assert not verdict.ok
    valid = [(day.manifests_valid + day.parts_valid, day.manifests + day.parts) for day in verdict.days]
    assert all(have <= want for have, want in valid)


@pytest.mark.parametrize(("field", "value"), [
    ("rows", 94), ("errors", 0), ("rows_by_level__info", 1), ("rows_by_level__extra", 1), ("rows_by_origin", {}),
    ("rows_by_hour__5", 90), ("errors_by_hour__23", 7), ("first", None), ("first", "soon"), ("last", "2026-03-14T12:00:00Z"),
    ("read_at", "x026-03-15T01:00:00Z"), ("gaps", [{"start": "soon", "end": "2026-03-14T12:00:00Z", "reason": "cursor"}]),
    ("rows_by_hour", [1, 2]), ("span__end", "2026-03-14T12:00:00Z"),
    ("span__start", "2026-03-13T12:00:00Z"), ("span__start", "x"),
])
def test_every_number_of_a_manifest_is_counted_again(field: str, value: object, bucket: Bucket):
    bucket.edit(manifest(3), **{field: value})
    findings = bucket.verify().all_findings
    assert [(finding.kind, finding.key) for finding in findings] == [(MODIFIED, manifest(3))]
    assert field.partition("__")[0] in findings[0].detail


HOUR = {"start": "2026-03-14T01:00:00Z", "end": "2026-03-14T02:00:00Z", "reason": "error"}


@pytest.mark.parametrize(("revision", "fields", "said"), [
    (3, {"status": "gap"}, "names none"), (3, {"gaps": [HOUR]}, "names gaps"), (1, {"status": "settled"}, "without a sealed"),
    (3, {"status": "gap", "gaps": [{**HOUR, "end": HOUR["start"]}]}, "no stretch of its day"),
    (3, {"status": "gap", "gaps": [{**HOUR, "start": "2026-03-13T01:00:00Z"}]}, "no stretch of its day"),
    (1, {"read_at": "2020-01-01T00:00:00Z"}, "before its day began"),
    (3, {"read_at": "2026-03-14T00:00:00Z"}, "read before the revision"),
    (1, {"read_at": "2026-03-14T12:00:00Z"}, "before the last rows of its day"),
    (3, {"read_at": "2026-03-15T00:29:59.999Z"}, "before the last rows of its day"),
    (2, {"late_rows": 999}, "late_rows"), (1, {"late_rows": 1}, "late_rows"), (3, {"requests": -1}, "requests is negative"),
    (3, {"span__start": "2026-03-14T00:00:00.000001Z"}, "span"),
])
def test_a_manifest_that_contradicts_itself_or_the_one_before_is_found(
    revision: int, fields: dict[str, Any], said: str, bucket: Bucket
):
    bucket.edit(manifest(revision), **fields)
    finding, = (found for found in bucket.verify().all_findings if found.kind != "gap")
    assert (finding.kind, finding.key) == (MODIFIED, manifest(revision))
    assert said in finding.detail


def test_rows_doubled_across_parts_are_found(s3: S3Handle):
    bucket = Bucket(s3)
    rows = plain_rows(30)
    put_day(bucket.store, PIPELINE, DAY, [[rows[:20]], [rows[15:]]])
    findings = bucket.verify(end=DAY).all_findings
    assert [(finding.kind, finding.key) for finding in findings] == [(MODIFIED, part(2))]
    assert "5 of its rows" in findings[0].detail


def test_several_damages_are_all_found(bucket: Bucket):
    names = ["a bit of a part flipped", "a day deleted", "a csv copy changed", "an entry's number", "a stranger in a table"]
    for name in names:
        DAMAGES[name][0](bucket)
    assert bucket.found() == sorted(found for name in names for found in DAMAGES[name][1])


def test_a_part_and_its_manifest_that_both_changed_are_both_named(bucket: Bucket):
    flip(bucket, LONE_PART)
    bucket.edit(LONE, span__start="2026-03-17T12:00:00Z")
    day = verify_day(bucket.store, PIPELINE, FOURTH_DAY)
    assert (day.parts_valid, day.parts, day.rows) == (0, 1, 0)


def test_a_day_that_was_left_open_is_not_complete(s3: S3Handle):
    bucket = Bucket(s3)
    gaps = [{"start": "2026-03-14T05:00:00Z", "end": "2026-03-14T06:00:00Z", "reason": "cursor"}]
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)]], status="open", read_at="2026-03-15T00:10:00Z", gaps=gaps)
    late = bucket.verify(end=DAY, now=datetime(2026, 3, 16, tzinfo=UTC))
    (found,) = late.all_findings
    assert found.kind == "gap"
    assert found.detail.split("; ") == ["2026-03-14T05:00:00Z to 2026-03-14T06:00:00Z: cursor",
                                        "2026-03-14T23:40:00Z to 2026-03-15T00:00:00Z: read too early, and not again"]
    assert verify_day(bucket.store, PIPELINE, DAY).findings == late.all_findings
    in_time = bucket.verify(end=DAY, now=datetime(2026, 3, 15, 23, 59, tzinfo=UTC)).all_findings
    assert [finding.detail for finding in in_time] == ["2026-03-14T05:00:00Z to 2026-03-14T06:00:00Z: cursor"]


def test_memory_does_not_grow_with_the_manifests_that_were_read(s3: S3Handle):
    def peak(days: int) -> int:
        bucket = Bucket(s3)
        kinds = [{"type": f"E{n}", "frame": "x" * 2000, "count": 1} for n in range(100)]
        for number in range(days):
            put_day(bucket.store, PIPELINE, DAY + timedelta(days=number), [[]], status="settled", exceptions=kinds)
        tracemalloc.start()
        try:
            bucket.verify(now=datetime(2026, 3, 16, tzinfo=UTC))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(40) < peak(10) + 2_000_000


def test_a_recorded_gap_is_told_and_is_not_wrong(s3: S3Handle):
    bucket = Bucket(s3)
    span = {"start": "2026-03-14T00:00:00Z", "end": "2026-03-14T06:00:00Z"}
    gaps = [{**span, "reason": "before-first-run"}, {**span, "reason": "retention"}]
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)]], status="gap", gaps=gaps, unresolved_ties=[{**span, "rows": 200}])
    verdict = bucket.verify(end=DAY)
    assert (verdict.ok, verdict.complete, verdict.days[0].status) == (True, False, "gap")
    assert [(finding.kind, finding.wrong) for finding in verdict.all_findings] == [("gap", False)]
    assert "retention; " in verdict.all_findings[0].detail
    assert "before-first-run" not in verdict.all_findings[0].detail
    assert verdict.summary.endswith(", 1 gap")


@pytest.mark.parametrize(("hours", "missed"), [(47, 0), (48, 1), (72, 2)])
def test_a_day_is_missed_once_it_is_over_for_a_day(hours: int, missed: int, s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)]])
    now = datetime(2026, 3, 15, tzinfo=UTC) + timedelta(hours=hours)
    assert [kind for kind, _ in bucket.found(now=now)] == [MISSING] * missed


def test_after_the_end_no_day_is_expected_until_the_pipeline_is_there_again(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)]], ended=True)
    put_day(bucket.store, PIPELINE, FOURTH_DAY, [[plain_rows(6, FOURTH_DAY)]])
    assert [key for _, key in bucket.found()] == [folder(FOURTH_DAY + timedelta(days=1))]
    assert bucket.found(start=SECOND_DAY, end=FOURTH_DAY) == []
    assert bucket.found(start=SECOND_DAY, end=THIRD_DAY) == []


def test_a_range_and_pipelines_narrow_what_is_verified(bucket: Bucket):
    flip(bucket, part(1))
    assert bucket.found(start=SECOND_DAY) == []
    assert bucket.found(end=DAY) == [(MODIFIED, part(1))]
    assert bucket.found(pipelines=[INDEX]) == []
    days = bucket.verify(pipelines=["rag/prod"], start=SECOND_DAY, end=THIRD_DAY).days
    assert [day.day for day in days] == [SECOND_DAY, THIRD_DAY]


def test_a_place_without_an_archive_is_not_valid(s3: S3Handle, bucket: Bucket):
    assert Bucket(s3).found() == [(MISSING, "logs/manifests/workspace=my%20space/")]
    assert bucket.found(pipelines=["other"]) == [(MISSING, "logs/manifests/workspace=my%20space/pipeline=other/")]
    day = verify_day(bucket.store, PIPELINE, DAY - timedelta(days=1))
    assert [finding.kind for finding in day.findings] == [MISSING]


def test_other_workspaces_are_left_alone(bucket: Bucket):
    bucket["logs/jsonl/workspace=other/pipeline=x/dt=2026-03-14/part-00001.jsonl.gz"] = b"not ours"
    assert bucket.found() == []


def test_an_archive_without_a_prefix_is_verified_too(s3: S3Handle):
    store = s3.store()
    put_day(store, PIPELINE, DAY, [[plain_rows(6)]])
    put(store, "jsonl/stray", b"x")
    verdict = verify_archive(store, "my space", None, None, None, datetime(2026, 3, 16, tzinfo=UTC))
    assert [(finding.kind, finding.key) for finding in verdict.all_findings] == [(FOREIGN, "jsonl/stray")]


@pytest.fixture
def signed(s3: S3Handle) -> Bucket:
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)], []], key=KEY)
    return bucket


def test_signed_manifests_are_valid_with_their_key_only(signed: Bucket):
    assert signed.found(end=DAY, signing_key=KEY) == signed.found(end=DAY) == []
    assert signed.found(end=DAY, signing_key="another") == [(MODIFIED, manifest(1)), (MODIFIED, manifest(2))]


def test_a_change_that_no_count_shows_breaks_the_signature(signed: Bucket):
    signed.edit(manifest(2), read_at="2026-03-15T09:00:00Z")
    assert signed.found(end=DAY) == []
    assert signed.found(end=DAY, signing_key=KEY) == [(MODIFIED, manifest(2))]


def test_a_signature_taken_away_is_found(signed: Bucket):
    signed.edit(manifest(2), signature=None)
    assert signed.found(end=DAY, signing_key=KEY) == [("unsigned", manifest(2))]


def test_a_signed_revision_vouches_for_what_it_was_built_on(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)], []])
    assert bucket.found(end=DAY, signing_key=KEY) == [("unsigned", manifest(1)), ("unsigned", manifest(2))]
    second = Manifest.from_bytes(bucket[manifest(2)], "")
    bucket[manifest(2)] = sign(second, KEY).to_bytes()
    assert bucket.found(end=DAY, signing_key=KEY) == []


def test_manifests_signed_with_an_older_key_are_valid_with_it(signed: Bucket):
    assert signed.found(end=DAY, signing_key=Trust(("the new key", KEY))) == []
    assert len(signed.found(end=DAY, signing_key=Trust(("the new key", "another")))) == 2


def test_days_from_before_signing_are_valid_by_what_the_verifier_says_alone(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(6)]])
    put_day(bucket.store, PIPELINE, SECOND_DAY, [[plain_rows(6, SECOND_DAY)]], key=KEY)
    assert bucket.found(end=SECOND_DAY, signing_key=Trust((KEY,), since=SECOND_DAY)) == []
    unsigned = ("unsigned", manifest(1))
    assert bucket.found(end=SECOND_DAY, signing_key=Trust((KEY,), since=DAY)) == [unsigned]
    assert bucket.found(end=SECOND_DAY, signing_key=KEY) == [unsigned]
    stripped = manifest(1).replace(str(DAY), str(SECOND_DAY))
    bucket.edit(stripped, signature=None)  # an attacker cannot move the day on which signing began
    assert bucket.found(end=SECOND_DAY, signing_key=Trust((KEY,), since=SECOND_DAY)) == [("unsigned", stripped)]


def test_a_policy_that_a_part_did_not_go_through_is_found(bucket: Bucket):
    bucket.edit(manifest(2), redaction="a policy")
    assert bucket.found(end=DAY) == [(MODIFIED, manifest(2))]


def test_a_part_said_to_have_been_redacted_since_is_found(bucket: Bucket):
    bucket.edit(manifest(3), files__0__redaction="a policy")
    assert bucket.found(end=DAY) == [(MODIFIED, manifest(3))]


def test_zstd_parts_in_several_frames_are_read(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(60)]], compression="zstd")
    key = part_key(PREFIX, "jsonl", PIPELINE, DAY, 1, "zstd")
    text = zstandard.ZstdDecompressor().decompressobj().decompress(bucket[key])
    body = zstandard.compress(text[:1000]) + zstandard.compress(text[1000:])
    bucket[key] = body
    bucket.edit(manifest(1), files__0__sha256=sha256_hex(body), files__0__bytes=len(body))
    assert bucket.found(end=DAY) == []


def test_a_large_day_is_verified_in_bounded_memory(s3: S3Handle):
    bucket = Bucket(s3)
    rows = plain_rows(40_000)
    put_day(bucket.store, PIPELINE, DAY, [[rows[0::2], rows[1::2]]])
    size = sum(len(row.raw) for row in rows)
    del rows
    verify_day(bucket.store, PIPELINE, SECOND_DAY)
    tracemalloc.start()
    verdict = verify_day(bucket.store, PIPELINE, DAY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (verdict.ok, verdict.rows) == (True, 40_000)
    assert peak < 8 << 20 < size


class BreakingStore(S3Store):
    """A store whose answers break off a few times."""

    failures = 0

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        if key.endswith(".gz") and self.failures:
            self.failures -= 1
            return broken()
        return super().open(key)


@contextmanager
def broken() -> Iterator[Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield b"\x1f\x8b\x08"
        raise StoreUnavailableError("The object's bytes broke off before their end.")

    yield chunks()


def test_an_answer_that_breaks_off_is_no_damage(bucket: Bucket):
    store = BreakingStore(bucket.client, bucket.name, PREFIX)
    store.failures = 2
    assert verify_day(store, PIPELINE, DAY).complete
    store.failures = 9
    with pytest.raises(StoreUnavailableError):
        verify_day(store, PIPELINE, DAY)


def test_the_verdict_does_not_depend_on_concurrency(bucket: Bucket):
    flip(bucket, part(2))
    assert bucket.verify(max_concurrency=1) == bucket.verify(max_concurrency=8)


def test_wrong_parameters_are_named(bucket: Bucket):
    with pytest.raises(InvalidInputError, match="`start`"):
        bucket.verify(start=THIRD_DAY, end=DAY)
    with pytest.raises(InvalidInputError, match="`now`"):
        bucket.verify(now=datetime(2026, 3, 20))  # noqa: DTZ001
    with pytest.raises(InvalidInputError, match="`max_concurrency`"):
        bucket.verify(max_concurrency=0)
    with pytest.raises(InvalidInputError, match="key"):
        bucket.verify(signing_key="")
    with pytest.raises(InvalidInputError, match="`pipelines` is empty"):
        bucket.verify(pipelines=[])
    with pytest.raises(InvalidInputError, match="`end`"):
        bucket.verify(end=datetime(2026, 3, 20, 1))  # noqa: DTZ001


def test_a_far_end_ends_where_the_archive_does(bucket: Bucket):
    assert bucket.verify(start=DAY, end=date.max).days == bucket.verify(start=DAY).days


def test_a_verdict_can_be_kept_as_json(bucket: Bucket):
    flip(bucket, part(2))
    verdict = bucket.verify()
    assert ArchiveVerdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert str(verdict.days[1]).startswith("pipeline rag/prod 2026-03-14: WRONG, 3/3 manifests valid, 2/3 parts valid")
