"""A run that dies after any write, or is killed anywhere, and the run after it: the same archive, nothing twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from prefect_deepset.archive.compression import compress
from prefect_deepset.archive.errors import SpoolError, StoreUnavailableError
from prefect_deepset.archive.keys import part_key
from prefect_deepset.archive.manifest import sha256_hex
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.archive.store import S3Store
from prefect_deepset.archive.verify import verify_archive
from prefect_deepset.testing import Behaviour, Faults, HeavyRange, even_day, row
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from ..servers.s3_proxy import Answer, HideYoung, LoseAnswer, S3Proxy
from .day_runs import DAY, SOURCE, Runs, runs_at
from .test_day_status import LATE, MIDNIGHT

CHILD = Path(__file__).with_name("day_child.py")


class Died(Exception):  # noqa: N818 - what happens, not what is wrong
    """What a crash looks like from inside."""


class DyingStore(S3Store):
    """Dies right before or right after it writes into a table."""

    def die(self, table: str, *, after: bool) -> DyingStore:
        self.table, self.after = table, after
        return self

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        here = key.startswith(f"{self.prefix}/{self.table}/")
        if here and not self.after:
            raise Died
        created = super().create(key, body, sha256=sha256, size=size, content_type=content_type)
        if here:
            raise Died
        return created


def dying_store(runs: Runs, table: str, *, after: bool) -> DyingStore:
    return DyingStore(runs.s3.client(), runs.bucket, "logs").die(table, after=after)


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 450))
        yield made


def assert_valid(runs: Runs) -> None:
    verdict = verify_archive(runs.store, "support", None, None, None, datetime.fromisoformat("2026-03-15T23:00:00Z"))
    assert verdict.all_findings == []


def assert_valid_but_for_gaps(runs: Runs) -> None:
    verdict = verify_archive(runs.store, "support", None, None, None, datetime.fromisoformat("2026-03-16T23:00:00Z"))
    assert {finding.kind for finding in verdict.all_findings} == {"gap"}


@pytest.mark.parametrize("other_machine", [False, True])
@pytest.mark.parametrize("formats", [("jsonl",), ("jsonl", "csv")])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_around_any_write_leaves_nothing_that_the_next_run_does_not_take_over(
    runs: Runs, tmp_path, after, formats, other_machine
):
    late = [row(LATE), row("2026-03-14T23:59:59.999999Z")]
    runs.server.add_rows("support", "chat", late, visible_at="2026-03-15T02:00:00Z")
    options = ArchiveOptions(formats=formats)
    for number, time in enumerate(("2026-03-15T01:00:00Z", "2026-03-15T07:00:00Z")):
        runs.clock.set(time)
        for table in formats if after else (*formats, "manifests"):
            store = dying_store(runs, table, after=after)
            with pytest.raises(Died):
                runs.archive(store=store, options=options, spool_root=tmp_path / f"{number}-{table}")
        manifest = runs.archive(options=options, spool_root=tmp_path / ("new" if other_machine else f"{number}-jsonl")).manifest
        assert (manifest.status, manifest.revision, len(manifest.files)) == ("sealed", number + 1, (number + 1) * len(formats))
    runs.assert_whole()
    assert_valid(runs)


def test_a_crash_right_after_the_commit_is_a_run_that_was_done(runs: Runs):
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "manifests", after=True))
    before = runs.keys()
    assert (runs.archive().committed, runs.keys()) == (False, before)
    runs.assert_whole()


def test_a_part_of_a_crashed_run_is_adopted_where_the_platform_shows_its_rows_no_longer(runs: Runs, tmp_path):
    runs.at("2026-03-14T12:00:00Z", spool_root=tmp_path / "a")  # so that this is no first run
    day = runs.manifests()[-1].dt
    runs.clock.set("2026-03-15T22:00:00Z")
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=True), spool_root=tmp_path / "b")
    manifest = runs.at("2026-03-16T18:00:00Z", spool_root=tmp_path / "c")  # on another machine, when the part's rows are gone
    assert (manifest.dt, manifest.status) == (day, "gap")
    assert sorted(runs.archived()) == sorted(runs.truth())


@pytest.mark.parametrize("table", ["jsonl", "manifests"])
def test_a_day_that_was_read_long_before_it_is_committed_is_read_again_as_long_as_it_can_be(runs: Runs, table):
    runs.server.add_rows("support", "chat", [row(LATE)], visible_at="2026-03-15T05:00:00Z")
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, table, after=False))
    manifest = runs.at("2026-03-15T13:00:00Z")
    assert (manifest.revision, manifest.read_at) == (1, "2026-03-15T13:00:00Z")
    runs.assert_whole()
    assert_valid(runs)


def test_rows_that_were_read_long_before_are_kept_where_the_platform_shows_them_no_longer(runs: Runs):
    runs.clock.set("2026-03-15T05:00:00Z")
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=False))
    manifest = runs.at("2026-03-16T18:00:00Z")
    assert (manifest.status, manifest.read_at) == ("sealed", "2026-03-15T05:00:00Z")
    runs.assert_whole()
    assert_valid(runs)


def test_rows_of_a_read_that_another_machine_overtook_are_kept(runs: Runs, tmp_path):
    runs.at("2026-03-14T12:00:00Z", spool_root=tmp_path / "a")
    runs.clock.set("2026-03-15T22:00:00Z")
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=False), spool_root=tmp_path / "b")
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T23:00:00Z", "2026-03-15T00:00:00Z", max_limit=0)])
    assert runs.at("2026-03-16T18:00:00Z", spool_root=tmp_path / "a").status == "open"
    runs.server.faults = Faults()
    manifest = runs.at("2026-03-16T18:10:00Z", spool_root=tmp_path / "b")
    assert (manifest.revision, manifest.status) == (3, "gap")
    assert sorted(runs.archived()) == sorted(runs.truth())
    assert_valid_but_for_gaps(runs)


POLICY = RedactionPolicy(patterns=["email"], hash_fields=["user_id"], salt=SecretStr("salt"))
SECRET = row("2026-03-14T10:00:00Z", message="ann@example.org", extra_fields={"user_id": "ann"})


def test_a_crashed_runs_part_in_clear_text_is_not_taken_for_a_redacted_one(runs: Runs, tmp_path):
    runs.server.add_rows("support", "chat", [SECRET])
    redacted = ArchiveOptions(redaction=POLICY)
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=True))
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=True), options=redacted)
    result = runs.archive(options=redacted, spool_root=tmp_path / "new")  # nor is its own refused, hashes and all
    assert result.foreign == (part_key("logs", "jsonl", SOURCE, DAY, 1, "gzip"),)
    assert [file.key for file in result.manifest.files] == [part_key("logs", "jsonl", SOURCE, DAY, 2, "gzip")]
    assert b"ann" not in b"".join(runs.archived())
    assert result.manifest.redaction == result.manifest.files[0].redaction == POLICY.sha256


def test_a_policy_is_stated_of_what_went_through_it_alone(runs: Runs):
    late = [row(LATE, message="bob@example.org")]
    runs.server.add_rows("support", "chat", [SECRET])
    runs.server.add_rows("support", "chat", late, visible_at="2026-03-15T02:00:00Z")
    options = ArchiveOptions(formats=("jsonl", "csv"))
    assert runs.archive(options=options).manifest.redaction is None
    manifest = runs.at("2026-03-15T12:00:00Z", options=options._replace(redaction=POLICY))
    assert [file.redaction for file in manifest.files] == [None, None, POLICY.sha256, POLICY.sha256]
    assert (manifest.revision, manifest.redaction) == (2, None)
    assert_valid(runs)


def test_a_foreign_part_at_the_taken_number_is_reported_and_left_alone(runs: Runs):
    foreign = [b"not even gzip", compress(b"no json\n", "gzip"),
               compress(json.dumps(row("2026-03-14T05:00:00Z", message="never logged")).encode() + b"\n", "gzip"),
               compress(json.dumps(row("2026-03-13T05:00:00Z")).encode() + b"\n", "gzip")]
    keys = [part_key("logs", "jsonl", SOURCE, DAY, number, "gzip") for number in range(1, 5)]
    for key, body in zip(keys, foreign, strict=True):
        assert runs.store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type="application/gzip")
    result = runs.archive()
    assert result.foreign == tuple(keys)
    assert [file.key for file in result.manifest.files] == [part_key("logs", "jsonl", SOURCE, DAY, 5, "gzip")]
    runs.assert_whole()
    assert [runs.s3.read(runs.bucket, key) for key in keys] == foreign


# -- the store's own tricks ------------------------------------------------------------------------------------------------


def test_a_write_whose_answer_was_lost_is_known_as_our_own(runs: Runs, s3_proxy: S3Proxy):
    lost: set[str] = set()

    def lose_each_once(request):
        if request.method == "PUT" and request.key not in lost and not request.key.endswith(".write-check"):
            lost.add(request.key)
            return LoseAnswer()
        return None

    s3_proxy.rule = lose_each_once
    result = runs.archive(store=runs.s3.store(runs.bucket, "logs", endpoint_url=s3_proxy.endpoint_url))
    assert (result.committed, result.manifest.revision, len(runs.keys())) == (True, 1, 2)
    assert len(lost) == 2
    runs.assert_whole()
    assert_valid(runs)


def test_a_conflict_is_tried_again(runs: Runs, s3_proxy: S3Proxy):
    answers = [Answer(409, "ConditionalRequestConflict")] * 2
    s3_proxy.rule = lambda r: answers.pop() if answers and r.method == "PUT" and "part-" in r.key else None
    assert runs.archive(store=runs.s3.store(runs.bucket, "logs", endpoint_url=s3_proxy.endpoint_url)).manifest.revision == 1
    assert answers == []
    runs.assert_whole()


def test_a_listing_that_lags_hides_no_revision(runs: Runs, s3_proxy: S3Proxy):
    s3_proxy.rule = lambda request: HideYoung(10_000) if request.lists else None
    store = runs.s3.store(runs.bucket, "logs", endpoint_url=s3_proxy.endpoint_url)
    for time, status in (("01:00:00", "sealed"), ("01:30:00", "sealed"), ("06:00:00", "settled"), ("07:00:00", "settled")):
        assert runs.at(f"2026-03-15T{time}Z", store=store).status == status
    assert len(runs.manifests()) == 2
    runs.assert_whole()


@pytest.mark.parametrize("table", ["jsonl", "manifests"])
def test_a_store_that_fails_at_the_end_keeps_what_was_read(runs: Runs, s3_proxy: S3Proxy, table):
    s3_proxy.rule = lambda r: Answer(503, "SlowDown") if r.method == "PUT" and f"/{table}/" in f"/{r.key}" else None
    with pytest.raises(StoreUnavailableError):
        runs.archive(store=runs.s3.store(runs.bucket, "logs", endpoint_url=s3_proxy.endpoint_url))
    runs.server.reset()
    assert runs.archive().manifest.status == "sealed"
    assert runs.log_requests() == 0
    runs.assert_whole()


# -- kills -----------------------------------------------------------------------------------------------------------------


def start_child(runs: Runs, spool: Path | None = None, concurrency: int = 4) -> subprocess.Popen[bytes]:
    settings = {"url": runs.server.url, "api_key": runs.server.api_key, "endpoint": runs.s3.endpoint_url,
                "bucket": runs.bucket, "access_key": runs.s3.access_key, "secret_key": runs.s3.secret_key,
                "spool": str(spool or runs.spool), "now": runs.clock.time, "day": DAY.isoformat(),
                "concurrency": concurrency}
    return subprocess.Popen([sys.executable, str(CHILD), json.dumps(settings)], stdout=subprocess.PIPE)


@pytest.mark.parametrize(("share", "workers"), [(0.5, 4), *(
    pytest.param(share, workers, marks=pytest.mark.slow) for share in (0.1, 0.3, 0.5, 0.7, 0.9) for workers in (1, 16))])
def test_a_run_killed_in_the_middle_goes_on_where_it_was(runs: Runs, share, workers):
    runs.server.add_rows("support", "chat", even_day(MIDNIGHT, 20_000, seed=9))
    runs.server.faults = Faults(latency=0.01)
    runs.archive(max_concurrency=workers, store=runs.s3.store(runs.bucket, "undisturbed"))
    pages = runs.pages()
    runs.server.reset()
    killed: list[subprocess.Popen[bytes]] = []

    def kill(request):
        if request.logs_number == round(pages * share) and killed:
            killed[0].send_signal(signal.SIGKILL)

    runs.server.on_request = kill
    killed.append(start_child(runs, concurrency=workers))
    assert killed[0].wait(60) == -signal.SIGKILL
    killed[0].communicate()
    runs.server.on_request = None
    assert runs.archive(max_concurrency=workers).manifest.status == "sealed"
    assert runs.pages() <= pages * 1.15
    runs.assert_whole()
    assert_valid(runs)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_run_killed_at_random_any_number_of_times_ends_in_the_same_archive(runs: Runs, seed):
    generator = random.Random(seed)
    runs.server.add_rows("support", "chat", even_day(MIDNIGHT, 5_000, seed=seed))
    for _ in range(4):
        child = start_child(runs)
        try:
            child.wait(generator.uniform(0.4, 2.0))
        except subprocess.TimeoutExpired:
            child.kill()
        child.communicate()
    runs.archive()
    manifest = runs.assert_whole()
    assert manifest.revision == 1
    assert_valid(runs)


def test_a_spool_error_names_no_secret(runs: Runs, tmp_path):
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    with pytest.raises(SpoolError) as error:
        runs.archive(spool_root=blocked)
    assert runs.server.api_key not in str(error.value)
