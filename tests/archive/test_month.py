"""A month of days with outages, late rows, faults, crashes and two workers: the archive verifies and lacks nothing."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from prefect_deepset.api.errors import DeepsetError
from prefect_deepset.archive.chain import latest
from prefect_deepset.archive.plan import days_due
from prefect_deepset.archive.verify import ArchiveVerdict, verify_archive
from prefect_deepset.testing import Behaviour, Fault, Faults, even_day, row, ties
from prefect_deepset.testing.data import KINDS

from ..servers.ministack import S3Handle
from .day_runs import Raw, Runs, runs_at
from .test_day_crashes import Died, dying_store

FIRST = date(2026, 3, 2)
HOURS = (0, 6, 12, 18)
OUTAGE = (date(2026, 3, 7), date(2026, 3, 10))
"""The first and the last day without any run."""
LATEST = timedelta(hours=5, minutes=30)
"""After its day: what is visible by then, a second read must find."""
TROUBLE = [Fault.gateway_timeout(), Fault.bad_gateway(), Fault.html(), Fault(truncate=0.6), Fault.short_page(4),
           Fault(reset=True)]
DEATHS = [("jsonl", True), ("jsonl", False), ("manifests", True), ("manifests", False)]


class Month:
    """What happens, drawn from one seed."""

    def __init__(self, runs: Runs, folder: Path, seed: int, days: int) -> None:
        self.runs, self.folder, self.days = runs, folder, days
        self.random = random.Random(seed)
        self.must_have: dict[date, set[Raw]] = {}
        """Rows that were shown while a run read the whole day and said that nothing readable is missing."""
        self.crashes = 0

    def fill(self) -> None:
        """A hundred and some rows a day, a tie now and then, and late rows."""
        self.runs.server.add_pipeline("support", "chat", even_day(str(FIRST - timedelta(days=3)) + "T00:00:00Z", 50))
        for number in range(-2, self.days + 1):
            day = FIRST + timedelta(days=number)
            self.add(even_day(f"{day}T00:00:00Z", self.random.randrange(80, 240), seed=number + 50))
            if number % 5 == 0:
                self.add(ties(f"{day}T09:00:00.5Z", 130, seed=number + 50, kinds=KINDS))
            for late in range(self.random.choice((0, 0, 3))):
                at = datetime(day.year, day.month, day.day, self.random.randrange(24), 7, late, tzinfo=UTC)
                day_end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
                shown_at = min(at + timedelta(hours=self.random.uniform(1, 9)), day_end + LATEST)
                self.add([row(at.isoformat().replace("+00:00", "Z"), message=f"late {day} {late}")], shown_at)

    def add(self, rows, shown_at: datetime | None = None) -> None:
        self.runs.server.add_rows("support", "chat", rows, visible_at=shown_at.isoformat() if shown_at else None)

    def live(self) -> None:
        """All the runs, some of them on two machines at once."""
        for number in range(self.days):
            today = FIRST + timedelta(days=number)
            for hour in HOURS:
                if OUTAGE[0] <= today <= OUTAGE[1] or self.random.random() < 0.15:
                    continue
                self.runs.clock.set(f"{today}T{hour:02}:45:00.25Z")
                bad = self.random.random() < 0.3
                self.runs.server.faults = Faults(probability=0.1 if bad else 0.0, kinds=TROUBLE, seed=number)
                self.runs.server.behaviour = Behaviour(
                    after_inclusive=self.random.random() < 0.5, tie_order=self.random.choice(("stable", "random")),
                    retention_answer=self.random.choice(("empty", "400")), total=self.random.choice(("after", "all", "null")))
                for day in days_due(self.runs.store, self.runs.source, self.runs.clock()):
                    self.archive(day)

    def archive(self, day: date) -> None:
        machines = ["a", "b"] if self.random.random() < 0.3 else [self.random.choice("ab")]
        deaths = [self.random.choice(DEATHS) if self.random.random() < 0.5 else None for _ in machines]
        before = latest(self.runs.store, self.runs.source, day)
        mends = before is not None and before.manifest.status == "open"  # what is whole already is then not looked at again
        shown = set(self.runs.truth(day, shown_only=True)) if not mends else set[Raw]()
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda machine, death: self.run(machine, day, death), machines, deaths))
        if any(done):
            self.must_have.setdefault(day, set()).update(shown)

    def run(self, machine: str, day: date, death: tuple[str, bool] | None) -> bool:
        """One machine's run; whether it read the day and left nothing readable out."""
        runs = self.runs
        store = dying_store(runs, death[0], after=death[1]) if death else runs.s3.store(runs.bucket, "logs")
        try:
            result = runs.archive(day, store=store, spool_root=self.folder / machine)
        except Died:
            self.crashes += 1
            return False
        except DeepsetError as error:
            if not error.transient:
                raise
            return False
        assert result.foreign == ()
        return result.committed and result.manifest.status != "open"


def verify(runs: Runs) -> ArchiveVerdict:
    return verify_archive(runs.store, "support", None, None, None, datetime.fromtimestamp(runs.clock(), UTC))


@pytest.mark.parametrize(("days", "seed"), [
    (10, 1), *(pytest.param(28, seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_a_month_of_everything_leaves_a_valid_archive_with_every_row_that_was_readable(
    s3: S3Handle, tmp_path: Path, days: int, seed: int
):
    with runs_at(s3, tmp_path) as runs:
        month = Month(runs, tmp_path, seed, days)
        month.fill()
        month.live()
        assert month.crashes > 5
        runs.server.faults = Faults()
        last = FIRST + timedelta(days=days)
        for hour in (6, 12, 18):
            runs.clock.set(f"{last}T{hour:02}:45:00Z")
            for day in days_due(runs.store, runs.source, runs.clock()):
                runs.archive(day, spool_root=tmp_path / "a")
        verdict = verify(runs)
        assert {finding.kind for finding in verdict.all_findings} <= {"gap"}
        skipped = {str(OUTAGE[0] + timedelta(days=n)) for n in range(-1, 3)}
        # Of the day before the first two, some was still shown to first runs that died, and gone for the one that did not.
        assert {str(day.day) for day in verdict.days if day.findings} <= {*skipped, str(FIRST - timedelta(days=2))}
        runs.server.behaviour = Behaviour()
        for number in range(-1, days):
            day = FIRST + timedelta(days=number)
            archived, truth = runs.archived(day), set(runs.truth(day))
            assert len(archived) == len(set(archived))
            assert set(archived) <= truth
            assert month.must_have.get(day, set()) <= set(archived)
            manifest = runs.manifests(day)[-1]
            assert manifest.rows == len(archived)
            if manifest.status == "settled":
                assert set(archived) == truth
            elif str(day) not in skipped and number > 0:
                assert manifest.status == "sealed"
