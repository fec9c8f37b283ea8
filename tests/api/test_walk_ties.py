"""Ties of which one level or origin alone is larger than a page: whole where that can be proven, and never silent."""

from __future__ import annotations

import pytest
from prefect_deepset.api.errors import GatewayTimeoutError, ServerError
from prefect_deepset.api.origins import origin_rows
from prefect_deepset.api.rows import Page, Row
from prefect_deepset.api.steps import Request
from prefect_deepset.api.stream import Asking
from prefect_deepset.api.times import SECOND

from .simulated import SimulatedServer, row
from .test_cut_first import CutsFirst, rare
from .test_walk import DAY, NOW, START, assert_whole, even, keys, read, truth

AT = START + 3600 * SECOND
TOTALS = pytest.mark.parametrize("total", ["after", "all", "capped", "zero"])
INEQUALITIES = pytest.mark.parametrize("inequality", ["refused", "ignored", "honoured", "equality", "nothing"])


def tie(*kinds: tuple[str, str, int]) -> list[Row]:
    """(level, origin, rows); `rows` around them stand apart."""
    rows = [row(AT, f"t{level}-{origin}-{n}", level, origin) for level, origin, count in kinds for n in range(count)]
    return [*rows, *[one for one in even(300) if abs(one.logged_at - AT) > SECOND]]


def assert_never_silent(server: SimulatedServer) -> None:
    result, found = read(server)
    missing = set(truth(server)) - set(keys(found))
    assert all(any(tie.span.start <= at < tie.span.end for tie in result.tally.ties) for at, _ in missing)
    assert len(set(keys(found))) == len(found)


@TOTALS
@INEQUALITIES
@pytest.mark.parametrize("level", ["fatal", "Error", ""])
def test_a_level_nobody_knows_among_rows_of_one_origin_is_not_lost_in_silence(total, inequality, level):
    rows = tie(("info", "haystack", 90), ("warning", "haystack", 50), (level, "haystack", 10))
    if level and inequality == "honoured":
        assert_whole(SimulatedServer(rows, total=total, inequality=inequality))
    assert_never_silent(SimulatedServer(rows, total=total, inequality=inequality, precision="s"))
    assert_never_silent(SimulatedServer(rows, total=total, inequality=inequality, tie_order="random"))


@TOTALS
@INEQUALITIES
def test_an_origin_nobody_knows_among_rows_of_one_level_is_not_lost_in_silence(total, inequality):
    rows = tie(("info", "haystack", 80), ("info", "unknown", 80), ("info", "mystery", 20))
    assert_never_silent(SimulatedServer(rows, total=total, inequality=inequality))


@pytest.mark.parametrize(("total", "inequality"), [("after", "refused"), ("all", "honoured"), ("zero", "honoured")])
@pytest.mark.parametrize("kinds", [
    [("info", "haystack", 90), ("warning", "haystack", 50), ("error", "haystack", 30)],
    [("info", "haystack", 70), ("info", "querypipeline", 70), ("error", "unknown", 30)],
    [("info", "haystack", 90), ("info", "querypipeline", 90), ("error", "haystack", 90)],
], ids=["one origin", "one level", "both"])
def test_a_value_larger_than_a_page_is_whole_where_counts_or_inequality_prove_it(kinds, total, inequality):
    assert_whole(SimulatedServer(tie(*kinds), total=total, inequality=inequality))


@pytest.mark.parametrize("inequality", ["refused", "ignored", "equality", "nothing"])
def test_without_a_proof_it_is_recorded_though_nothing_is_missing(inequality):
    server = SimulatedServer(tie(("info", "haystack", 90), ("warning", "haystack", 50)), total="zero", inequality=inequality)
    result, found = read(server)
    assert keys(found) == truth(server)
    assert [tie.rows for tie in result.tally.ties] == [140]


class Busy(SimulatedServer):
    """The first answer to each request without a filter and with ten rows is 503."""

    def fetch(self, request: Request) -> Page:
        if request.limit == 10 and request.filter is None and request not in self.log:
            self.log.append(request)
            raise ServerError("busy", status=503)
        return super().fetch(request)


def test_a_witness_that_is_busy_is_asked_again():
    unknown = [row(AT, f"x{n}", "chatter", "mystery") for n in range(20)]
    assert_never_silent(Busy([*unknown, *tie(*[(level, origin, 60) for level in ("info", "error")
                                               for origin in ("haystack", "unknown")])]))


class HeavyCutsFirst(CutsFirst):
    """Pages of more than 50 rows take too long."""

    def fetch(self, request: Request) -> Page:
        if request.limit > 50:
            raise GatewayTimeoutError("slow", status=504)
        return super().fetch(request)


def test_whether_a_server_cuts_first_is_asked_with_smaller_pages_where_large_ones_take_too_long():
    kinds = [(level, origin, 40) for level in ("info", "error", "debug") for origin in ("haystack", "unknown")]
    assert_never_silent(HeavyCutsFirst(tie(*kinds)))
    asking = Asking(HeavyCutsFirst(rare()).fetch, "here", lambda: NOW, lambda _: None)
    assert len(list(origin_rows(DAY, ["unknown"], None, asking, None))) == 40


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("fraction", [999_000_000, 999_500_000, 500_000_000])
def test_what_a_second_holds_below_a_tie_is_not_lost_where_seconds_are_compared(fraction, inclusive):
    rows = [row(AT + fraction, f"t{n}", ("info", "error")[n % 2], ("haystack", "unknown")[n % 2]) for n in range(150)]
    rows += [row(AT + n * 10_000_000, f"b{n}") for n in range(fraction // 10_000_000 - 5)]
    rows += [one for one in even(300) if one.logged_at < AT]
    for total in ("after", "all"):
        assert_never_silent(SimulatedServer(rows, total=total, precision="s", inclusive=inclusive))


@pytest.mark.parametrize("count", [10, 60, 99, 150])
@pytest.mark.parametrize("total", ["after", "all", "zero"])
def test_rows_whose_level_and_origin_nobody_knows_are_found_or_missed_aloud(count, total):
    rows = tie(("info", "haystack", 60), ("error", "querypipeline", 60), ("notice", "my-component", count))
    if count < 99:
        assert_whole(SimulatedServer(rows, total=total, inequality="honoured"))
    assert_never_silent(SimulatedServer(rows, total=total, inequality="honoured"))


class FailsAtInequality(SimulatedServer):
    """Tests for inequality end in an error of the server's."""

    trouble: type[ServerError | GatewayTimeoutError] = ServerError

    def fetch(self, request: Request) -> Page:
        if " ne " in (request.filter or ""):
            self.log.append(request)
            raise self.trouble("no answer", status=500)
        return super().fetch(request)


@pytest.mark.parametrize("trouble", [ServerError, GatewayTimeoutError])
def test_a_query_that_gets_no_answer_stops_no_read_and_is_not_asked_again(trouble):
    kinds = [(level, origin, 40) for level in ("info", "error", "debug") for origin in ("haystack", "unknown")]
    rows = tie(*kinds)
    rows += [row(AT - 600 * SECOND, f"u{n}", *kinds[n % 6][:2]) for n in range(240)]
    server = FailsAtInequality(rows)
    server.trouble = trouble
    assert_whole(server)
    assert 1 <= sum(" ne " in (request.filter or "") for request in server.log) <= 40
