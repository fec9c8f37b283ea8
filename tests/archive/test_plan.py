"""What is due, as a function of manifests and the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.times import SECOND, Span, day_span
from prefect_deepset.archive.keys import manifest_key, part_key
from prefect_deepset.archive.manifest import Status, sha256_hex
from prefect_deepset.archive.plan import SECOND_READ_AFTER, Decision, archived_sources, by_urgency, days_due, decide, to_mend
from prefect_deepset.archive.spans import join_spans

from ..servers.ministack import S3Handle
from .built_archive import put_day
from .day_runs import DAY, SOURCE, seconds
from .test_gaps import manifest, part

DAY_SPAN = day_span(DAY)
END = DAY_SPAN.end / SECOND


def test_a_day_never_seen_is_read_whole_and_today_up_to_this_second():
    assert decide(None, DAY, END + 5).spans == [DAY_SPAN]
    assert decide(None, DAY, END - 3600.25).spans == [Span(DAY_SPAN.start, DAY_SPAN.end - 3601 * SECOND)]


def test_a_day_in_the_future_is_refused():
    for now in (DAY_SPAN.start / SECOND, DAY_SPAN.start / SECOND - 1, DAY_SPAN.start / SECOND + 0.9):
        with pytest.raises(InvalidInputError):
            decide(None, DAY, now)


@given(after=st.floats(0, 100 * 3600), status=st.sampled_from(["sealed", "settled", "gap"]), ended=st.booleans())
def test_a_day_read_whole_is_read_again_only_when_it_is_due_and_still_shown_from_its_start(after, status: Status, ended):
    before = manifest(status, [], read_at="2026-03-15T01:00:00Z").model_copy(update={"ended": ended})
    now = seconds("2026-03-15T01:00:00Z") + after
    still_shown = now <= DAY_SPAN.start / SECOND + 48 * 3600 - 600
    due = status == "sealed" and after >= SECOND_READ_AFTER and still_shown
    decision = decide(before, DAY, now)
    assert decision.kind == ("whole" if due else "nothing")
    assert decision.spans == ([DAY_SPAN] if due else [])
    assert decision.if_back == (due and ended)
    assert decide(before, DAY, now, reread=True).spans == [DAY_SPAN]


def test_an_open_day_is_mended_where_it_lacks_something():
    before = manifest("open", [(part(0, 2), "before-first-run"), (part(5, 6), "cursor"), (part(23, 24), "not-over")],
                      read_at="2026-03-14T23:00:00Z")
    assert decide(before, DAY, END - 1800).spans == [part(5, 6), part(22.5, 23.5)]
    assert decide(before, DAY, END + 1).spans == [part(5, 6), part(22.5, 24)]
    assert to_mend(manifest("open", [], read_at="2026-03-15T00:20:00Z"), DAY_SPAN) == [part(24 - 1 / 6, 24)]


@given(st.lists(st.tuples(st.integers(0, 86_400), st.integers(0, 86_400)), max_size=4), st.floats(0, 60))
def test_urgency_changes_the_order_and_the_pieces_and_nothing_else(pairs, hours):
    spans = join_spans(Span(DAY_SPAN.start + a * SECOND, DAY_SPAN.start + b * SECOND) for a, b in pairs)
    pieces = by_urgency(spans, DAY_SPAN.start / SECOND + hours * 3600)
    assert join_spans(pieces) == spans
    assert sum(piece.end - piece.start for piece in pieces) == sum(span.end - span.start for span in spans)
    assert pieces == sorted(pieces)
    assert all(edge % SECOND == 0 for piece in pieces for edge in piece)


class Archive:
    """Manifests of days, without rows."""

    def __init__(self, s3: S3Handle) -> None:
        self.store = s3.store(prefix="logs")

    def add(self, back: int, status: Status, **fields) -> None:
        put_day(self.store, SOURCE, DAY - timedelta(days=back), [[]], status=status, **fields)

    def due(self, time: str) -> list[int]:
        return [(DAY - day).days for day in days_due(self.store, SOURCE, seconds(time))]


@pytest.fixture
def archive(s3: S3Handle) -> Archive:
    return Archive(s3)


def test_a_new_source_has_two_days_to_be_read(archive: Archive):
    assert archive.due("2026-03-15T00:00:01Z") == [1, 0]


def test_settled_days_and_final_gaps_are_not_considered(archive: Archive):
    archive.add(1, "gap")
    archive.add(0, "settled")
    assert archive.due("2026-03-15T12:00:00Z") == []
    assert archive.due("2026-03-16T12:00:00Z") == [-1]


def test_a_sealed_day_is_considered_while_it_is_shown_and_an_open_one_for_longer(archive: Archive):
    archive.add(2, "open")
    archive.add(1, "sealed")
    archive.add(0, "sealed")
    assert archive.due("2026-03-15T12:00:00Z") == [2, 1, 0]
    assert archive.due("2026-03-17T12:00:00Z") == [2, -1, -2]


def test_days_without_a_manifest_between_others_are_considered(archive: Archive):
    for back in (9, 6, 5):
        archive.add(back, "settled")
    assert archive.due("2026-03-15T12:00:00Z") == [8, 7, 4, 3, 2, 1, 0]


def test_days_after_the_end_are_not_missed_and_shown_ones_are_looked_at(archive: Archive):
    archive.add(6, "settled")
    archive.add(5, "gap", ended=True)
    assert archive.due("2026-03-15T12:00:00Z") == [1, 0]
    assert archived_sources(archive.store, SOURCE.workspace) == []


def test_the_day_in_which_a_pipeline_was_found_to_be_gone_is_the_last_one_to_be_read(archive: Archive):
    archive.add(6, "settled")
    archive.add(5, "sealed", ended=True, ended_at="2026-03-10T06:45:00Z")
    assert archive.due("2026-03-15T12:00:00Z") == [4, 1, 0]
    assert archived_sources(archive.store, SOURCE.workspace) == [SOURCE]
    archive.add(4, "gap", ended=True, ended_at="2026-03-10T06:45:00Z")
    assert archive.due("2026-03-15T12:00:00Z") == [1, 0]
    assert archived_sources(archive.store, SOURCE.workspace) == []


def test_a_source_is_remembered_until_it_is_closed_however_long_ago_it_was_archived(archive: Archive):
    archive.add(300, "settled")
    assert archived_sources(archive.store, SOURCE.workspace) == [SOURCE]
    assert archived_sources(archive.store, SOURCE.workspace, [SOURCE.name]) == []


def test_a_source_that_ended_on_a_day_that_was_not_over_is_not_closed(archive: Archive):
    archive.add(0, "open", ended=True, ended_at="2026-03-14T12:00:00Z")
    assert archived_sources(archive.store, SOURCE.workspace) == [SOURCE]
    assert archive.due("2026-03-15T00:45:00Z") == [1, 0]


def test_a_damaged_manifest_makes_its_own_day_due_and_hides_no_other(archive: Archive):
    for back in (5, 2, 1, 0):
        archive.add(back, "settled")
    for back in (5, 1):
        key = manifest_key("logs", SOURCE, DAY - timedelta(days=back), 2)
        archive.store.create(key, b"{}", sha256=sha256_hex(b"{}"), size=2, content_type="application/json")
    assert archive.due("2026-03-15T12:00:00Z") == [4, 3, 1]
    assert archive.due("2026-03-16T12:00:00Z") == [4, 3, 1, -1]


def test_a_source_whose_newest_manifest_is_damaged_is_remembered_and_hides_no_other(archive: Archive):
    other = SOURCE._replace(name="other")
    put_day(archive.store, other, DAY, [[]], status="settled")
    archive.add(0, "settled")
    archive.store.create(manifest_key("logs", SOURCE, DAY, 2), b"{}", sha256=sha256_hex(b"{}"), size=2, content_type="")
    assert archived_sources(archive.store, SOURCE.workspace) == [SOURCE, other]


def test_a_part_without_a_manifest_makes_its_day_due_for_as_long_as_it_takes(archive: Archive):
    archive.add(2, "settled")
    archive.add(0, "settled")
    for back, number in ((30, 1), (2, 1), (0, 3)):
        key = part_key("logs", "jsonl", SOURCE, DAY - timedelta(days=back), number, "gzip")
        archive.store.create(key, b"x", sha256=sha256_hex(b"x"), size=1, content_type="")
    assert archive.due("2026-03-15T12:00:00Z") == [30, 2, 1]


def test_what_a_gone_pipeline_left_unread_is_due_while_it_would_be_shown_and_only_if_it_is_back():
    gone = manifest("gap", [(part(0, 2), "retention"), (part(5, 24), "pipeline-gone")]).model_copy(update={"ended": True})
    assert decide(gone, DAY, END + 3600) == Decision("mend", [part(5, 24)], if_back=True)
    assert decide(gone, DAY, END + 48 * 3600).kind == "nothing"
    sealed = manifest("sealed", []).model_copy(update={"ended": True})
    assert decide(sealed, DAY, END + 8 * 3600).if_back


def test_reading_again_now_is_not_answered_with_what_was_read_long_before():
    now = END + 20 * 3600
    assert decide(manifest("sealed", []), DAY, now, reread=True).due_since == pytest.approx(now - 3.5 * 3600)

