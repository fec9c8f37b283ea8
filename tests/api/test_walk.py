"""The walk against every answer to the API's unknowns: nothing lost, nothing doubled, or said so."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.api.budget import Budget
from prefect_deepset.api.errors import CursorError, NoLogsError
from prefect_deepset.api.parallel import SpansRead
from prefect_deepset.api.rows import Row
from prefect_deepset.api.times import MICROSECOND, MILLISECOND, SECOND, Span, parse_instant
from prefect_deepset.api.walk import Request

from .simulated import SimulatedServer, row

START = parse_instant("2026-03-01T00:00:00Z")
NOW = START / SECOND + 90_000
DAY = Span(START, START + 86_400 * SECOND)


def read(
    server: SimulatedServer, spans: list[Span] | None = None, workers: int = 1, **options: object
) -> tuple[SpansRead, list[Row]]:
    spans_read = SpansRead(server.fetch, spans or [DAY], Budget(workers), now=lambda: NOW, sleep=lambda _: None, **options)
    rows: list[Row] = []
    for increment in spans_read:
        assert all(increment.lo <= r.logged_at < increment.hi for r in increment.rows)
        assert increment.rows == sorted(increment.rows, reverse=True)
        rows.extend(increment.rows)
    return spans_read, rows


def truth(server: SimulatedServer, span: Span = DAY) -> list[tuple[int, str]]:
    return sorted((r.logged_at, r.log_id) for r in server.rows if span.start <= r.logged_at < span.end)


def keys(rows: list[Row]) -> list[tuple[int, str]]:
    return sorted((r.logged_at, r.log_id) for r in rows)


def assert_whole(server: SimulatedServer, **options: object) -> SpansRead:
    result, rows = read(server, **options)
    assert result.unread == []
    assert result.tally.ties == []
    assert sorted({*keys(rows), *keys(result.strays)}) == truth(server)
    assert len(set(keys(rows))) == len(rows)
    return result


def even(count: int, seed: int = 1, spread: int = 86_400 * SECOND) -> list[Row]:
    generator = random.Random(seed)
    return [row(START + generator.randrange(spread // MICROSECOND) * MICROSECOND, f"r{n}", generator.choice(["info", "error"]))
            for n in range(count)]


def with_ties(sizes: list[int], seed: int = 2) -> list[Row]:
    generator = random.Random(seed)
    rows = even(500, seed)
    for n, size in enumerate(sizes):
        at = START + (n + 1) * 3600 * SECOND + 157_182 * MICROSECOND
        levels, origins = ["info", "warning", "error", "debug"], ["haystack", "querypipeline", "unknown"]
        rows += [row(at, f"t{n}-{k}", levels[k % 4], origins[k % 3]) for k in range(size)]
    generator.shuffle(rows)
    return rows


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("precision", ["us", "ms", "s"])
@pytest.mark.parametrize("total", ["after", "all", "capped", "zero"])
@pytest.mark.parametrize("workers", [1, 4])
def test_an_even_day_is_whole_however_after_compares_and_whatever_total_counts(inclusive, precision, total, workers):
    assert_whole(SimulatedServer(even(1500), inclusive=inclusive, precision=precision, total=total), workers=workers)


@pytest.mark.parametrize("tie_order", ["stable", "random"])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("precision", ["us", "ms"])
def test_ties_up_to_and_beyond_a_page_are_whole(tie_order, inclusive, precision):
    rows = with_ties([2, 50, 99, 100, 101, 180, 250])
    assert_whole(SimulatedServer(rows, tie_order=tie_order, inclusive=inclusive, precision=precision))


@pytest.mark.parametrize("filters", ["ignored", "refused"])
def test_a_tie_that_no_filter_can_split_is_recorded_and_the_rest_is_whole(filters):
    server = SimulatedServer(with_ties([250]), filters=filters)
    result, rows = read(server)
    assert len(result.tally.ties) == 1
    tie = result.tally.ties[0].span
    missing = set(truth(server)) - set(keys(rows))
    assert missing
    assert all(tie.start <= at < tie.end for at, _ in missing)


def test_a_tie_with_an_unknown_level_larger_than_a_page_is_never_called_resolved_while_rows_are_missing():
    rows = even(100) + [row(START + SECOND, f"x{n}", "chatter", "mystery") for n in range(150)]
    server = SimulatedServer(rows)
    result, found = read(server)
    assert set(truth(server)) == set(keys(found)) or result.tally.ties


def test_a_burst_of_150_rows_within_one_millisecond_is_whole():
    burst = [row(START + 7200 * SECOND + n * 6 * MICROSECOND, f"b{n}", "info", "haystack") for n in range(150)]
    assert_whole(SimulatedServer(even(300) + burst, filters="ignored"))


@pytest.mark.parametrize("seed", range(4))
def test_disorder_within_a_millisecond_is_whole(seed):
    generator = random.Random(seed)
    burst = [row(START + 7200 * SECOND + generator.randrange(4000) * MICROSECOND, f"b{n}", ["info", "error"][n % 2],
                 ["haystack", "unknown"][n // 2 % 2]) for n in range(500)]
    assert_whole(SimulatedServer(even(300) + burst, shuffle_within=MILLISECOND, seed=seed))


def test_disorder_within_a_second_is_whole():
    rows = even(600, spread=400 * SECOND)
    assert_whole(SimulatedServer(rows, shuffle_within=SECOND))


def test_rows_on_the_borders_of_the_span_belong_to_it_from_the_start_on_and_before_the_end():
    offsets = (-1000, 0, 1000)
    borders = {"s": DAY.start, "e": DAY.end}
    rows = [row(border + offset, f"{name}{offset}") for name, border in borders.items() for offset in offsets]
    for inclusive in (False, True):
        assert_whole(SimulatedServer(rows, inclusive=inclusive))


def test_a_server_that_ignores_after_is_refused():
    class Stuck(SimulatedServer):
        def fetch(self, request: Request):
            return super().fetch(request._replace(after=2**62))

    result, _ = read(Stuck(even(500) + [row(DAY.end + 3600 * SECOND, f"n{n}") for n in range(150)]))
    assert all(isinstance(unread.error, CursorError) for unread in result.unread)
    assert [unread.span for unread in result.unread] == [DAY]


def test_a_server_that_moves_to_newer_rows_is_refused():
    class Backwards(SimulatedServer):
        def fetch(self, request: Request):
            page = super().fetch(request._replace(after=2**62, limit=100_000))
            rows = [r for r in page.rows if r.logged_at > request.after][-request.limit:]
            return page._replace(rows=rows, has_more=True)

    result, _ = read(Backwards(even(500) + [row(DAY.end + n * SECOND, f"n{n}") for n in range(1, 150)]))
    assert result.unread


def test_504_on_a_heavy_stretch_is_read_with_smaller_pages():
    heavy = (START + 30_000 * SECOND, START + 31_000 * SECOND)
    assert_whole(SimulatedServer(even(2000), heavy=heavy, heavy_limit=10))


def test_504_unless_bounded_in_time_is_read_with_a_time_filter():
    heavy = (START + 30_000 * SECOND, START + 60_000 * SECOND)
    assert_whole(SimulatedServer(even(2000) + [row(DAY.end + n * SECOND, f"n{n}") for n in range(20)], heavy=heavy))


@pytest.mark.parametrize("time_filter", ["ignored", "refused"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_stretch_that_always_times_out_costs_no_more_than_itself(time_filter, workers):
    heavy = (START + 30_000 * SECOND, START + 30_600 * SECOND)
    server = SimulatedServer(even(4000), heavy=heavy, time_filter=time_filter)
    result, rows = read(server, workers=workers)
    missing = set(truth(server)) - set(keys(rows))
    assert len(set(keys(rows))) == len(rows)
    assert all(any(u.span.start <= at < u.span.end for u in result.unread) for at, _ in missing)
    assert sum(u.span.end - u.span.start for u in result.unread) <= 1000 * SECOND  # ten rows stand on about 200 s here


def test_an_end_that_is_a_lie_is_not_believed_when_asked_twice():
    for seed in range(10):
        assert_whole(SimulatedServer(even(1000), false_end_rate=0.05, total="after", seed=seed))


@pytest.mark.parametrize("inclusive", [False, True])
def test_has_more_may_stay_true_until_an_empty_page(inclusive):
    assert_whole(SimulatedServer(even(1030), has_more="until_empty", inclusive=inclusive))


@pytest.mark.parametrize("tie_order", ["stable", "random"])
def test_a_tie_at_the_very_end_is_whole_where_has_more_stays_true(tie_order):
    tie = [row(START + 3600 * SECOND, f"t{n}") for n in range(77)]
    later = [row(START + (7200 + n) * SECOND, f"l{n}") for n in range(163)]
    assert_whole(SimulatedServer(tie + later, has_more="until_empty", tie_order=tie_order))


@pytest.mark.parametrize("total", ["after", "all", "zero"])
@pytest.mark.parametrize("workers", [1, 4])
def test_has_more_may_never_be_true(total, workers):
    assert_whole(SimulatedServer(even(1030), has_more="never", total=total), workers=workers)


def test_empty_answers_at_the_way_in_are_held_against_what_the_newest_page_shows():
    class Late(SimulatedServer):
        def fetch(self, request: Request):
            page = super().fetch(request)
            return page._replace(rows=[], has_more=False) if self.requests <= 2 else page

    for total in ("after", "all"):
        assert_whole(Late(even(300), total=total))


def test_answers_without_logs_at_the_way_in_are_held_against_what_the_newest_page_shows():
    class Mistaken(SimulatedServer):
        def fetch(self, request: Request):
            page = super().fetch(request)
            if self.requests <= 2:
                raise NoLogsError("The pipeline exists and has no logs.", status=404)
            return page

    assert_whole(Mistaken(even(300), total="zero"))


def test_the_oldest_rows_need_no_splits_where_has_more_stays_true_and_each_has_its_own_instant():
    rows = [row(START + 3600 * SECOND + n * 100 * MICROSECOND, f"r{n}") for n in range(3)]
    for inclusive in (False, True):
        server = SimulatedServer(rows, has_more="until_empty", inclusive=inclusive, filters="refused")
        assert_whole(server)
        assert server.requests < 24


@pytest.mark.parametrize("total", ["after", "all", "zero"])
@pytest.mark.parametrize("inclusive", [False, True])
def test_a_tie_of_heavy_rows_at_the_very_end_that_no_page_holds_is_whole_or_reported(total, inclusive):
    heavy = [row(START + 3600 * SECOND, f"h{n}") for n in range(8)]
    for one in heavy:
        one.raw = one.raw[:-2] + b"x" * 700 + b'"}'
    later = [row(START + (7200 + n) * SECOND, f"l{n}") for n in range(163)]
    server = SimulatedServer(heavy + later, page_bytes=4000, total=total, inclusive=inclusive)
    result, rows = read(server)
    assert set(truth(server)) == set(keys(rows)) or result.tally.ties


@pytest.mark.parametrize("tie_order", ["stable", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_an_order_coarser_than_the_one_shown_is_noticed(tie_order, seed):
    """Rows of a millisecond are chosen in any order, and each page is shown in order of time: no page looks wrong."""
    generator = random.Random(seed)
    at = [START + 7200 * SECOND + generator.randrange(900) * MICROSECOND for _ in range(150)]
    burst = [row(t, f"b{n}", ["info", "error"][n % 2], ["haystack", "unknown"][n // 2 % 2]) for n, t in enumerate(at)]
    server = SimulatedServer(even(40) + burst, shuffle_within=MILLISECOND, resorted=True, seed=seed)
    result, rows = read(server)
    missing = set(truth(server)) - set(keys(rows)) - set(keys(result.strays))
    assert not missing or result.tally.ties


def test_a_row_that_both_splits_miss_is_missed_by_the_total():
    tie = [row(START + 3600 * SECOND, f"t{n}", ["info", "error"][n % 2], ["haystack", "unknown"][n // 2 % 2])
           for n in range(150)]
    server = SimulatedServer(even(400) + tie + [row(START + 3600 * SECOND, "zz", "notice", "gateway")])
    result, rows = read(server)
    assert set(truth(server)) == set(keys(rows)) or result.tally.ties


def test_a_tie_leaves_what_total_counts_known():
    result = assert_whole(SimulatedServer(with_ties([250])))
    assert result.learned.total_counts == "after"


@pytest.mark.parametrize("total", ["after", "all", "zero"])
def test_rows_that_were_shown_and_vanish_make_every_empty_answer_doubtful(total):
    class Failing(SimulatedServer):
        def fetch(self, request: Request):
            page = super().fetch(request)
            if self.requests == 3:  # from now on a part of the store is down
                self.hidden_below = min(r.logged_at for r in page.rows) + 1
            return page

    server = Failing(even(1000), total=total)
    result, rows = read(server)
    missing = set(truth(server)) - set(keys(rows))
    assert missing
    assert all(any(u.span.start <= at < u.span.end for u in result.unread) for at, _ in missing)


def test_a_way_in_full_of_rows_is_passed_by_less_than_the_finest_time():
    full = [row(DAY.end, f"f{n}") for n in range(120)]
    assert_whole(SimulatedServer([*full, row(DAY.end - 500, "below"), *even(30)], inclusive=True, total="zero"))


def test_short_pages_are_not_taken_for_the_end():
    assert_whole(SimulatedServer(even(1500), short_rate=0.5, seed=3))


@settings(max_examples=150)
@given(
    data=st.data(),
    inclusive=st.booleans(),
    precision=st.sampled_from(["us", "ms", "s"]),
    tie_order=st.sampled_from(["stable", "random"]),
    shuffle=st.sampled_from([0, 0, MILLISECOND]),
    total=st.sampled_from(["after", "all", "capped", "zero"]),
    filters=st.sampled_from(["honoured", "honoured", "ignored", "refused"]),
    faults=st.sampled_from([0.0, 0.1]),
    short=st.sampled_from([0.0, 0.2]),
    has_more=st.sampled_from(["exact", "until_empty", "never"]),
    workers=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 10_000),
)
def test_whatever_the_server_does_a_row_is_read_once_or_its_place_is_reported(
    data, inclusive, precision, tie_order, shuffle, total, filters, faults, short, has_more, workers, seed
):
    generator = random.Random(seed)
    rows: list[Row] = []
    for n in range(data.draw(st.integers(0, 6))):
        kind = data.draw(st.sampled_from(["even", "tie", "burst", "second"]))
        size = data.draw(st.integers(1, 260))
        base = START + data.draw(st.integers(-3600, 90_000)) * SECOND + generator.randrange(10**6) * MICROSECOND
        width = {"even": 3600 * SECOND, "tie": MICROSECOND, "burst": MILLISECOND, "second": SECOND}[kind]
        for k in range(size):
            at = base + generator.randrange(width // MICROSECOND) * MICROSECOND
            level = generator.choice(["info", "error", "INFO", "trace"])
            rows.append(row(at, f"{n}-{k}", level, generator.choice(["haystack", "unknown", "new"])))
    server = SimulatedServer(
        rows, inclusive, precision, tie_order, shuffle, total, filters,
        # A page that is cut short by chance and denies that there is more is an end, by all that can be known.
        fault_rate=faults, short_rate=0.0 if has_more == "never" else short, has_more=has_more, seed=seed,
    )
    result, found = read(server, workers=workers)
    found_keys = keys(found)
    assert len(set(found_keys)) == len(found_keys)
    assert set(found_keys) <= set(truth(server))
    doubtful = [u.span for u in result.unread] + [t.span for t in result.tally.ties]
    missing = set(truth(server)) - set(found_keys) - set(keys(result.strays))
    assert all(any(s.start <= at < s.end for s in doubtful) for at, _ in missing)


def test_a_dense_stretch_that_nothing_can_split_is_given_up_not_gone_through_step_by_step():
    dense = [row(START + 7200 * SECOND + n * 5 * MICROSECOND, f"d{n}") for n in range(24_000)]
    generator = random.Random(5)
    server = SimulatedServer(even(300) + dense, shuffle_within=MILLISECOND, filters="refused", seed=generator.randrange(99))
    result, rows = read(server)
    doubtful = [u.span for u in result.unread] + [t.span for t in result.tally.ties]
    missing = set(truth(server)) - set(keys(rows)) - set(keys(result.strays))
    assert all(any(s.start <= at < s.end for s in doubtful) for at, _ in missing)
    assert len(result.tally.ties) <= 2000
    assert server.requests < 8_000
