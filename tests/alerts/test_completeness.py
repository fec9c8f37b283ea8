"""What is overdue."""

from __future__ import annotations

import pytest
from prefect_deepset.alerts.completeness import describe_overdue, oldest_unarchived
from prefect_deepset.api.times import SECOND, format_instant
from prefect_deepset.archive.manifest import Manifest

from .days import archived, clock, gap

WHOLE = [archived(1), archived(2)]


@pytest.mark.parametrize(("manifests", "expected"), [
    (WHOLE, "2026-01-03T00:00:00Z"),
    ([archived(2), archived(1)], "2026-01-03T00:00:00Z"),
    ([archived(1), archived(3)], "2026-01-02T00:00:00Z"),
    ([*WHOLE, archived(3, status="open", gaps=[gap(3, "gateway-timeout")])], "2026-01-03T03:00:00Z"),
    ([*WHOLE, archived(3, status="open", gaps=[gap(3, "not-over", "11:00:00", "23:00:00")])], "2026-01-03T11:00:00Z"),
    ([*WHOLE, archived(3, status="open")], "2026-01-04T00:00:00Z"),
    ([archived(1), archived(2, status="gap", gaps=[gap(2, "retention")])], "2026-01-03T00:00:00Z"),
    ([archived(1), archived(2, ended=True)], None),
    ([archived(1, ended=True), archived(4)], "2026-01-05T00:00:00Z"),
    ([archived(1), archived(10)], "2026-01-11T00:00:00Z"),  # an old day judged again says nothing of the days between
    ([], None),
])
def test_the_oldest_unarchived_instant_is_the_first_still_waited_for(manifests: list[Manifest], expected: str | None):
    found = oldest_unarchived(manifests)
    assert (format_instant(found) if found is not None else None) == expected


def test_a_pipeline_is_overdue_after_36_hours_and_not_before():
    def at(hour: float) -> int:
        return int(clock(4, hour) * SECOND)

    assert describe_overdue(WHOLE, at(12)) is None  # day 3 began exactly 36 hours ago
    found = describe_overdue(WHOLE, at(12.1))
    assert found is not None
    assert found[0] == "2026-01-03"
    assert found[1] == "Not archived since 2026-01-03 00:00 UTC, 36 hours ago. The platform shows logs for 48 hours."
