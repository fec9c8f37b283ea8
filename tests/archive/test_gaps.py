"""What is missing after a read, and why: properties over any coverage, any time and any manifest before."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.errors import (
    AuthenticationError,
    BadRequestError,
    CursorError,
    DeepsetError,
    GatewayTimeoutError,
    ReadTimeoutError,
    ResponseError,
    TimeBudgetError,
)
from prefect_deepset.api.parallel import Unread
from prefect_deepset.api.times import SECOND, Span, day_span, format_instant
from prefect_deepset.archive.gaps import gap_of, holes_of
from prefect_deepset.archive.holes import REPLACED, Hole, whole_since
from prefect_deepset.archive.manifest import Gap, Manifest, Source, Status, TimeSpan
from prefect_deepset.archive.spans import join_spans, subtract_spans

from .day_runs import DAY, seconds

DAY_SPAN = day_span(DAY)
NEXT_MORNING = seconds("2026-03-15T01:00:00Z")
HOUR = 3600 * SECOND


def part(first: float, last: float) -> Span:
    """Hours of the day."""
    return Span(DAY_SPAN.start + round(first * HOUR), DAY_SPAN.start + round(last * HOUR))


def holes(covered: list[Span], latest: Manifest | None = None, **changes) -> list[Hole]:
    values = {"ties": [], "unread": [], "now": NEXT_MORNING, "gone": False, "replaced": None, "began": lambda: 0.0}
    values |= changes
    values.setdefault("asked_until", int(values["now"]) * SECOND)
    return holes_of(DAY_SPAN, covered, latest=latest, **values)


def manifest(status: Status, gaps: list[tuple[Span, str]], read_at: str = "2026-03-15T01:00:00Z") -> Manifest:
    def times(span: Span) -> dict[str, str]:
        return {"start": format_instant(span.start), "end": format_instant(span.end)}

    return Manifest(source=Source(host="h", workspace="w", pipeline="p"), dt=str(DAY), revision=1, status=status,
                    read_at=read_at, span=TimeSpan(**times(DAY_SPAN)),
                    gaps=[Gap(**times(span), reason=why) for span, why in gaps])


@pytest.mark.parametrize(("error", "reason"), [
    (GatewayTimeoutError("x", status=504), "gateway-timeout"), (ReadTimeoutError("x"), "gateway-timeout"),
    (TimeBudgetError("x"), "time-budget"), (CursorError("x"), "cursor"), (ResponseError("x"), "unreadable"),
    (BadRequestError("x", status=400), "refused"), (AuthenticationError("x", status=401), "error")])
def test_an_unread_stretch_says_why(error: DeepsetError, reason: str):
    found = holes([part(0, 3), part(4, 24)], unread=[Unread(part(3, 4), error)])
    assert found == [Hole(part(3, 4), reason)]
    assert found[0].mendable(NEXT_MORNING)


def test_what_left_retention_is_cut_off_from_what_is_still_shown():
    now = seconds("2026-03-16T05:50:00.4Z")
    found = holes([part(8, 24)], unread=[Unread(part(0, 8), GatewayTimeoutError("x"))], now=now)
    border = Span(DAY_SPAN.start, whole_since(now))
    assert [(hole.span, hole.reason, hole.mendable(now)) for hole in found] == [
        (border, "retention", False), (Span(border.end, part(8, 8).start), "gateway-timeout", True)]


def test_only_the_first_day_of_an_archive_has_gaps_that_are_nobodys_fault():
    now = seconds("2026-03-16T06:00:00Z")
    for began, reason in ((None, "before-first-run"), (now - 60, "before-first-run"), (now - 86_400, "retention")):
        assert holes([part(6 + 1 / 6, 24)], now=now, began=lambda began=began: began) == [Hole(part(0, 6 + 1 / 6), reason)]


def test_gaps_of_an_earlier_revision_stay_with_their_reason_until_they_are_read():
    before = manifest("open", [(part(0, 2), "before-first-run"), (part(5, 6), "gateway-timeout")])
    assert holes([part(5, 5.5), part(24.5, 24)], before, unread=[]) == [
        Hole(part(0, 2), "before-first-run"), Hole(part(5.5, 6), "gateway-timeout")]
    assert holes([part(0, 6)], before) == []


def test_an_open_day_lacks_its_end_until_that_was_read_after_the_lag():
    before = manifest("open", [], read_at="2026-03-15T00:10:00Z")
    assert holes([], before) == [Hole(part(23 + 40 / 60, 24), "error")]
    assert holes([part(23.5, 24)], before) == []
    assert holes([], manifest("sealed", [])) == []


def test_a_tie_is_a_hole_of_whole_seconds_even_where_everything_was_read():
    instant = part(12, 12).start + SECOND // 2
    found = holes([DAY_SPAN], ties=[Span(instant - 1000, instant + 1000)])
    assert found == [Hole(Span(instant - SECOND // 2, instant + SECOND // 2), "unresolved-tie")]


def test_where_another_pipeline_of_the_name_may_have_written_is_a_hole_that_no_read_closes():
    replaced = Hole(Span(DAY_SPAN.start, part(5, 5).start - SECOND // 2), REPLACED)
    found = holes([DAY_SPAN], replaced=replaced)
    assert found == [Hole(part(0, 5), "pipeline-replaced")]
    assert not found[0].mendable(NEXT_MORNING)
    assert holes([DAY_SPAN], manifest("gap", [(part(0, 5), "pipeline-replaced")])) == found
    assert holes([part(0, 2)], manifest("gap", [(part(0, 4), "pipeline-gone")]), replaced=replaced, gone=True) == [
        Hole(part(0, 4), "pipeline-replaced")]
    unread = [Unread(part(3, 4), GatewayTimeoutError("x"))]
    assert holes([part(0, 3), part(4, 24)], replaced=replaced, unread=unread) == [
        Hole(part(0, 3), "pipeline-replaced"), Hole(part(3, 4), "gateway-timeout"), Hole(part(4, 5), "pipeline-replaced")]


def test_a_gap_is_written_as_times():
    gap = gap_of(Hole(part(1, 2), "cursor"))
    assert (gap.start, gap.end, gap.reason) == ("2026-03-14T01:00:00Z", "2026-03-14T02:00:00Z", "cursor")


instants = st.integers(DAY_SPAN.start // 1000, DAY_SPAN.end // 1000).map(lambda n: n * 1000)
spans = st.lists(st.tuples(instants, instants).map(lambda pair: Span(*sorted(pair))), max_size=4)


@given(covered=spans, ties=spans, unread=spans, known=spans, gone=st.booleans(), began=st.none() | st.floats(0.1, 80),
       replaced_until=st.just(0) | instants, status=st.sampled_from([None, "open", "sealed", "gap"]), hours=st.floats(0.1, 80))
def test_holes_are_disjoint_ordered_whole_seconds_and_all_that_was_not_proven(
    covered, ties, unread, known, gone, began, replaced_until, status, hours
):
    now = DAY_SPAN.start / SECOND + hours * 3600
    replaced, reason = Span(DAY_SPAN.start, max(DAY_SPAN.start, replaced_until)), "error" if replaced_until % 2000 else REPLACED
    known = join_spans(Span(span.start // SECOND * SECOND, span.end // SECOND * SECOND) for span in known)
    before = manifest(status, [(span, "gateway-timeout") for span in known]) if status else None
    found = holes(covered, before, ties=ties, unread=[Unread(span, GatewayTimeoutError("x")) for span in unread], now=now,
                  gone=gone, replaced=Hole(replaced, reason),
                  began=lambda: None if began is None else DAY_SPAN.start / SECOND + began * 3600)
    for hole in found:
        assert DAY_SPAN.start <= hole.span.start < hole.span.end <= DAY_SPAN.end
        assert hole.span.start % SECOND == hole.span.end % SECOND == 0
        if hole.mendable(now):
            assert hole.span.end > whole_since(now)
    for one, other in pairwise(found):
        assert one.span.end <= other.span.start
        assert one.span.end < other.span.start or one.reason != other.reason
    covered = subtract_spans(covered, [replaced])
    missing = subtract_spans([DAY_SPAN] if before is None else known, covered)
    assert subtract_spans(missing, [hole.span for hole in found]) == []
    proven = subtract_spans(covered, [Span(tie.start - SECOND, tie.end + SECOND) for tie in ties])
    shrunk = [Span(span.start + SECOND, span.end - SECOND) for span in proven if span.end - span.start > 2 * SECOND]
    assert subtract_spans(shrunk, subtract_spans(shrunk, [hole.span for hole in found])) == []
