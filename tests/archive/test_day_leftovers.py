"""What an earlier run left: parts without a manifest, old spools, damaged manifests; and whose fault what is missing is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prefect_deepset.archive.errors import IdentityError, ManifestError
from prefect_deepset.archive.keys import manifest_key, part_key
from prefect_deepset.archive.manifest import sha256_hex
from prefect_deepset.archive.plan import days_due
from prefect_deepset.archive.verify import verify_archive
from prefect_deepset.testing import Behaviour, even_day, row

from ..servers.ministack import S3Handle
from .day_runs import DAY, SOURCE, Runs, runs_at
from .test_day_crashes import Died, dying_store

LATE = [row(f"2026-03-14T20:00:0{n}.5Z", level="error") for n in range(3)]
NOBODYS, FAULT = "before-first-run", "retention"


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day("2026-03-08T00:00:00Z", 48))
        for day in range(9, 19):
            made.server.add_rows("support", "chat", even_day(f"2026-03-{day:02}T00:00:00Z", 48, seed=day))
        made.server.add_rows("support", "chat", LATE, visible_at="2026-03-15T15:00:00Z")
        yield made


def run_all(runs: Runs, time: str) -> dict[int, str]:
    """A daily run: every day that is due; day of month and status of each."""
    runs.clock.set(time)
    return {day.day: runs.archive(day).manifest.status for day in days_due(runs.store, runs.source, runs.clock())}


def die(runs: Runs, time: str, day: date = DAY) -> None:
    """A run that dies between its part and its manifest, on another machine."""
    runs.clock.set(time)
    with pytest.raises(Died):
        runs.archive(day, store=dying_store(runs, "manifests", after=False), spool_root=runs.spool.with_name("lost"))


def findings(runs: Runs) -> set[str]:
    now = datetime.fromtimestamp(runs.clock(), UTC)
    return {finding.kind for finding in verify_archive(runs.store, "support", None, None, None, now).all_findings}


def reasons(runs: Runs, first: int, last: int) -> dict[int, set[str]]:
    return {day: {gap.reason for gap in runs.manifests(date(2026, 3, day))[-1].gaps} for day in range(first, last + 1)}


# -- parts without a manifest --------------------------------------------------------------------------------------------


def test_late_rows_of_a_second_read_that_died_are_taken_up_when_the_day_is_not_read_any_more(runs: Runs):
    run_all(runs, "2026-03-15T12:45:00Z")
    die(runs, "2026-03-15T18:45:00Z")
    assert run_all(runs, "2026-03-16T00:45:00Z")[14] == "sealed"  # its start is shown no more
    manifest = runs.assert_whole()
    assert (manifest.revision, manifest.late_rows) == (2, 3)
    assert findings(runs) == set()
    assert runs.cost("2026-03-16T01:45:00Z")[1:] == (0, 0)


def test_what_a_dead_run_left_is_asked_for_only_where_the_platform_still_shows_it(runs: Runs):
    for hour in (0, 6):
        run_all(runs, f"2026-03-15T{hour:02}:45:00Z")
    assert runs.manifests()[-1].status == "settled"
    runs.clock.set("2026-03-15T16:45:00Z")
    with pytest.raises(Died):
        runs.archive(reread=True, store=dying_store(runs, "manifests", after=False), spool_root=runs.spool.with_name("lost"))
    manifest, requests, written = runs.cost("2026-03-15T17:45:00Z")
    assert (manifest.status, manifest.late_rows, written) == ("sealed", 3, 1)
    assert 0 < requests <= 6
    runs.assert_whole()


def test_a_part_of_a_first_run_that_died_is_named_by_a_manifest_a_day_later(runs: Runs):
    for day in (13, 14):
        die(runs, "2026-03-15T18:45:00Z", date(2026, 3, day))
    assert run_all(runs, "2026-03-16T00:45:00Z") == {13: "gap", 14: "gap", 15: "sealed"}
    assert runs.archived() == runs.truth()  # though a read that was not finished proves nothing
    assert runs.manifests(date(2026, 3, 13))[-1].rows > 0
    assert findings(runs) <= {"gap"}


def test_a_stranger_at_the_next_number_costs_no_page_and_stays_foreign(runs: Runs):
    for hour in (0, 6):
        run_all(runs, f"2026-03-15T{hour:02}:45:00Z")
    key = part_key("logs", "jsonl", SOURCE, DAY, 2, "gzip")
    body = runs.s3.read(runs.bucket, part_key("logs", "jsonl", SOURCE, DAY, 1, "gzip"))
    runs.store.create(key, body, sha256=sha256_hex(body), size=len(body), content_type="application/gzip")
    assert runs.cost("2026-03-15T12:45:00Z")[1:] == (0, 0)
    assert runs.archive().foreign == (key,)
    assert "foreign" in findings(runs)


def test_a_part_of_a_pipeline_that_was_made_again_is_adopted_though_nothing_shows_its_rows(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    die(runs, "2026-03-15T00:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    runs.server.add_pipeline("support", "chat", even_day("2026-03-14T00:00:00Z", 30, seed=99))
    assert runs.at("2026-03-15T06:45:00Z").rows == 48 + 30
    assert runs.archive().foreign == ()


# -- what was read long ago ----------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def kill_late(progress) -> None:
    if progress.covered > 0.5:
        raise Killed


@pytest.mark.parametrize(("hours", "resumes"), [(1, True), (14, False)])
def test_reading_again_now_goes_on_from_a_try_before_and_not_from_one_long_ago(runs: Runs, hours, resumes):
    runs.server.add_rows("support", "chat", even_day("2026-03-14T00:00:00Z", 4000, seed=77))
    runs.at("2026-03-15T00:45:00Z")
    runs.clock.set("2026-03-15T01:00:00Z")
    with pytest.raises(Killed):
        runs.archive(reread=True, progress=kill_late)
    manifest, requests, _ = runs.cost(f"2026-03-15T{1 + hours:02}:00:00Z", reread=True)
    assert (requests < 40) == resumes
    if not resumes:
        assert (manifest.read_at, manifest.late_rows) == ("2026-03-15T15:00:00Z", 3)
        runs.assert_whole()


# -- damaged manifests, other hosts --------------------------------------------------------------------------------------


def test_a_damaged_manifest_fails_its_own_day_and_no_other(runs: Runs):
    run_all(runs, "2026-03-15T00:45:00Z")
    runs.store.create(manifest_key("logs", SOURCE, DAY, 2), b"{}", sha256=sha256_hex(b"{}"), size=2, content_type="")
    runs.clock.set("2026-03-16T00:45:00Z")
    following = DAY + timedelta(days=1)
    assert days_due(runs.store, SOURCE, runs.clock()) == [DAY, following]
    with pytest.raises(ManifestError, match="dt=2026-03-14/r00002"):
        runs.archive()
    assert runs.archive(following).manifest.status == "sealed"


def test_a_new_pipeline_of_another_host_is_refused_before_anything_is_read(runs: Runs, s3: S3Handle, tmp_path: Path):
    runs.at("2026-03-15T00:45:00Z")
    with runs_at(s3, tmp_path / "other", "2026-03-15T00:45:00Z") as other:
        other.server.add_pipeline("support", "bot", even_day("2026-03-14T00:00:00Z", 10))
        runs.source = SOURCE._replace(name="bot")
        with pytest.raises(IdentityError, match="host"):
            runs.archive(url=other.server.url)
        assert other.log_requests() == 0


# -- whose fault it is ---------------------------------------------------------------------------------------------------


def test_what_vanished_before_the_source_was_ever_read_is_nobodys_fault_on_any_day(runs: Runs):
    run_all(runs, "2026-03-15T23:55:00Z")
    assert reasons(runs, 13, 14) == {13: {NOBODYS}, 14: {NOBODYS}}


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_first_backfill_has_no_faults_in_whatever_order(runs: Runs, newest_first):
    runs.clock.set("2026-03-15T00:45:00Z")
    for day in sorted(range(8, 15), reverse=newest_first):
        runs.archive(date(2026, 3, day))
    assert reasons(runs, 8, 14) == {**{day: {NOBODYS} for day in range(8, 14)}, 14: set()}


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_vanished_in_an_outage_is_a_fault_and_what_lies_before_the_first_read_is_not(runs: Runs, newest_first):
    run_all(runs, "2026-03-12T00:45:00Z")
    runs.clock.set("2026-03-18T00:45:00Z")
    for day in sorted((8, 9, 12, 13, 14, 15), reverse=newest_first):
        runs.archive(date(2026, 3, day))
    assert reasons(runs, 8, 11) == {8: {NOBODYS}, 9: {NOBODYS}, 10: {NOBODYS}, 11: set()}
    assert reasons(runs, 12, 15) == {day: {FAULT} for day in range(12, 16)}


def test_the_end_of_a_first_day_that_was_read_too_early_is_a_fault_when_it_is_lost(runs: Runs):
    assert runs.at("2026-03-15T00:10:00Z").status == "open"
    assert runs.at("2026-03-18T00:45:00Z").status == "gap"
    assert reasons(runs, 14, 14) == {14: {FAULT}}


def test_where_rows_vanish_the_oldest_one_is_no_tie(runs: Runs):
    runs.server.behaviour = Behaviour(after_precision="s", after_inclusive=True, has_more="until_empty")
    runs.server.add_rows("support", "chat", even_day("2026-03-13T00:00:00Z", 500, seed=5))
    manifest = runs.at("2026-03-15T00:20:00Z", date(2026, 3, 13))
    assert (manifest.status, manifest.unresolved_ties, reasons(runs, 13, 13)) == ("gap", [], {13: {NOBODYS}})
