"""Instants, and the days and times that users give."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.times import day_span, format_instant, parse_instant, to_day, to_instant

DAY = date(2026, 1, 31)


@pytest.mark.parametrize("text", [
    "0001-01-01T00:00:00Z", "0999-12-31T23:59:59.000000001Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999999Z",
])
def test_every_year_is_written_as_it_was_read(text: str) -> None:
    assert format_instant(parse_instant(text)) == text


@pytest.mark.parametrize("text", [
    "2026-01-31T00:00:00+99:99", "2026-01-31T00:00:00+00:60", "2026-01-31T00:00:00-2400", "9999-12-31T23:59:59-00:01",
    "0001-01-01T00:00:00+00:01",
])
def test_offsets_that_no_clock_has_and_times_out_of_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_instant(text)


def test_offsets_are_counted_in() -> None:
    assert parse_instant("2026-01-31T23:59:00+23:59") == parse_instant("2026-01-31T00:00:00Z")
    assert to_instant(datetime(2026, 1, 31, 2, tzinfo=timezone(timedelta(hours=2))), "start") == day_span(DAY).start


@pytest.mark.parametrize("value", [
    datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), "9999-01-01T00:00:00Z", "0001-12-31T23:59:59Z",
])
def test_times_at_the_calendar_s_ends_are_refused_by_name(value: datetime | str) -> None:
    with pytest.raises(InvalidInputError, match="`end` lies outside"):
        to_instant(value, "end")


@pytest.mark.parametrize("value", ["2026-01-31T00:00:00", "2026-01-31 00:00:00.5", datetime(2026, 1, 31)])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused_by_name(value: datetime | str) -> None:
    with pytest.raises(InvalidInputError, match="`start` has no time zone"):
        to_instant(value, "start")


@pytest.mark.parametrize("value", [DAY, "2026-01-31", datetime(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)])  # noqa: DTZ001
def test_a_day_may_come_as_text_or_as_a_midnight(value: date | str) -> None:
    day = to_day(value, "day")
    assert (type(day), day) == (date, DAY)


@pytest.mark.parametrize("value", [
    datetime(2026, 1, 31, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2))), "2026-02-30",
    "2026-01-31T00:00:00Z", "", None, 5,
])
def test_what_is_no_day_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="`day` is"):
        to_day(value, "day")
