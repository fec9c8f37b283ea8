"""The status table through time: what a run does follows from manifests and the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from prefect_deepset.api.errors import GatewayTimeoutError, InvalidInputError
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.errors import ConditionalWritesMissingError, StoreAccessError, StoreError
from prefect_deepset.archive.verify import verify_day
from prefect_deepset.testing import Behaviour, Fault, Faults, HeavyRange, even_day, row

from ..servers.ministack import S3Handle
from ..servers.s3_proxy import Answer, S3Proxy
from .day_runs import DAY, Runs, runs_at

MIDNIGHT = "2026-03-14T00:00:00Z"
LATE = "2026-03-14T15:00:00.5Z"


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 450))
        yield made


def gaps(manifest) -> list[tuple[str, str, str]]:
    return [(gap.start[11:19], gap.end[11:19], gap.reason) for gap in manifest.gaps]


def test_a_day_read_before_the_settle_lag_is_open_and_the_next_run_mends_only_its_end(runs: Runs):
    manifest = runs.at("2026-03-15T00:29:59Z")
    assert (manifest.status, manifest.rows, manifest.gaps) == ("open", 450, [])
    manifest, requests, objects = runs.cost("2026-03-15T00:30:00Z")
    assert (manifest.status, manifest.revision, manifest.late_rows) == ("sealed", 2, 0)
    assert requests <= 3
    assert objects == 1
    runs.assert_whole()


def test_a_day_read_at_the_settle_lag_is_sealed_at_once(runs: Runs):
    assert runs.at("2026-03-15T00:30:00Z").status == "sealed"


def test_an_open_day_that_grows_at_its_end_gets_another_part(runs: Runs):
    runs.server.add_rows("support", "chat", [row("2026-03-14T23:59:30Z")], visible_at="2026-03-15T00:10:00Z")
    assert runs.at("2026-03-15T00:05:00Z").rows == 450
    manifest = runs.at("2026-03-15T00:31:00Z")
    assert (manifest.status, manifest.rows, manifest.late_rows, len(manifest.files)) == ("sealed", 451, 0, 2)
    runs.assert_whole()


def test_two_runs_before_the_settle_lag_leave_less_and_less_to_be_read_again(runs: Runs):
    for time in ("00:01:00", "00:11:00", "00:21:00"):
        assert runs.at(f"2026-03-15T{time}Z").status == "open"
    runs.server.add_rows("support", "chat", [row("2026-03-14T23:45:00Z")], visible_at="2026-03-15T00:12:00Z")
    assert runs.at("2026-03-15T00:35:00Z").rows == 450  # 23:45 was read 36 minutes later: that is past the lag
    assert runs.at("2026-03-15T05:35:00Z").late_rows == 1


def test_the_second_read_is_due_five_hours_after_the_first_ones_start_and_costs_nothing_before(runs: Runs):
    assert runs.at("2026-03-15T01:00:00Z").status == "sealed"
    manifest, requests, objects = runs.cost("2026-03-15T05:59:59Z")
    assert (manifest.status, manifest.revision, requests, objects) == ("sealed", 1, 0, 0)
    assert runs.server.counters["requests"] == 0
    manifest, requests, objects = runs.cost("2026-03-15T06:00:00Z")
    assert (manifest.status, manifest.revision, objects) == ("settled", 2, 1)
    assert requests >= 5
    for later in ("2026-03-15T12:00:00Z", "2026-03-16T23:00:00Z", "2026-04-01T00:00:00Z"):
        manifest, requests, objects = runs.cost(later)
        assert (manifest.status, manifest.revision, requests, objects) == ("settled", 2, 0, 0)


def test_late_rows_become_a_part_and_a_revision_of_their_own_and_the_day_settles_later(runs: Runs):
    late = [row(LATE), row("2026-03-14T00:00:00Z", level="error")]
    runs.server.add_rows("support", "chat", late, visible_at="2026-03-15T02:00:00Z")
    assert runs.at("2026-03-15T01:00:00Z").rows == 450
    second = runs.at("2026-03-15T06:00:00Z")
    assert (second.status, second.revision, second.rows, second.late_rows) == ("sealed", 2, 452, 2)
    names = [(file.rows, file.key.rpartition("/")[2]) for file in second.files]
    assert names == [(450, "part-00001.jsonl.gz"), (2, "part-00002.jsonl.gz")]
    assert runs.cost("2026-03-15T10:59:00Z")[1:] == (0, 0)
    third = runs.at("2026-03-15T11:00:00Z")
    assert (third.status, third.revision, third.late_rows, len(third.files)) == ("settled", 3, 0, 2)
    assert third.errors == sum(b'"level":"error"' in line for line in runs.truth())
    runs.assert_whole()


def test_rows_the_platform_no_longer_shows_stay_in_the_archive(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 100, seed=5))  # made anew: other rows, another id
    manifest = runs.at("2026-03-15T06:00:00Z")
    assert (manifest.status, manifest.rows, manifest.late_rows) == ("sealed", 550, 100)
    assert manifest.source.pipeline_id != runs.manifests()[0].source.pipeline_id
    assert len(set(runs.archived())) == 550
    assert runs.at("2026-03-15T11:00:00Z").status == "settled"


def test_reread_reads_the_whole_day_now_and_commits_nothing_when_nothing_is_new(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.at("2026-03-15T06:00:00Z")
    manifest, requests, objects = runs.cost("2026-03-15T07:00:00Z", reread=True)
    assert (manifest.revision, manifest.status, objects) == (2, "settled", 0)
    assert requests >= 5
    runs.server.add_rows("support", "chat", [row(LATE)])
    manifest = runs.at("2026-03-15T08:00:00Z", reread=True)
    assert (manifest.revision, manifest.status, manifest.late_rows) == (3, "sealed", 1)
    runs.assert_whole()


def test_reading_again_soon_after_the_first_read_settles_nothing_and_the_second_read_stays_due(runs: Runs):
    runs.at("2026-03-15T00:45:00Z")
    manifest, requests, objects = runs.cost("2026-03-15T05:44:59Z", reread=True)
    assert (manifest.status, manifest.revision, objects) == ("sealed", 1, 0)
    assert requests >= 5
    runs.server.add_rows("support", "chat", [row(LATE)])  # it becomes visible only now
    manifest = runs.at("2026-03-15T05:45:00Z")
    assert (manifest.status, manifest.late_rows) == ("sealed", 1)
    assert runs.at("2026-03-15T06:00:00Z", reread=True).status == "sealed"
    assert runs.at("2026-03-15T10:45:00Z", reread=True).status == "settled"
    assert runs.at("2026-03-15T10:50:00Z", reread=True).revision == 3
    runs.assert_whole()


def test_a_day_read_again_in_its_last_hours_stays_sealed_when_the_first_read_was_as_late(runs: Runs):
    runs.at("2026-03-15T20:00:00Z")
    assert runs.at("2026-03-15T23:30:00Z", reread=True).status == "sealed"
    runs.assert_whole()


def test_a_reread_of_an_open_day_that_fails_at_its_end_does_not_seal_it(runs: Runs):
    assert runs.at("2026-03-15T00:10:00Z").status == "open"
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T23:50:00Z", "2026-03-14T23:59:59Z", max_limit=0)])
    manifest = runs.at("2026-03-15T06:00:00Z", reread=True)
    assert manifest.status == "open"
    assert manifest.gaps[0].reason == "gateway-timeout"


def test_a_stretch_that_times_out_leaves_the_day_open_with_its_gap_and_the_next_run_reads_only_that(runs: Runs):
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])
    manifest = runs.at("2026-03-15T01:00:00Z")
    assert manifest.status == "open"
    assert [gap.reason for gap in manifest.gaps] == ["gateway-timeout"]
    assert "2026-03-14T10:00:00Z" <= manifest.gaps[0].start < manifest.gaps[0].end < "2026-03-14T11:00:00Z"
    assert manifest.rows == len(runs.archived()) < 450
    runs.server.faults = Faults()
    manifest, requests, _ = runs.cost("2026-03-15T06:00:00Z")
    assert (manifest.status, manifest.revision, manifest.rows, manifest.late_rows) == ("sealed", 2, 450, 0)
    assert requests <= 6
    runs.assert_whole()
    assert runs.at("2026-03-15T11:00:00Z").status == "settled"


def test_a_gap_that_leaves_retention_becomes_final(runs: Runs):
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])
    assert runs.at("2026-03-15T01:00:00Z").status == "open"
    with pytest.raises(GatewayTimeoutError):  # nothing of it came: the run says so, and the manifest stands
        runs.at("2026-03-15T20:00:00.250Z")
    assert len(runs.manifests()) == 1
    runs.server.faults = Faults()
    manifest = runs.at("2026-03-16T10:45:30.250Z")
    assert (manifest.status, [gap.reason for gap in manifest.gaps]) == ("gap", ["gateway-timeout"])
    assert runs.cost("2026-03-16T11:00:00Z")[1:] == (0, 0)


def test_when_nothing_at_all_can_be_read_nothing_is_committed(runs: Runs):
    runs.server.faults = Faults(probability=1.0)
    with pytest.raises(GatewayTimeoutError):
        runs.at("2026-03-15T01:00:00Z")
    assert runs.keys() == []


def test_a_second_read_that_fails_in_part_changes_nothing_and_says_so(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])
    with pytest.raises(GatewayTimeoutError):
        runs.at("2026-03-15T06:00:00Z")
    assert [manifest.status for manifest in runs.manifests()] == ["sealed"]
    runs.server.faults = Faults()
    assert runs.at("2026-03-15T06:30:00Z").status == "settled"


def test_a_second_read_that_was_answered_too_late_does_not_settle_the_day(runs: Runs):
    runs.at("2026-03-15T18:50:00Z")
    runs.clock.set("2026-03-15T23:49:50Z")
    ticking = iter(range(10_000))
    runs.server.on_request = lambda _: runs.clock.set(f"2026-03-15T23:{50 + min(next(ticking), 9)}:30Z")
    assert runs.archive().manifest.status == "sealed"


def test_a_sealed_day_whose_start_has_left_retention_stays_sealed(runs: Runs):
    runs.at("2026-03-15T20:00:00Z")
    manifest, requests, objects = runs.cost("2026-03-16T01:00:00Z")
    assert (manifest.status, requests, objects) == ("sealed", 0, 0)


def test_an_empty_day_and_one_that_answers_404_leave_proof(runs: Runs):
    for number, behaviour in enumerate((Behaviour(no_logs="empty"), Behaviour(no_logs="404"), Behaviour(no_logs="404_always"))):
        runs.server.behaviour = behaviour
        runs.server.add_pipeline("support", f"idle-{number}", [])
        runs.source = runs.source._replace(name=f"idle-{number}")
        manifest = runs.at("2026-03-15T01:00:00Z")
        assert (manifest.status, manifest.rows, manifest.files, manifest.gaps) == ("sealed", 0, [], [])
        assert runs.at("2026-03-15T06:00:00Z").status == "settled"


def test_a_pipeline_that_was_never_deployed_has_empty_days(runs: Runs):
    runs.server.add_pipeline("support", "draft", [], deployed=False)
    runs.source = runs.source._replace(name="draft")
    assert runs.at("2026-03-15T01:00:00Z").status == "sealed"


def test_seconds_that_pass_while_today_is_read_are_no_fault(runs: Runs):
    runs.clock.set("2026-03-14T12:00:00Z")
    ticks = iter(range(1000))
    manifest = runs.archive(here=lambda: runs.clock() + next(ticks) * 0.7).manifest
    assert (manifest.status, gaps(manifest)) == ("open", [("12:00:00", "00:00:00", "not-over")])


def test_today_is_open_up_to_now_and_goes_on_from_there(runs: Runs):
    manifest = runs.at("2026-03-14T12:00:00.7Z")
    assert (manifest.status, gaps(manifest)) == ("open", [("12:00:00", "00:00:00", "not-over")])
    first = manifest.rows
    assert 200 < first < 250
    manifest, requests, _ = runs.cost("2026-03-14T13:00:00Z")
    assert gaps(manifest) == [("13:00:00", "00:00:00", "not-over")]
    assert requests <= 4
    manifest = runs.at("2026-03-15T00:31:00Z")
    assert (manifest.status, manifest.late_rows) == ("sealed", 0)
    runs.assert_whole()


def test_a_day_that_has_not_begun_is_refused_without_a_request(runs: Runs):
    with pytest.raises(InvalidInputError, match="has not begun"):
        runs.at("2026-03-13T23:59:59Z")
    assert runs.server.requests == []


@pytest.mark.parametrize("day", [datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC), DAY.isoformat()])
def test_a_day_given_as_a_midnight_or_as_text_lies_where_every_other_does(runs: Runs, day: date):
    runs.at("2026-03-15T01:00:00Z", day)
    runs.assert_whole()
    assert verify_day(runs.store, runs.source, day).ok


def test_a_time_is_no_day(runs: Runs):
    runs.server.reset()
    noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
    with pytest.raises(InvalidInputError, match="`day`"):
        runs.archive(noon)
    with pytest.raises(InvalidInputError, match="`day`"):
        verify_day(runs.store, runs.source, noon)
    assert (runs.server.requests, runs.keys()) == ([], [])


@pytest.mark.parametrize(("answer", "kind"), [
    (Answer(403, "AccessDenied"), StoreAccessError), (Answer(501, "NotImplemented"), ConditionalWritesMissingError),
])
def test_a_store_that_cannot_be_written_is_found_out_before_a_page_is_read(
    runs: Runs, s3_proxy: S3Proxy, answer: Answer, kind: type[StoreError]
):
    s3_proxy.rule = lambda request: answer if request.method == "PUT" else None
    store = runs.s3.store(runs.bucket, runs.store.prefix, endpoint_url=s3_proxy.endpoint_url)
    runs.clock.set("2026-03-15T01:00:00Z")
    with pytest.raises(kind):
        runs.archive(store=store)
    assert runs.pages() == 0
    runs.at("2026-03-15T01:00:00Z")
    asked = len(s3_proxy.requests)
    assert not runs.archive(store=store).committed
    assert {request.method for request in s3_proxy.requests[asked:]} == {"GET"}  # nothing is due, so nothing is tried


def test_a_name_that_makes_keys_too_long_is_refused_without_a_request(runs: Runs):
    runs.server.reset()
    with pytest.raises(InvalidInputError, match="too long"):
        replace(runs, source=LogSource("support", "ü" * 160)).archive()
    assert runs.server.requests == []


def test_bad_options_are_refused_without_a_request(runs: Runs):
    with pytest.raises(InvalidInputError):
        runs.archive(max_concurrency=0)
    assert runs.server.requests == []


def test_what_was_committed_before_is_named_by_hash(runs: Runs):
    for time in ("2026-03-15T00:10:00Z", "2026-03-15T01:00:00Z", "2026-03-15T06:00:00Z"):
        runs.at(time)
    manifests = runs.manifests()
    assert manifests[0].previous is None
    for manifest in manifests[1:]:
        assert manifest.previous is not None
        assert hashlib.sha256(runs.s3.read(runs.bucket, manifest.previous.key)).hexdigest() == manifest.previous.sha256


def test_a_transient_error_is_raised_when_partial_commits_are_not_wanted_and_the_next_call_goes_on(runs: Runs):
    runs.server.behaviour = Behaviour(time_filter="400")
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:40:00Z", max_limit=0)])
    with pytest.raises(GatewayTimeoutError):
        runs.at("2026-03-15T01:00:00Z", commit_partial=False)
    assert runs.keys() == []
    runs.server.faults = Faults()
    runs.server.reset()
    assert runs.at("2026-03-15T01:10:00Z", commit_partial=False).status == "sealed"
    assert runs.log_requests() <= 6
    runs.assert_whole()


def test_faults_that_pass_are_asked_again_and_leave_no_trace(runs: Runs):
    faults = (Fault.gateway_timeout(), Fault.bad_gateway(), Fault.html(), Fault(truncate=0.5))
    runs.server.faults = Faults(at=dict(enumerate(faults, 1)))
    assert runs.at("2026-03-15T01:00:00Z").status == "sealed"
    runs.assert_whole()
