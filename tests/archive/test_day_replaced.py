"""Pipelines that are deleted and made again under their name: what the one before wrote and nobody read is named."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from prefect_deepset.api.errors import DeepsetError
from prefect_deepset.testing import Behaviour, Fault, even_day, row

from .day_runs import DAY, SOURCE, Runs
from .test_day_lives import gaps, run_all, runs, verified

__all__ = ["runs"]

NEXT = DAY + timedelta(days=1)


def make_again(runs: Runs, start: str) -> None:
    """Another pipeline of the name, whose first row is of `start`."""
    runs.server.remove_pipeline("support", "chat")
    runs.server.add_pipeline("support", "chat", [row(start)])


def gap(start: str, end: str) -> tuple[str, str, str]:
    return (start, end, "pipeline-replaced")


def test_what_the_one_before_wrote_until_the_first_row_of_the_new_one_is_a_gap_that_stays(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    make_again(runs, "2026-03-14T15:00:00Z")
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert (manifest.status, manifest.rows, gaps(manifest)) == ("gap", 1, [gap("14T00:00:00", "14T15:00:00")])
    assert runs.cost("2026-03-15T06:45:00Z")[1:] == (0, 0)
    assert gaps(runs.at("2026-03-15T07:00:00Z", reread=True)) == [gap("14T00:00:00", "14T15:00:00")]
    assert runs.at("2026-03-16T00:45:00Z", NEXT).status == "sealed"
    assert verified(runs)[14] == "gap"


def test_days_that_were_read_whole_before_have_none(runs: Runs):
    runs.at("2026-03-15T01:00:00Z")
    make_again(runs, "2026-03-15T03:00:00Z")
    assert runs.at("2026-03-15T06:45:00Z").status == "settled"
    assert gaps(runs.at("2026-03-16T00:45:00Z", NEXT)) == [gap("15T00:00:00", "15T03:00:00")]


def test_there_is_none_where_logs_are_kept_by_name(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    pipeline = runs.server._thing("support", "chat", "pipeline")  # the fake has no public way to change an id alone
    pipeline.thing_id = "another"
    assert runs.at("2026-03-15T00:45:00Z").status == "sealed"
    assert runs.assert_whole().source.pipeline_id == "another"
    pipeline.thing_id = "a third"
    assert runs.at("2026-03-15T06:45:00Z").status == "settled"
    assert runs.at("2026-03-16T00:45:00Z", NEXT).status == "sealed"
    runs.assert_whole(NEXT)


def test_where_that_cannot_be_asked_the_day_stays_open_and_the_next_run_tells(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server._thing("support", "chat", "pipeline").thing_id = "another"
    last = runs.manifests(date(2026, 3, 13))[-1].last
    assert last
    broken, until = Fault.gateway_timeout(), "2026-03-14T00:01"
    runs.server.on_request = lambda r: broken if r.route == "logs" and last[:19] <= r.params["after"] < until else None
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert (manifest.status, {reason for *_, reason in gaps(manifest)} <= {"error", "gateway-timeout"}) == ("open", True)
    runs.server.on_request = None
    assert runs.at("2026-03-15T01:45:00Z").status == "sealed"
    runs.assert_whole()


def test_one_that_was_there_before_the_day_began_leaves_no_gap_in_it(runs: Runs):
    assert runs.at("2026-03-14T06:45:00Z").status == "open"
    make_again(runs, "2026-03-14T15:00:00Z")
    assert gaps(runs.at("2026-03-15T00:45:00Z")) == [gap("14T06:15:00", "14T15:00:00")]
    assert runs.at("2026-03-16T00:45:00Z", NEXT).status == "sealed"


@pytest.mark.parametrize("first", [DAY, NEXT])
def test_after_an_outage_the_order_of_days_does_not_matter(runs: Runs, first: date):
    run_all(runs, "2026-03-14T00:45:00Z")
    make_again(runs, "2026-03-14T15:00:00Z")
    runs.server.add_rows("support", "chat", [row("2026-03-15T09:00:00Z")])
    found = {day: gaps(runs.at("2026-03-16T00:45:00Z", day)) for day in (first, NEXT if first == DAY else DAY)}
    assert found[NEXT] == []
    assert found[DAY][-1][1:] == ("14T15:00:00", "pipeline-replaced")


def test_one_that_wrote_under_another_name_meanwhile_is_known_from_the_run_that_found_it(runs: Runs):
    run_all(runs, "2026-03-14T00:45:00Z")
    runs.server.add_pipeline("support", "green", even_day("2026-03-13T00:00:00Z", 500))
    runs.server.add_rows("support", "green", even_day("2026-03-14T00:00:00Z", 500, seed=3))
    runs.server.remove_pipeline("support", "chat")  # at 15:00, say
    runs.server.rename_pipeline("support", "green", "chat")
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert (manifest.status, gaps(manifest)) == ("gap", [gap("14T00:00:00", "15T00:00:00")])
    assert manifest.rows == 500


@pytest.mark.parametrize("answer", ["deleted", "404", "race"])
def test_the_id_is_that_of_the_one_that_is_listed(runs: Runs, answer: str):
    run_all(runs, "2026-03-14T06:45:00Z")
    old = runs.server._thing("support", "chat", "pipeline").described()
    make_again(runs, "2026-03-14T15:00:00Z")
    gone = {"deleted": Fault(200, json.dumps(old | {"deleted": True}).encode(), "application/json"),
            "404": Fault(404, b'{"errors":["Pipeline not found."]}')}
    runs.server.on_request = lambda r: gone.get(answer, gone["404"]) if r.route == "pipeline" else None
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert gaps(manifest) == [gap("14T00:00:00", "14T15:00:00")]
    assert manifest.source.pipeline_id != old["pipeline_id"]


@pytest.mark.parametrize("number", [1, 2])
def test_one_that_takes_the_name_while_it_is_read_is_read_anew(runs: Runs, number: int):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()

    def swap(request):
        if request.route == "logs" and request.logs_number == number:
            make_again(runs, "2026-03-14T15:00:00Z")

    runs.server.on_request = swap
    with pytest.raises(DeepsetError) as caught:
        runs.at("2026-03-15T00:45:00Z", max_concurrency=1)
    assert caught.value.transient
    runs.server.on_request = None
    assert runs.at("2026-03-15T01:45:00Z").gaps[-1].end == "2026-03-14T15:00:00Z"


def test_one_that_is_deleted_as_the_read_begins_was_not_silent(runs: Runs):
    runs.server.behaviour = Behaviour(deleted_logs="empty")
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()

    def delete(request):
        if request.route == "logs" and request.logs_number == 1:
            runs.server.remove_pipeline("support", "chat")

    runs.server.on_request = delete
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert (manifest.ended, gaps(manifest)) == (True, [("14T00:00:00", "15T00:00:00", "pipeline-gone")])


def test_a_revision_without_an_id_hides_nothing(runs: Runs):
    thing = runs.server._thing("support", "chat", "pipeline")
    run_all(runs, "2026-03-13T00:45:00Z")
    known, thing.thing_id = thing.thing_id, None
    run_all(runs, "2026-03-14T00:45:00Z")
    assert runs.manifests(date(2026, 3, 13))[-1].source.pipeline_id is None
    thing.thing_id = known
    make_again(runs, "2026-03-14T15:00:00Z")
    assert gaps(runs.at("2026-03-15T00:45:00Z")) == [gap("14T00:00:00", "14T15:00:00")]


def test_a_pipeline_that_writes_nothing_was_there_when_it_was_first_found(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    make_again(runs, "2026-03-16T09:00:00Z")
    assert gaps(runs.at("2026-03-15T00:45:00Z")) == [gap("14T00:00:00", "15T00:00:00")]
    assert gaps(runs.at("2026-03-16T00:45:00Z", NEXT)) == [gap("15T00:00:00", "15T00:45:00")]
    assert runs.at("2026-03-17T00:45:00Z", date(2026, 3, 16)).status == "sealed"


def test_one_found_to_be_gone_wrote_nothing_after(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    runs.at("2026-03-15T00:45:00Z")
    runs.server.add_pipeline("support", "chat", [row("2026-03-15T12:00:00Z")])
    assert gaps(runs.at("2026-03-16T00:45:00Z", NEXT)) == [gap("15T00:00:00", "15T00:45:00")]


def test_what_a_deleted_one_took_with_it_is_not_mended_by_another_of_its_name(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.remove_pipeline("support", "chat")
    assert gaps(runs.at("2026-03-15T00:45:00Z")) == [("14T00:00:00", "15T00:00:00", "pipeline-gone")]
    runs.server.add_pipeline("support", "chat", [row("2026-03-15T03:00:00Z")])
    manifest = runs.at("2026-03-15T06:45:00Z")
    assert (manifest.status, manifest.ended, gaps(manifest)) == ("gap", False, [gap("14T00:00:00", "15T00:00:00")])
    assert runs.cost("2026-03-15T12:45:00Z")[1:] == (0, 0)


def test_in_the_middle_of_a_day_what_was_read_of_the_one_before_is_no_gap(runs: Runs):
    assert runs.at("2026-03-14T06:45:00Z").status == "open"
    make_again(runs, "2026-03-14T15:00:00Z")
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert (manifest.status, gaps(manifest)) == ("gap", [gap("14T06:15:00", "14T15:00:00")])
    assert manifest.rows == len(set(runs.archived())) > 100


def test_what_could_not_be_read_at_first_is_mended_up_to_the_new_ones_first_row_only(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    make_again(runs, "2026-03-14T15:00:00Z")
    rows = [row(f"2026-03-14T{15 + n // 60}:{n % 60:02}:30Z") for n in range(400)]
    runs.server.add_rows("support", "chat", rows)
    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T18" else None
    manifest = runs.at("2026-03-15T00:45:00Z", max_concurrency=1)
    assert manifest.status == "open"
    assert "error" in {reason for *_, reason in gaps(manifest)}
    runs.server.on_request = None
    manifest = runs.at("2026-03-15T01:45:00Z")
    assert (manifest.status, manifest.rows, gaps(manifest)) == ("gap", 401, [gap("14T00:00:00", "14T15:00:00")])


def test_a_stretch_after_the_new_ones_first_row_is_mended_like_any_other(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    make_again(runs, "2026-03-14T15:00:00Z")
    assert runs.at("2026-03-14T16:45:00Z").status == "open"
    manifest = runs.at("2026-03-15T00:45:00Z")
    assert gaps(manifest) == [gap("14T00:00:00", "14T15:00:00")]


def test_what_a_killed_run_read_of_the_one_before_is_kept_and_proves_nothing_for_the_new_one(runs: Runs):
    run_all(runs, "2026-03-14T06:45:00Z")
    runs.server.reset()
    runs.server.on_request = lambda request: Fault.gateway_timeout() if request.logs_number > 3 else None
    with pytest.raises(DeepsetError):
        runs.at("2026-03-15T00:45:00Z", max_concurrency=1, commit_partial=False)
    runs.server.on_request = None
    make_again(runs, "2026-03-14T15:00:00Z")
    manifest = runs.at("2026-03-15T01:45:00Z")
    assert gaps(manifest) == [gap("14T00:00:00", "14T15:00:00")]
    assert manifest.rows == len(set(runs.archived())) > 1
    assert runs.source == SOURCE
