"""Several runs over one day at the same time: no row twice, no revision lost, nothing left over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Barrier
from typing import BinaryIO

import pytest
from prefect_deepset.archive.day import DayResult
from prefect_deepset.archive.store import S3Store
from prefect_deepset.archive.verify import verify_archive
from prefect_deepset.testing import Behaviour, Faults, HeavyRange, even_day, row

from ..servers.ministack import S3Handle
from .day_runs import Runs, runs_at
from .test_day_crashes import Died, dying_store, start_child
from .test_day_status import LATE, MIDNIGHT


class InterruptedStore(S3Store):
    """Lets something else happen right before the first write into a table."""

    def interrupt(self, table: str, happens: Callable[[], object]) -> InterruptedStore:
        self.table, self.happens = table, happens
        return self

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        if key.startswith(f"{self.prefix}/{self.table}/"):
            happens, self.happens = self.happens, lambda: None
            happens()
        return super().create(key, body, sha256=sha256, size=size, content_type=content_type)


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 450))
        yield made


def raced(runs: Runs, table: str, happens: Callable[[], object]) -> DayResult:
    """A run during which, right before it writes into `table`, something else happens."""
    return runs.archive(store=InterruptedStore(runs.s3.client(), runs.bucket, "logs").interrupt(table, happens))


def assert_valid(runs: Runs) -> None:
    verdict = verify_archive(runs.store, "support", None, None, None, datetime.fromisoformat("2026-03-15T23:00:00Z"))
    assert verdict.all_findings == []
    runs.assert_whole()


@pytest.mark.parametrize("table", ["jsonl", "manifests"])
def test_two_first_reads_at_once_make_one_revision_and_neither_settles_the_day(runs: Runs, table):
    runs.clock.set("2026-03-15T01:00:00Z")

    def other() -> None:
        runs.clock.set("2026-03-15T01:05:00Z")
        assert runs.archive().committed

    result = raced(runs, table, other)
    assert (result.committed, result.manifest.revision, result.manifest.status) == (False, 1, "sealed")
    assert len(runs.keys()) == 2
    assert_valid(runs)


@pytest.mark.parametrize("table", ["jsonl", "manifests"])
def test_a_row_that_only_the_other_run_saw_is_archived_once(runs: Runs, table):
    runs.server.add_rows("support", "chat", [row(LATE)], visible_at="2026-03-15T01:03:00Z")

    def other() -> None:
        runs.clock.set("2026-03-15T01:05:00Z")
        runs.archive()

    raced(runs, table, other)
    assert [manifest.status for manifest in runs.manifests()] == ["sealed"]
    assert_valid(runs)


def test_a_part_with_a_row_that_became_visible_after_this_read_is_adopted_once_the_platform_confirms_it(runs: Runs):
    runs.server.add_rows("support", "chat", [row(LATE)], visible_at="2026-03-15T01:03:00Z")

    def other_dies() -> None:
        runs.clock.set("2026-03-15T01:05:00Z")
        with pytest.raises(Died):
            runs.archive(store=dying_store(runs, "jsonl", after=True))

    result = raced(runs, "jsonl", other_dies)
    assert (result.foreign, len(result.manifest.files), result.manifest.rows) == ((), 1, 451)
    assert_valid(runs)


def test_a_run_that_read_less_takes_nothing_back(runs: Runs):
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])

    def other() -> None:
        runs.server.faults = Faults()
        assert runs.archive().manifest.status == "sealed"

    with pytest.raises(Exception, match="504"):
        raced(runs, "jsonl", other)
    assert [manifest.status for manifest in runs.manifests()] == ["sealed"]
    assert_valid(runs)


def test_two_runs_with_different_gaps_make_one_whole_day(runs: Runs):
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])

    def other() -> None:
        runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T18:00:00Z", "2026-03-14T18:40:00Z", max_limit=0)])
        assert runs.archive().manifest.status == "open"

    result = raced(runs, "jsonl", other)
    assert (result.manifest.status, result.manifest.revision) == ("sealed", 2)
    assert_valid(runs)


EVENING = HeavyRange("2026-03-14T18:00:00Z", "2026-03-14T18:40:00Z", max_limit=0)
LAST_HOUR = HeavyRange("2026-03-14T23:00:00Z", "2026-03-15T00:00:00Z", max_limit=0)


@pytest.mark.parametrize(("died_at", "goes_on_at"), [("00:02", "00:06"), ("01:00", "18:45")])
def test_a_read_that_died_long_ago_and_a_new_one_beside_it_make_one_day(runs: Runs, tmp_path, died_at, goes_on_at):
    runs.clock.set(f"2026-03-15T{died_at}:00Z")
    with pytest.raises(Died):
        runs.archive(store=dying_store(runs, "jsonl", after=False))
    runs.clock.set(f"2026-03-15T{goes_on_at}:00Z")
    assert_a_whole_day_beside(runs, tmp_path, EVENING)


def test_a_read_too_early_does_not_vouch_for_the_end_of_a_day_that_a_later_one_could_not_read(runs: Runs, tmp_path):
    runs.server.add_rows("support", "chat", [row("2026-03-14T23:59:30Z")], visible_at="2026-03-15T00:04:00Z")
    runs.clock.set("2026-03-15T00:02:00Z")
    assert_a_whole_day_beside(runs, tmp_path, LAST_HOUR, "2026-03-15T06:00:00Z")


def assert_a_whole_day_beside(runs: Runs, tmp_path: Path, unreadable: HeavyRange, at: str | None = None) -> None:
    """A run that commits upon the revision of another one, which could not read all, and began later."""
    runs.server.behaviour = Behaviour(time_filter="400")

    def other() -> None:
        if at is not None:
            runs.clock.set(at)
        runs.server.faults = Faults(heavy=[unreadable])
        assert runs.archive(spool_root=tmp_path / "another").manifest.status == "open"
        runs.server.faults = Faults()

    result = raced(runs, "jsonl", other)
    assert (result.committed, result.manifest.revision) == (True, 2)
    first, second = runs.manifests()
    assert second.read_at >= first.read_at
    for time in ("18:50", "18:55"):
        runs.at(f"2026-03-15T{time}:00Z")
    assert_valid(runs)


def test_two_second_reads_at_once_settle_the_day_once(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.clock.set("2026-03-15T07:00:00Z")

    def other() -> None:
        runs.clock.set("2026-03-15T07:01:00Z")
        assert runs.archive().manifest.status == "settled"

    result = raced(runs, "manifests", other)
    assert (result.committed, result.manifest.status) == (False, "settled")
    assert [manifest.status for manifest in runs.manifests()] == ["sealed", "settled"]
    assert_valid(runs)


def test_a_second_read_beside_one_that_found_late_rows_does_not_settle_the_day(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.clock.set("2026-03-15T07:00:00Z")
    runs.server.add_rows("support", "chat", [row(LATE)], visible_at="2026-03-15T07:00:30Z")

    def other() -> None:
        runs.clock.set("2026-03-15T07:01:00Z")
        assert runs.archive().manifest.late_rows == 1

    assert raced(runs, "manifests", other).manifest.status == "sealed"
    assert [manifest.status for manifest in runs.manifests()] == ["sealed", "sealed"]
    assert runs.at("2026-03-15T12:01:00Z").status == "settled"
    assert_valid(runs)


@pytest.mark.parametrize("spools", ["one", "each"])
def test_threads_that_begin_at_the_same_moment_leave_one_archive(runs: Runs, tmp_path, spools):
    begin = Barrier(4)

    def run(number: int) -> DayResult:
        begin.wait()
        return runs.archive(spool_root=tmp_path / ("spool" if spools == "one" else f"spool-{number}"))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    assert {result.manifest.status for result in results} == {"sealed"}
    assert {result.foreign for result in results} == {()}
    assert len(runs.manifests()) == 1
    assert_valid(runs)


def test_processes_that_begin_at_the_same_moment_leave_one_archive(runs: Runs, tmp_path):
    children = [start_child(runs, spool) for spool in (runs.spool, runs.spool, tmp_path / "another")]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    for child in children:
        child.communicate()
    assert len(runs.manifests()) == 1
    assert_valid(runs)


@pytest.mark.parametrize("seed", range(3))
def test_workers_among_late_rows_and_gaps_lose_and_double_nothing(runs: Runs, tmp_path, seed):
    for second in range(60):
        runs.server.add_rows("support", "chat", [row(f"2026-03-14T{second % 24:02}:30:{second:02}Z", message=f"{second}")],
                             visible_at=f"2026-03-15T01:00:{second:02}Z")
    count = [0]

    def tick(request) -> None:
        count[0] += 1
        runs.clock.time = datetime.fromisoformat("2026-03-15T01:00:00Z").timestamp() + min(count[0] * 0.7, 59)

    runs.server.on_request = tick
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda n: runs.archive(spool_root=tmp_path / f"{seed}-{n}"), range(3)))
    assert {result.foreign for result in results} == {()}
    runs.server.on_request = None
    for time in ("06:10:00", "11:20:00", "16:30:00"):
        manifest = runs.at(f"2026-03-15T{time}Z")
    assert manifest.status == "settled"
    assert_valid(runs)
