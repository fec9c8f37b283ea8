"""The walk where the server compares times more coarsely than it shows them, or shows them more coarsely than it compares."""

from __future__ import annotations

import random

import pytest
from prefect_deepset.api.times import MICROSECOND, MILLISECOND, SECOND
from prefect_deepset.api.walk import Request

from .simulated import SimulatedServer, row
from .test_walk import START, even, keys, read, truth


def test_a_tie_on_a_server_that_compares_by_the_second_and_includes_the_cursor_is_passed():
    generator = random.Random(2)
    dense = [row(START + (7200 + n % 3) * SECOND + generator.randrange(10**6) * MICROSECOND, f"d{n}",
                 generator.choice(["info", "error", "warning"]), generator.choice(["haystack", "unknown"])) for n in range(420)]
    server = SimulatedServer(even(200) + dense, precision="s", inclusive=True)
    result, rows = read(server)
    missing = set(truth(server)) - set(keys(rows)) - set(keys(result.strays))
    doubtful = [u.span for u in result.unread] + [t.span for t in result.tally.ties]
    assert all(any(s.start <= at < s.end for s in doubtful) for at, _ in missing)
    assert not result.unread


@pytest.mark.parametrize("has_more", ["exact", "until_empty", "never"])
@pytest.mark.parametrize("total", ["after", "zero"])
@pytest.mark.parametrize("filters", ["honoured", "refused"])
@pytest.mark.parametrize("above", [0, 90])
def test_a_tie_in_a_second_that_the_server_shows_from_its_top_is_passed_once(has_more, total, filters, above):
    class Bounded(SimulatedServer):
        def fetch(self, request: Request):
            assert self.requests < 600
            return super().fetch(request)

    at = START + 7200 * SECOND + 716_402 * MICROSECOND
    tie = [row(at, f"t{n}", ["info", "error", "warning"][n % 3], ["haystack", "unknown"][n % 2]) for n in range(209)]
    around = [row(at + (n - 60) * 3 * MILLISECOND, f"a{n}", ["debug", "critical"][n % 2]) for n in range(60 + above) if n != 60]
    server = Bounded(even(300) + tie + around, precision="s", inclusive=True, total=total, filters=filters, has_more=has_more)
    server.time_filter = "refused"
    result, rows = read(server)
    missing = set(truth(server)) - set(keys(rows)) - set(keys(result.strays))
    assert result.unread == []
    assert all(any(tie.span.start <= at < tie.span.end for tie in result.tally.ties) for at, _ in missing)
    assert filters == "refused" or not missing


@pytest.mark.parametrize("has_more", ["exact", "until_empty", "never"])
@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("total", ["after", "zero"])
@pytest.mark.parametrize("below", [0, 40])
@pytest.mark.parametrize("digits", [0, 1, 3])
def test_times_that_are_shown_more_coarsely_than_they_are_compared_hide_no_rows(has_more, inclusive, total, below, digits):
    true = [START + 7200 * SECOND + n * MILLISECOND + 500 * MICROSECOND for n in range(300)]
    true += [START + (7000 - n) * SECOND for n in range(below)]
    unit = SECOND // 10**digits

    class Coarse(SimulatedServer):
        def fetch(self, request: Request):
            page = super().fetch(request)
            shown = [row(one.logged_at // unit * unit, one.log_id, one.level, one.origin) for one in page.rows]
            return page._replace(rows=shown)

    levels, origins = ["info", "error", "debug", "warning"], ["haystack", "unknown", "querypipeline"]
    rows = [row(at, f"r{n}", levels[n % 4], origins[n % 3]) for n, at in enumerate(true)]
    server = Coarse(rows, inclusive=inclusive, total=total, has_more=has_more)
    result, found = read(server)
    missing = {one.log_id: one.logged_at // unit * unit for one in rows if one.log_id not in {got.log_id for got in found}}
    doubtful = [u.span for u in result.unread] + [t.span for t in result.tally.ties]
    assert len({got.log_id for got in found}) == len(found)
    assert all(any(span.start <= at < span.end for span in doubtful) for at in missing.values())
    assert server.requests < 400
