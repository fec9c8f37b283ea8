"""First runs, outages, retention, identity and clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prefect_deepset.api.errors import (
    AuthenticationError,
    BadRequestError,
)
from prefect_deepset.archive.errors import ClockError, IdentityError
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.archive.plan import archived_sources, days_due
from prefect_deepset.archive.verify import verify_archive
from prefect_deepset.testing import Behaviour, Fault, even_day

from ..servers.ministack import S3Handle
from .day_runs import DAY, SOURCE, Runs, runs_at, seconds

BEFORE = DAY - timedelta(days=1)


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day("2026-03-10T00:00:00Z", 48 * 8))
        for day in range(11, 21):
            made.server.add_rows("support", "chat", even_day(f"2026-03-{day}T00:00:00Z", 48 * 8, seed=day))
        yield made


def gaps(manifest) -> list[tuple[str, str, str]]:
    return [(gap.start[8:19], gap.end[8:19], gap.reason) for gap in manifest.gaps]


def due(runs: Runs) -> list[date]:
    return days_due(runs.store, runs.source, runs.clock())


def verified(runs: Runs, now: str | None = None) -> dict[int, str]:
    """What verification finds, by day of month."""
    at = datetime.fromisoformat(now) if now else datetime.fromtimestamp(runs.clock(), UTC)
    verdict = verify_archive(runs.store, "support", None, None, None, at)
    assert verdict.findings == []
    return {day.day.day: ",".join(finding.kind for finding in day.findings) for day in verdict.days if day.findings}


def run_all(runs: Runs, time: str) -> dict[int, str]:
    """A daily run: every day that is due; day of month and status of each."""
    runs.clock.set(time)
    return {day.day: runs.archive(day).manifest.status for day in due(runs)}


# -- the first run -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["empty", "400"])
def test_a_first_run_keeps_what_is_left_of_the_day_before_yesterday_as_a_gap_that_is_no_fault(runs: Runs, answer):
    runs.server.behaviour = Behaviour(retention_answer=answer)
    assert run_all(runs, "2026-03-15T06:45:00.3Z") == {13: "gap", 14: "sealed"}
    manifest = runs.manifests(BEFORE)[-1]
    assert gaps(manifest) == [("13T00:00:00", "13T06:55:01", "before-first-run")]
    kept = runs.archived(BEFORE)
    assert manifest.rows == len(kept) == len(set(kept))
    assert set(runs.truth(BEFORE, shown_only=True)) <= set(kept)
    runs.assert_whole(DAY)
    assert run_all(runs, "2026-03-15T12:45:00.3Z") == {14: "settled"}
    assert len(runs.manifests(BEFORE)) == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_day_named_long_before_the_first_run_leaves_no_days_to_be_accounted_for_between(runs: Runs, first):
    if not first:
        run_all(runs, "2026-03-15T06:45:00Z")
    assert gaps(runs.at("2026-03-15T07:00:00Z", date(2026, 1, 20))) == [("20T00:00:00", "21T00:00:00", "before-first-run")]
    assert due(runs) == ([BEFORE, DAY] if first else [DAY])
    run_all(runs, "2026-03-15T12:45:00Z")
    run_all(runs, "2026-03-16T00:45:00Z")
    assert archived_sources(runs.store, "support") == [SOURCE]
    assert verified(runs) == ({13: "gap"} if first else {})  # what vanished since the archive was begun


def test_a_first_run_that_could_not_read_all_that_is_shown_is_open_and_mended_without_losing_the_reason(runs: Runs):
    broken = Fault.gateway_timeout()
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.on_request = lambda r: broken if "2026-03-13T10" in r.params.get("after", "") else None
    assert run_all(runs, "2026-03-15T06:45:00Z") == {13: "open", 14: "sealed"}
    runs.server.on_request = None
    assert run_all(runs, "2026-03-15T08:45:00Z")[13] == "gap"
    manifest = runs.manifests(BEFORE)[-1]
    assert gaps(manifest) == [("13T00:00:00", "13T06:55:00", "before-first-run")]
    assert set(runs.truth(BEFORE, shown_only=True)) <= set(runs.archived(BEFORE))


@pytest.mark.parametrize("answer", ["empty", "400", "shown"])
def test_a_day_ten_days_ago_is_asked_for_and_never_becomes_an_empty_day(runs: Runs, answer):
    runs.server.behaviour = Behaviour(retention_answer=answer)
    old = date(2026, 3, 10)
    manifest = runs.at("2026-03-20T12:00:00Z", old)
    assert (manifest.status, gaps(manifest)) == ("gap", [("10T00:00:00", "11T00:00:00", "before-first-run")])
    assert manifest.rows == (384 if answer == "shown" else 0)
    assert runs.cost("2026-03-20T18:00:00Z", old)[1:] == (0, 0)


def test_a_refused_request_within_retention_is_an_error_and_no_gap(runs: Runs):
    runs.server.on_request = lambda r: Fault(400, b'{"detail":"no"}') if r.route == "logs" else None
    with pytest.raises(BadRequestError):
        runs.at("2026-03-15T01:00:00Z")
    assert runs.keys() == []


# -- outages -----------------------------------------------------------------------------------------------------------


def test_after_an_outage_each_skipped_day_gets_its_gap_and_what_is_shown_is_kept(runs: Runs):
    run_all(runs, "2026-03-12T06:45:00Z")
    assert due(runs) == [date(2026, 3, 11)]
    assert run_all(runs, "2026-03-17T06:45:00Z") == {12: "gap", 13: "gap", 14: "gap", 15: "gap", 16: "sealed"}
    for day in (12, 13, 14):
        manifest = runs.manifests(date(2026, 3, day))[-1]
        assert gaps(manifest) == [(f"{day}T00:00:00", f"{day + 1}T00:00:00", "retention")]
        assert manifest.rows == 0
    partly = runs.manifests(date(2026, 3, 15))[-1]
    assert gaps(partly) == [("15T00:00:00", "15T06:55:00", "retention")]
    assert set(runs.truth(date(2026, 3, 15), shown_only=True)) <= set(runs.archived(date(2026, 3, 15)))
    assert runs.manifests(date(2026, 3, 11))[-1].status == "sealed"  # read whole once, no longer shown for a second time
    assert run_all(runs, "2026-03-17T18:45:00Z") == {16: "settled"}
    assert run_all(runs, "2026-03-18T06:45:00Z") == {17: "sealed"}


def test_a_day_that_failed_while_later_ones_were_archived_is_still_due(runs: Runs):
    run_all(runs, "2026-03-12T06:45:00Z")
    for day in range(13, 18):
        runs.clock.set(f"2026-03-{day + 1}T06:45:00Z")
        runs.archive(date(2026, 3, day))
    assert date(2026, 3, 12) in due(runs)
    assert runs.archive(date(2026, 3, 12)).manifest.status == "gap"


# -- retention ------------------------------------------------------------------------------------------------------------


def test_a_page_that_came_too_late_leaves_a_gap_though_it_brought_the_rows(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()
    runs.clock.set("2026-03-15T23:48:00Z")  # two minutes until the day's start counts as leaving

    def slow(request):
        if request.route == "logs" and request.logs_number == 1:
            runs.server.advance(300)

    runs.server.on_request = slow
    ticking = lambda: runs.clock() + runs.server._offset  # noqa: E731 - both clocks move together
    result = runs.archive(DAY, here=ticking)
    assert result.manifest.status == "gap"
    assert gaps(result.manifest) == [("14T00:00:00", "14T00:03:00", "retention")]
    assert set(runs.archived()) == set(runs.truth())


def test_when_time_is_short_the_oldest_hours_are_asked_for_first(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()
    runs.at("2026-03-15T22:30:00Z", max_concurrency=1)
    firsts = [request.params["after"][11:13] for request in runs.server.requests if request.route == "logs"]
    assert firsts[0] == "01"
    entries = list(dict.fromkeys(firsts))
    assert entries[:3] == ["01", "02", "00"]  # hours until the start is safe for long enough, then the rest from its end
    runs.assert_whole()


# -- identity and clocks ---------------------------------------------------------------------------------------------------


def test_another_platform_is_refused_before_anything_is_read(runs: Runs, s3: S3Handle, tmp_path: Path):
    runs.at("2026-03-15T01:00:00Z")
    with runs_at(s3, tmp_path / "other", "2026-03-16T01:00:00Z") as other:
        other.server.add_pipeline("support", "chat", even_day("2026-03-15T00:00:00Z", 10))
        runs.clock.set("2026-03-16T01:00:00Z")
        with pytest.raises(IdentityError, match="host"):
            runs.archive(date(2026, 3, 15), url=other.server.url)
        assert other.log_requests() == 0


def test_another_workspace_of_the_same_name_is_refused_before_anything_is_read(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.server.add_workspace("support", "another-id")
    runs.server.reset()
    for day in (DAY, date(2026, 3, 15)):
        with pytest.raises(IdentityError, match="workspace_id"):
            runs.at("2026-03-16T01:00:00Z" if day != DAY else "2026-03-15T07:00:00Z", day)
    assert runs.log_requests() == 0


@pytest.mark.parametrize("ahead", [310, -310])
def test_a_clock_that_is_wrong_by_more_than_five_minutes_is_an_error_before_anything_is_read(runs: Runs, ahead):
    runs.clock.set("2026-03-15T03:00:00Z")
    with pytest.raises(ClockError, match="ahead of" if ahead > 0 else "behind"):
        runs.archive(here=lambda: seconds("2026-03-15T03:00:00Z") + ahead)
    assert runs.log_requests() == 0


@pytest.mark.parametrize("ahead", [290, -290])
def test_a_clock_that_is_wrong_by_less_is_borne(runs: Runs, ahead):
    runs.clock.set("2026-03-15T03:00:00Z")
    assert runs.archive(here=lambda: seconds("2026-03-15T03:00:00Z") + ahead).manifest.status == "sealed"


# -- what stops a read in the middle -----------------------------------------------------------------------------------------


def test_a_key_that_is_revoked_in_the_middle_is_an_error_and_what_was_read_is_used_later(runs: Runs):
    refused = Fault(401, b'{"detail":"revoked"}')
    runs.server.on_request = lambda r: refused if r.route == "logs" and r.logs_number >= 4 else None
    with pytest.raises(AuthenticationError):
        runs.at("2026-03-15T01:00:00Z", max_concurrency=1)
    assert runs.keys() == []
    runs.server.on_request = None
    runs.server.reset()
    assert runs.archive(max_concurrency=1).manifest.status == "sealed"
    assert runs.pages() <= 4
    runs.assert_whole()


def test_when_the_time_allowed_is_over_what_was_read_is_committed_and_the_rest_is_an_open_gap(runs: Runs):
    runs.clock.set("2026-03-15T01:00:00Z")

    def hour_per_page(request) -> None:
        if request.route == "logs":
            runs.clock.time += 1000

    runs.server.on_request = hour_per_page
    manifest = runs.archive(max_concurrency=1, options=ArchiveOptions(time_limit=1500)).manifest
    assert (manifest.status, {gap.reason for gap in manifest.gaps}) == ("open", {"time-budget"})
    assert 0 < manifest.rows < 384
    runs.server.on_request = None
    manifest = runs.archive().manifest
    assert (manifest.status, manifest.late_rows) == ("sealed", 0)
    runs.assert_whole()


@pytest.mark.parametrize(("total", "agrees"), [("after", True), ("all", None), ("zero", None), ("null", None)])
def test_the_servers_total_is_checked_where_it_can_be_told_what_it_counts(runs: Runs, total, agrees):
    runs.server.behaviour = Behaviour(total=total)
    assert runs.at("2026-03-15T01:00:00Z", max_concurrency=1).total.agrees is agrees
