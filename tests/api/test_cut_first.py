"""A server that filters the rows of a page after cutting it: its filters hide rows, and no read believes them."""

from __future__ import annotations

import random

import pytest
from prefect_deepset.api.errors import IncompleteReadError
from prefect_deepset.api.levels import LevelFilter, Way
from prefect_deepset.api.origins import origin_rows
from prefect_deepset.api.rows import Page, Row
from prefect_deepset.api.steps import Request
from prefect_deepset.api.stream import Asking
from prefect_deepset.api.times import SECOND

from .simulated import SimulatedServer, row
from .test_walk import DAY, NOW, START, even, keys, read, truth


class CutsFirst(SimulatedServer):
    """`has_more` is whether the page it shows is full."""

    def fetch(self, request: Request) -> Page:
        cut = super().fetch(request._replace(filter=None))
        rows = self.matching(cut.rows, request.filter) if request.filter else cut.rows
        return Page(rows, len(rows) >= request.limit, cut.total)

    def matching(self, rows: list[Row], text: str) -> list[Row]:
        levels = {term.split(" eq ")[1].strip("()' ") for term in text.split(" or ") if "level eq" in term}
        return [one for one in rows if one.level in levels] if levels else self._filtered(rows, text)


def rare(count: int = 3000) -> list[Row]:
    """Rows of which a few, far down, have a level and an origin of their own."""
    rows = even(count)
    plain = [row(one.logged_at, one.log_id, ["info", "info", "debug"][n % 3], ["haystack", "querypipeline"][n % 2])
             for n, one in enumerate(rows)]
    for number in random.Random(3).sample(range(count), 40):
        plain[number] = row(plain[number].logged_at, plain[number].log_id, "error", "unknown")
    return plain


@pytest.mark.parametrize("tie_order", ["stable", "random"])
@pytest.mark.parametrize("total", ["after", "zero"])
@pytest.mark.parametrize("newer", [0, 300])
def test_a_tie_is_not_taken_for_resolved(tie_order, total, newer):
    at = START + 3600 * SECOND
    tie = [row(at, f"t{n}", ["info", "error"][n % 2], ["haystack", "unknown"][n // 2 % 2]) for n in range(250)]
    above = [row(at + (n + 1) * SECOND, f"n{n}") for n in range(newer)]
    below = [row(at - n * SECOND, f"o{n}") for n in range(1, 300)]
    server = CutsFirst([*above, *tie, *below], tie_order=tie_order, total=total)
    result, found = read(server)
    missing = set(truth(server)) - set(keys(found))
    assert missing
    assert all(any(tie.span.start <= at < tie.span.end for tie in result.tally.ties) for at, _ in missing)


@pytest.mark.parametrize("origin", [None, "unknown"])
@pytest.mark.parametrize("levels", [None, ["error"]])
def test_rare_rows_are_read_without_the_filter(origin, levels):
    server = CutsFirst(rare())
    asking = Asking(server.fetch, "here", lambda: NOW, lambda _: None)
    wanted = LevelFilter(levels) if levels else None
    found = list(origin_rows(DAY, [origin] if origin else [], wanted, asking, None))
    assert len(found) == (40 if origin or levels else 3000)
    assert wanted is None or wanted.way in {None, Way.NONE}


@pytest.mark.parametrize("server", [CutsFirst(rare()), SimulatedServer(rare(), filters="ignored")], ids=["cut", "ignored"])
@pytest.mark.parametrize("origin", [None, "unknown"])
def test_an_expression_is_refused_where_a_filter_hides_rows_or_none(server, origin):
    asking = Asking(server.fetch, "here", lambda: NOW, lambda _: None)
    with pytest.raises(IncompleteReadError, match="`filter`"):
        list(origin_rows(DAY, [origin] if origin else [], None, asking, "level eq 'error'"))


def test_a_server_that_filters_first_is_trusted_at_the_cost_of_two_requests():
    server = SimulatedServer(rare())
    asking = Asking(server.fetch, "here", lambda: NOW, lambda _: None)
    assert len(list(origin_rows(DAY, ["unknown"], None, asking, None))) == 40
    assert server.requests <= 5


@pytest.mark.parametrize(("asked", "rows"), [("Unknown", 40), ("UNKNOWN", 40), ("custom", 3), ("CUSTOM", 3), ("nobody", 0)])
@pytest.mark.parametrize("any_case", [False, True])
def test_origins_are_asked_for_in_any_case_and_a_row_comes_once(asked, rows, any_case):
    class AnyCase(SimulatedServer):
        def _filtered(self, rows: list[Row], text: str) -> list[Row]:
            wanted = text.split("'")[1]
            return [one for one in rows if one.origin.lower() == wanted.lower()]

    other = [row(START + n * 7200 * SECOND, f"c{n}", "info", "CUSTOM") for n in range(1, 4)]
    server = (AnyCase if any_case else SimulatedServer)([*rare(), *other])
    asking = Asking(server.fetch, "here", lambda: NOW, lambda _: None)
    assert len(list(origin_rows(DAY, [asked], None, asking, None))) == rows
