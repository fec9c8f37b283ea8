"""Memory does not grow with the day."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect_deepset.testing import even_day, row

from ..servers.ministack import S3Handle
from .day_runs import runs_at
from .test_day_crashes import start_child
from .test_day_status import MIDNIGHT

MIB = 1024


def peak(s3: S3Handle, folder: Path, rows: int, *, late: bool = False) -> int:
    """KiB by which a run over a day of so many rows grows over its imports; with a late row, of the second read."""
    with runs_at(s3, folder) as runs:
        runs.server.add_pipeline("support", "chat", even_day(MIDNIGHT, rows))
        if late:
            assert json.loads(start_child(runs).communicate()[0])["status"] == "sealed"
            runs.server.add_rows("support", "chat", [row("2026-03-14T12:00:00Z")])
            runs.clock.set("2026-03-15T07:00:00Z")
        said = json.loads(start_child(runs).communicate()[0])
        assert (said["rows"], said["status"]) == (rows + late, "sealed")
        return said["kib"]


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["first read", "second read"])
def test_a_day_five_times_as_large_takes_no_more_memory(s3: S3Handle, tmp_path: Path, late):
    small = peak(s3, tmp_path / "small", 100_000, late=late)
    large = peak(s3, tmp_path / "large", 500_000, late=late)
    assert large <= 60 * MIB
    assert large <= small + 12 * MIB, (small, large)
