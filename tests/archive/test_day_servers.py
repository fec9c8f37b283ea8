"""Days read over real HTTP from platforms of every kind: nothing lost, nothing doubled, or the manifest says where."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product
from pathlib import Path

import pytest
from prefect_deepset.api.times import parse_instant
from prefect_deepset.archive.manifest import Manifest
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.testing import (
    Behaviour,
    Fault,
    Faults,
    HeavyRange,
    bursts,
    dense,
    even_day,
    nasty,
    row,
    skewed_day,
    tied_day,
    ties,
)
from prefect_deepset.testing.data import KINDS

from ..servers.ministack import S3Handle
from .day_runs import Runs, runs_at
from .test_day_status import MIDNIGHT

NOON = "2026-03-14T12:00:00Z"


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.options = {"max_concurrency": 4}
        yield made


def fill(runs: Runs, *rows) -> None:
    """The day's rows, and some on both sides of it."""
    runs.server.add_pipeline("support", "chat", even_day("2026-03-13T00:00:00Z", 60, seed=1))
    edges = ("13T23:59:59.999999Z", "14T00:00:00.000000Z", "14T00:00:00.000001Z", "14T23:59:59.999999Z", "15T00:00:00.000000Z")
    runs.server.add_rows("support", "chat", [row(f"2026-03-{edge}", message=edge) for edge in edges])
    for given in rows:
        runs.server.add_rows("support", "chat", given)


def assert_honest(runs: Runs) -> Manifest:
    """What is archived is true and there once; what is missing lies in a gap, and the status says so."""
    manifest = runs.manifests()[-1]
    found, truth = Counter(runs.archived()), Counter(runs.truth())
    assert max(found.values(), default=1) == 1
    assert not found - truth
    spans = [(parse_instant(gap.start), parse_instant(gap.end)) for gap in manifest.gaps]
    for line in truth - found:
        at = parse_instant(json.loads(line)["logged_at"])
        assert any(start <= at < end for start, end in spans), (line[:200], manifest.gaps)
    assert (manifest.status in {"sealed", "settled"}) == (not manifest.gaps)
    return manifest


def cases() -> Iterator[Behaviour]:
    """Every pair of the cursor's answers, the rest dealt out so that each comes up often."""
    dealt = random.Random(3)
    for inclusive, precision, tie_order in product((False, True), ("us", "ms", "s"), ("stable", "random", "by_id")):
        yield Behaviour(
            after_inclusive=inclusive, after_precision=precision, tie_order=tie_order,
            disorder=dealt.choice(("none", "stable", "random")), has_more=dealt.choice(("exact", "full_page", "until_empty")),
            total=dealt.choice(("after", "all", "capped", "zero", "null")), pretty_json=dealt.random() < 0.3,
            level_filter=dealt.choice(("honoured", "honoured", "ignored", "400")),
            origin_filter=dealt.choice(("honoured", "honoured", "ignored", "400")), level_case=dealt.choice(("exact", "any")),
            time_filter=dealt.choice(("honoured", "ignored", "400", "wrong", "inverted")),
            retention_answer=dealt.choice(("empty", "400", "shown")), limit_cap=dealt.choice((None, None, 37)))


@pytest.mark.parametrize("behaviour", list(cases()), ids=lambda b: f"{b.after_inclusive}-{b.after_precision}-{b.tie_order}")
@pytest.mark.parametrize("small_pages", [False, True])
def test_a_day_of_ties_and_bursts_under_each_answer_to_what_is_unknown(runs: Runs, behaviour: Behaviour, small_pages):
    dense_noon = dense(NOON, milliseconds=2, per_millisecond=60)
    fill(runs, tied_day(MIDNIGHT, 500, size=5), dense_noon, ties("2026-03-14T17:30:00.157182Z", 70))
    runs.server.behaviour = behaviour
    if small_pages:
        runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T11:00:00Z", "2026-03-14T13:00:00Z"),
                                           HeavyRange("2026-03-14T17:00:00Z", "2026-03-14T18:00:00Z", max_limit=25)])
    runs.archive()
    manifest = assert_honest(runs)
    filters_work = behaviour.level_filter == behaviour.origin_filter == "honoured"
    if not small_pages and (filters_work or behaviour.after_precision != "s") and behaviour.limit_cap is None and (
            behaviour.disorder == "none" or filters_work):
        runs.assert_whole()
        assert manifest.unresolved_ties == []


@pytest.mark.parametrize("rows", [skewed_day(MIDNIGHT, 3000), bursts(MIDNIGHT, 2000), even_day(MIDNIGHT, 1)],
                         ids=["skewed", "bursts", "one row"])
@pytest.mark.parametrize("workers", [1, 16])
def test_days_of_any_shape_are_whole_with_any_number_of_workers(runs: Runs, rows, workers):
    fill(runs, rows)
    runs.archive(max_concurrency=workers)
    runs.assert_whole()


@pytest.mark.parametrize("level_case", ["exact", "any"])
@pytest.mark.parametrize("count", [100, 101, 250])
def test_a_tie_larger_than_a_page_is_whole_where_filters_are_honoured(runs: Runs, count, level_case):
    fill(runs, even_day(MIDNIGHT, 200), ties(NOON, count, kinds=KINDS))
    runs.server.behaviour = Behaviour(level_case=level_case)
    runs.archive()
    assert runs.assert_whole().unresolved_ties == []


@pytest.mark.parametrize("support", ["ignored", "400"])
def test_a_tie_that_cannot_be_passed_is_recorded_asked_for_again_and_never_loses_what_is_around_it(runs: Runs, support):
    fill(runs, even_day(MIDNIGHT, 300), ties(NOON, 250, kinds=KINDS))
    runs.server.behaviour = Behaviour(level_filter=support, origin_filter=support)
    manifest = runs.archive().manifest
    assert (manifest.status, len(manifest.unresolved_ties)) == ("open", 1)
    assert {gap.reason for gap in manifest.gaps} == {"unresolved-tie"}
    assert manifest.gaps[0].start <= NOON <= manifest.gaps[-1].end
    assert parse_instant(manifest.gaps[-1].end) - parse_instant(manifest.gaps[0].start) <= 3_000_000_000
    assert manifest.unresolved_ties[0].rows == 100
    assert_honest(runs)
    runs.server.behaviour = Behaviour()
    manifest = runs.at("2026-03-15T07:00:00Z")
    assert (manifest.status, manifest.unresolved_ties) == ("sealed", [])
    runs.assert_whole()


def test_a_tie_read_once_is_no_longer_doubted_by_a_second_read_that_cannot_pass_it(runs: Runs):
    fill(runs, even_day(MIDNIGHT, 100), ties(NOON, 250, kinds=KINDS))
    runs.archive()
    runs.server.behaviour = Behaviour(level_filter="400", origin_filter="400")
    manifest = runs.at("2026-03-15T07:00:00Z")
    assert (manifest.status, manifest.unresolved_ties, manifest.gaps) == ("sealed", [], [])


def test_a_tie_that_could_not_be_passed_is_not_forgotten_by_a_run_that_stopped_after_it(runs: Runs):
    fill(runs, even_day(MIDNIGHT, 400), ties("2026-03-14T22:00:00Z", 250))
    runs.server.behaviour = Behaviour(level_filter="400", origin_filter="400")
    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T08" else None
    with pytest.raises(Exception, match="500"):
        runs.archive(max_concurrency=1, commit_partial=False)
    runs.server.on_request = None
    manifest = runs.archive(max_concurrency=1).manifest
    assert (manifest.status, len(manifest.unresolved_ties)) == ("open", 1)
    assert_honest(runs)


LIES = {
    "empty pages that say they are the end": Faults(probability=0.1, kinds=[Fault.empty_page()], seed=1),
    "short pages": Faults(probability=0.4, kinds=[Fault.short_page(3), Fault.short_page(1)], seed=2),
    "truncated JSON": Faults(probability=0.3, kinds=[Fault(truncate=0.5), Fault(truncate=0.99)], seed=3),
    "connections that break": Faults(probability=0.3, kinds=[Fault(cut=0.5), Fault(reset=True)], seed=4),
    "HTML with status 200": Faults(probability=0.3, kinds=[Fault.html()], seed=5),
    "proxies": Faults(probability=0.3, kinds=[Fault.bad_gateway(), Fault.html(503), Fault(425), Fault(408)], seed=6),
    "504": Faults(probability=0.3, seed=7),
    "a rate limit": Faults(probability=0.3, kinds=[Fault.rate_limited("0"), Fault.rate_limited(None)], seed=8),
}


@pytest.mark.parametrize("name", list(LIES))
def test_lies_and_faults_are_asked_again_and_never_taken_for_the_end(runs: Runs, name):
    fill(runs, even_day(MIDNIGHT, 1200), ties(NOON, 120))
    runs.server.faults = LIES[name]
    runs.archive()
    assert_honest(runs)
    runs.server.faults = Faults()
    for time in ("07:00:00", "13:00:00"):
        runs.at(f"2026-03-15T{time}Z")
    assert runs.assert_whole().status == "settled"


@pytest.mark.parametrize("unless_bounded", [False, True])
@pytest.mark.parametrize("max_limit", [0, 10, 50])
def test_heavy_ranges_are_read_as_far_as_they_can_be_and_the_rest_is_whole(runs: Runs, max_limit, unless_bounded):
    fill(runs, even_day(MIDNIGHT, 1500))
    runs.server.faults = Faults(heavy=[HeavyRange("2026-03-14T10:00:00Z", "2026-03-14T10:20:00Z", max_limit, unless_bounded)])
    runs.archive()
    manifest = assert_honest(runs)
    if max_limit or unless_bounded:
        runs.assert_whole()
    else:
        assert manifest.status == "open"
        assert all("2026-03-14T09:50" < gap.start < gap.end < "2026-03-14T10:30" for gap in manifest.gaps)


def test_a_server_that_ignores_the_cursor_or_goes_the_wrong_way_is_an_error_and_no_archive(runs: Runs):
    fill(runs, even_day(MIDNIGHT, 500), even_day("2026-03-15T00:00:00Z", 24 * 300))
    for behaviour in (Behaviour(after_honoured=False), Behaviour(order="reversed")):
        runs.server.behaviour = behaviour
        with pytest.raises(Exception, match=r"newer|older|order"):
            runs.archive()
    assert runs.keys() == []


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("pretty", [False, True])
def test_rows_that_break_naive_readers_are_archived_byte_for_byte(runs: Runs, pretty, compression):
    fill(runs, nasty(NOON), [row("2026-03-14T12:30:00Z", message="y" * 2**20, extra_fields={"a b": {"c\u2028": 2**200}})])
    runs.server.behaviour = Behaviour(pretty_json=pretty)
    manifest = runs.archive(options=ArchiveOptions(compression=compression)).manifest
    runs.assert_whole()
    assert {"CRITICAL", "fatal", "trace"} <= manifest.rows_by_level.keys()
    assert "a-new-origin" in manifest.rows_by_origin
    assert manifest.errors == sum(count for level, count in manifest.rows_by_level.items()
                                  if level.lower() in {"error", "critical", "fatal"})
    assert runs.at("2026-03-15T07:00:00Z", options=ArchiveOptions(compression=compression)).status == "settled"


def test_names_of_any_kind_are_archived_apart(runs: Runs):
    names = ["a/b", "a b", "...", "ünï", "a%2Fb", "dt=2026-03-14"]
    for number, name in enumerate(names):
        runs.server.add_pipeline("support", name, even_day(MIDNIGHT, 5 + number))
    for name in names:
        runs.source = runs.source._replace(name=name)
        runs.archive()
        runs.assert_whole()
    assert len(runs.keys()) == 2 * len(names)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_platforms_lose_nothing_silently(runs: Runs, seed):
    dealt = random.Random(seed)
    fill(runs, *(dealt.choice([
        tied_day(MIDNIGHT, dealt.randrange(1, 800), seed=n, size=dealt.choice([2, 30, 90])),
        even_day(MIDNIGHT, dealt.randrange(1, 900), seed=n),
        ties(f"2026-03-14T{n:02}:10:00Z", dealt.randrange(1, 400), seed=n),
        dense(f"2026-03-14T{n + 5:02}:20:00.1Z", 3, dealt.randrange(10, 160), seed=n)]) for n in range(4)))
    behaviour = next(islice(cases(), dealt.randrange(18), None))
    runs.server.behaviour = replace(behaviour, has_more=dealt.choice(("exact", "full_page", "until_empty")))
    kinds = [Fault.gateway_timeout(), Fault.empty_page(), Fault.short_page(5), Fault(truncate=0.7), Fault.html(), Fault(500)]
    runs.server.faults = Faults(probability=dealt.choice((0.0, 0.1)), kinds=kinds, seed=seed)
    runs.archive(max_concurrency=dealt.choice((1, 3, 8)))
    assert_honest(runs)
