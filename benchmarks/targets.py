"""``python -m benchmarks.targets``: the figures this project must reach, each measured anew. Exit status 1 when one is missed.

Readers and servers live at one o'clock of the day after the one that is read, so that the time of day changes nothing. CPU
and memory are those of the core's own process after its imports: reading, checking, hashing, compressing, committing.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median
from typing import NamedTuple

from prefect_deepset.testing.s3_server import EmbeddedS3

from .documents import Table, publish
from .environments import python_of
from .measure import CONTESTANTS
from .scenarios import Scenario, Shape, midnight, yesterday
from .stage import BUCKET, Stage

REPEATS = 5


class Figure(NamedTuple):
    """One figure held against its goal."""

    name: str
    measured: str
    goal: str
    reached: bool


def stage(scenario: Scenario, s3: EmbeddedS3) -> Stage:
    """A stage whose clocks stand at one o'clock after the day."""
    day = yesterday()
    return Stage(scenario, day, s3, shift=(midnight(day) + timedelta(hours=25)).timestamp() - time.time())


def cpu(s3: EmbeddedS3, repeats: int) -> Iterator[Figure]:
    """CPU for 100,000 rows, with one worker and with sixteen."""
    with stage(Scenario(rows=100_000), s3) as at:
        for workers in (1, 16):
            taken = []
            for _ in range(repeats):
                at.new_prefix()
                taken.append(at.run_core(workers).said["cpu"])
            value = median(taken)
            name = f"CPU for 100,000 rows, {workers} worker{'s' if workers > 1 else ''}"
            yield Figure(name, f"{value:.2f} s ({min(taken):.2f} to {max(taken):.2f})", "≤ 1.5 s", value <= 1.5)


def memory(s3: EmbeddedS3, repeats: int) -> Iterator[Figure]:  # noqa: ARG001 - peaks hardly vary
    """Peak memory over the imports for 100,000 and 2,000,000 rows, sixteen workers."""
    for rows in (100_000, 2_000_000):
        with stage(Scenario(rows=rows), s3) as at:
            value = at.run_core(16).said["memory"]
            yield Figure(f"peak memory over the imports, {rows:,} rows", f"{value:.0f} MiB", "≤ 60 MiB", value <= 60)


def speed(s3: EmbeddedS3, repeats: int) -> Iterator[Figure]:
    """Sixteen workers at 100 ms a page against the fastest that reads one page after another; requests as well."""
    floor = [[str(python_of("script")), str(CONTESTANTS / "floor.py")]]
    goals: tuple[tuple[Shape, float], ...] = (("unique", 10), ("skewed", 8))
    for shape, goal in goals:
        scenario = Scenario(rows=20_000, shape=shape, latency_ms=100)
        with stage(scenario, s3) as at:
            at.new_prefix()
            alone = at.run(floor).said["wall"]
            walls, asked = [], []
            for _ in range(repeats):
                at.new_prefix()
                cost = at.run_core(16)
                walls.append(cost.said["wall"])
                asked.append(cost.said["requests"])
        times, day = alone / median(walls), "even day" if shape == "unique" else "90 % of rows in ten minutes"
        measured = f"{times:.1f} times ({median(walls):.2f} s against {alone:.1f} s)"
        yield Figure(f"20,000 rows at 100 ms a page, 16 workers, {day}", measured, f"≥ {goal:.0f} times", times >= goal)
        most = scenario.pages + 16 + scenario.pages * 0.02
        requests = median(asked)
        measured = f"{requests:.0f} ({min(asked)} to {max(asked)})"
        yield Figure(f"requests for {scenario.pages} pages, {day}", measured, f"≤ {most:.0f}", requests <= most)


def kill(s3: EmbeddedS3, repeats: int) -> Iterator[Figure]:
    """SIGKILL at half of the day, then the same command again: how many pages both read together beyond one undisturbed run."""
    scenario = Scenario(rows=20_000, latency_ms=20)
    with stage(scenario, s3) as at:
        at.run_core(16)
        undisturbed, pages = at.lines(), at.server.counters["pages"]
        twice, same = [], True
        for _ in range(repeats):
            at.new_prefix()
            at.server.reset()
            _kill_at(at, pages // 2)
            before = at.server.counters["pages"]
            at.run_core(16)
            twice.append((before + at.server.counters["pages"] - pages) / pages)
            same = same and at.lines() == undisturbed
    share = median(twice)
    measured = f"{share:.1%} (up to {max(twice):.1%}), archive {'identical' if same else 'DIFFERENT'}"
    yield Figure("pages read twice after a kill at half of the day", measured, "≤ 15 %, identical", share <= 0.15 and same)


def _kill_at(at: Stage, pages: int) -> None:
    process = subprocess.Popen(
        [sys.executable, str(CONTESTANTS / "core.py"), "16"], env={**os.environ, **at.environment},
        stdout=subprocess.DEVNULL,
    )
    while at.server.counters["pages"] < pages and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


def settled(s3: EmbeddedS3, repeats: int) -> Iterator[Figure]:  # noqa: ARG001 - nothing here varies
    """What a run costs when there is nothing to do."""
    with stage(Scenario(rows=20_000), s3) as at:
        at.run_core(16)
        yield _idle(at, "a sealed day, its second read not due")
        at.shift += 6 * 3600
        at.run_core(16)
        yield _idle(at, "a settled day")


def _idle(at: Stage, name: str) -> Figure:
    before = set(at.objects())
    status = at.run_core(16).said["status"]
    pages, written = at.server.counters["pages"], len(set(at.objects()) - before)
    expected = "settled" if "settled" in name else "sealed"
    reached = pages == 0 and written == 0 and status == expected
    return Figure(f"{name}, run again", f"{pages} pages, {written} objects", "0 pages, 0 objects", reached)


TARGETS: dict[str, Callable[[EmbeddedS3, int], Iterator[Figure]]] = {
    "cpu": cpu, "memory": memory, "speed": speed, "kill": kill, "settled": settled,
}  # fmt: skip


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.targets", description=main.__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *TARGETS], help="leave out for all")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="medians are taken over so many runs")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    table = Table("figure", "measured", "goal", "reached")
    missed = 0
    with EmbeddedS3() as s3:
        s3.create_bucket(BUCKET)
        for name in given.only or TARGETS:
            for figure in TARGETS[name](s3, given.repeats):
                missed += not figure.reached
                table.add(figure.name, figure.measured, figure.goal, "yes" if figure.reached else "NO")
    publish("targets", table, write=given.write)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
