"""Pipelines and indexes that come and go."""

from __future__ import annotations

from datetime import date

import pytest
from prefect_deepset.api.errors import (
    AuthenticationError,
    NotFoundError,
    PipelineNotFoundError,
    WorkspaceNotFoundError,
)
from prefect_deepset.archive.plan import archived_sources
from prefect_deepset.testing import Behaviour, Fault, even_day

from .day_runs import DAY, SOURCE, Runs
from .test_day_lives import gaps, run_all, runs, verified

__all__ = ["runs"]


def test_a_wrong_name_is_an_error_and_leaves_nothing(runs: Runs):
    runs.source = SOURCE._replace(name="chatt")
    with pytest.raises(PipelineNotFoundError):
        runs.at("2026-03-15T01:00:00Z")
    runs.source = SOURCE._replace(workspace="suport")
    with pytest.raises(WorkspaceNotFoundError):
        runs.at("2026-03-15T01:00:00Z")
    assert runs.keys() == []


def test_a_wrong_key_is_an_error_and_leaves_nothing(runs: Runs):
    with pytest.raises(AuthenticationError):
        runs.at("2026-03-15T01:00:00Z", api_key="api_wrong")
    assert runs.keys() == []


def test_a_pipeline_that_vanished_is_closed_on_the_day_in_which_it_was_found_to_be_gone_and_not_considered_again(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    run_all(runs, "2026-03-14T12:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    assert run_all(runs, "2026-03-15T06:45:00Z") == {14: "gap"}
    manifest = runs.manifests(DAY)[-1]
    assert (manifest.ended, manifest.rows) == (True, 0)
    assert gaps(manifest) == [("14T00:00:00", "15T00:00:00", "pipeline-gone")]
    assert archived_sources(runs.store, "support") == [SOURCE]  # until 06:45 of the 15th it may have written
    assert run_all(runs, "2026-03-16T06:45:00Z") == {14: "gap", 15: "gap"}
    manifest = runs.manifests(date(2026, 3, 15))[-1]
    assert (manifest.ended, manifest.ended_at, manifest.closes) == (True, "2026-03-15T06:45:00Z", True)
    assert archived_sources(runs.store, "support") == []
    before = runs.keys()
    runs.clock.set("2026-03-17T06:45:00Z")
    result = runs.archive(date(2026, 3, 16))
    assert (result.committed, result.manifest.dt) == (False, "2026-03-15")
    assert runs.keys() == before
    assert verified(runs) == {15: "gap", 14: "gap"}


def test_a_pipeline_deleted_between_a_days_two_reads_does_not_take_the_next_morning_with_it(runs: Runs):
    run_all(runs, "2026-03-15T00:45:00Z")
    runs.server.remove_pipeline("support", "chat")  # at 05:00: it has written for five hours of the 15th
    assert run_all(runs, "2026-03-15T06:45:00Z") == {14: "sealed"}
    assert (runs.manifests()[-1].ended, runs.manifests()[-1].closes) == (True, False)
    assert "missing" in verified(runs, "2026-03-20T00:00:00Z")[15]
    assert archived_sources(runs.store, "support") == [SOURCE]
    assert run_all(runs, "2026-03-16T00:45:00Z")[15] == "gap"
    assert gaps(runs.manifests(date(2026, 3, 15))[-1]) == [("15T00:00:00", "16T00:00:00", "pipeline-gone")]
    assert archived_sources(runs.store, "support") == []
    assert verified(runs, "2026-03-20T00:00:00Z") == {15: "gap"}


def test_a_pipeline_deleted_made_again_and_deleted_again_is_closed_on_its_last_morning(runs: Runs):
    run_all(runs, "2026-03-15T00:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    run_all(runs, "2026-03-15T06:45:00Z")
    runs.server.add_pipeline("support", "chat", even_day("2026-03-15T00:00:00Z", 48))
    assert run_all(runs, "2026-03-15T12:45:00Z")[14] in {"sealed", "settled"}
    assert not runs.manifests()[-1].ended
    runs.server.remove_pipeline("support", "chat")
    run_all(runs, "2026-03-16T00:45:00Z")
    assert archived_sources(runs.store, "support") == [SOURCE]
    run_all(runs, "2026-03-17T00:45:00Z")
    assert archived_sources(runs.store, "support") == []
    assert runs.manifests(date(2026, 3, 16))[-1].ended_at == "2026-03-16T00:45:00Z"
    assert verified(runs, "2026-03-20T00:00:00Z") == {15: "gap", 16: "gap"}


def test_a_proxy_that_finds_nothing_does_not_close_a_pipeline(runs: Runs):
    run_all(runs, "2026-03-15T00:45:00Z")
    before = runs.keys()
    runs.server.on_request = lambda _: Fault.html(404)
    runs.clock.set("2026-03-16T00:45:00Z")
    with pytest.raises(NotFoundError, match="web page"):
        runs.archive(date(2026, 3, 15))
    assert runs.keys() == before


def test_a_pipeline_that_vanished_during_a_long_outage_is_closed(runs: Runs):
    run_all(runs, "2026-03-12T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    assert archived_sources(runs.store, "support") == [SOURCE]
    assert run_all(runs, "2026-03-18T06:45:00Z") == dict.fromkeys(range(12, 18), "gap")
    assert archived_sources(runs.store, "support") == [SOURCE]
    assert run_all(runs, "2026-03-19T06:45:00Z") == {17: "gap", 18: "gap"}
    assert archived_sources(runs.store, "support") == []


def test_a_pipeline_found_gone_while_the_day_goes_on_is_closed_when_it_is_over(runs: Runs):
    run_all(runs, "2026-03-15T00:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    assert runs.at("2026-03-15T12:00:00Z", date(2026, 3, 15)).status == "open"
    assert archived_sources(runs.store, "support") == [SOURCE]
    run_all(runs, "2026-03-16T00:45:00Z")
    assert runs.manifests(date(2026, 3, 15))[-1].closes
    assert archived_sources(runs.store, "support") == []


def test_a_pipeline_that_was_gone_for_a_moment_is_read_as_soon_as_it_is_back(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.rename_pipeline("support", "chat", "parked")
    assert runs.at("2026-03-15T00:45:00Z").status == "gap"
    assert runs.cost("2026-03-15T06:45:00Z")[1:] == (0, 0)
    runs.server.rename_pipeline("support", "parked", "chat")
    assert run_all(runs, "2026-03-15T07:45:00Z")[14] == "sealed"
    runs.assert_whole()
    assert not runs.manifests()[-1].ended


def test_a_vanished_pipeline_whose_logs_are_still_shown_is_archived_whole_and_closed(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    runs.server.behaviour = Behaviour(deleted_logs="shown")
    manifest = runs.at("2026-03-15T06:45:00Z")
    assert (manifest.status, manifest.ended) == ("sealed", True)
    runs.assert_whole()


def test_a_vanished_pipeline_of_which_nothing_is_shown_was_not_silent(runs: Runs):
    """Its logs are answered by an empty page, as those of one that wrote nothing."""
    runs.server.behaviour = Behaviour(deleted_logs="empty")
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    manifest = runs.at("2026-03-15T06:45:00Z")
    assert (manifest.status, manifest.ended, gaps(manifest)) == ("gap", True, [("14T00:00:00", "15T00:00:00", "pipeline-gone")])
    assert run_all(runs, "2026-03-16T06:45:00Z")[15] == "gap"
    assert archived_sources(runs.store, "support") == []


def test_what_was_read_of_a_pipeline_before_it_vanished_in_the_middle_of_the_read_is_whole(runs: Runs):
    runs.server.behaviour = Behaviour(deleted_logs="empty")
    run_all(runs, "2026-03-14T06:45:00Z")
    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T12" else None
    with pytest.raises(Exception, match="500"):
        runs.at("2026-03-15T06:45:00Z", max_concurrency=1, commit_partial=False)
    runs.server.on_request = None
    runs.server.remove_pipeline("support", "chat")
    manifest = runs.at("2026-03-15T06:46:00Z")
    assert (manifest.status, gaps(manifest)[0][::2]) == ("gap", ("14T00:00:00", "pipeline-gone"))
    assert gaps(manifest)[0][1] < "14T13"


def test_a_pipeline_that_vanished_before_the_second_read_closes_the_sealed_day_once(runs: Runs):
    run_all(runs, "2026-03-15T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    manifest = runs.at("2026-03-15T12:45:00Z")
    assert (manifest.status, manifest.revision, manifest.ended, manifest.gaps) == ("sealed", 2, True, [])
    assert runs.cost("2026-03-15T18:45:00Z")[1:] == (0, 0)
    runs.assert_whole()


def test_a_pipeline_made_again_under_its_name_goes_on_with_another_id(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    run_all(runs, "2026-03-15T06:45:00Z")
    runs.server.add_pipeline("support", "chat", even_day("2026-03-16T00:00:00Z", 50))
    assert run_all(runs, "2026-03-17T06:45:00Z") == {15: "gap", 16: "sealed"}
    manifest = runs.manifests(date(2026, 3, 16))[-1]
    assert (manifest.ended, manifest.rows) == (False, 50)
    assert manifest.source.pipeline_id != runs.manifests(DAY)[0].source.pipeline_id


def test_a_pipeline_deleted_in_the_middle_of_a_read_loses_nothing_that_was_read(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()

    def delete_at_third(request):
        if request.logs_number == 3:
            runs.server.remove_pipeline("support", "chat")

    runs.server.on_request = delete_at_third
    with pytest.raises(PipelineNotFoundError):
        runs.at("2026-03-15T06:45:00Z", max_concurrency=1)
    runs.server.on_request = None
    manifest = runs.at("2026-03-15T06:46:00Z")
    assert (manifest.status, manifest.ended, manifest.gaps[0].reason) == ("gap", True, "pipeline-gone")
    assert manifest.rows == len(set(runs.archived())) > 100


def test_an_index_is_archived_like_a_pipeline_and_closed_when_it_is_gone(runs: Runs):
    runs.server.add_index("support", "docs", even_day("2026-03-14T00:00:00Z", 150))
    runs.source = SOURCE._replace(name="docs", kind="index")
    assert runs.at("2026-03-15T06:45:00Z").status == "sealed"
    runs.assert_whole()
    assert not [key for key in list(runs.keys()) if "/index=docs/" not in key]
    runs.server._thing("support", "docs", "index").deleted = True  # the fake has no public way to delete an index
    manifest = runs.at("2026-03-16T06:45:00Z", date(2026, 3, 15))
    assert (manifest.status, manifest.ended, gaps(manifest)[0][2]) == ("gap", True, "pipeline-gone")
    last = runs.at("2026-03-17T06:45:00Z", date(2026, 3, 16))  # found gone in the course of it
    before = runs.keys()
    for day in (18, 19):
        assert runs.at(f"2026-03-{day}T06:45:00Z", date(2026, 3, day - 1)) == last
    assert runs.keys() == before
    runs.server.add_index("support", "docs", even_day("2026-03-19T00:00:00Z", 15))  # there again
    assert runs.at("2026-03-20T06:45:00Z", date(2026, 3, 19)).rows == 15
