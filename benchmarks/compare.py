"""``python -m benchmarks.compare``: this project beside what people would use instead, on the same server in one run.

Every contestant is a process of its own and costs what that process costs, imports and all. The order of contestants is
another in each round, and of several rounds medians are taken.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from prefect_deepset.testing.s3_server import EmbeddedS3

from .documents import Table, publish
from .environments import python_of
from .measure import CONTESTANTS, Cost
from .prefect_server import PrefectServer
from .scenarios import Scenario, Shape, Trouble, yesterday
from .stage import BUCKET, Kept, Stage

SHAPES: tuple[Shape, ...] = ("unique", "ties", "bursts")
LATENCIES = (0, 50, 200)
TROUBLES: tuple[Trouble, ...] = ("healthy", "504", "429")
SUBSET = (
    Scenario(100_000, "unique", 0),
    Scenario(20_000, "ties", 0),
    Scenario(20_000, "bursts", 0),
    Scenario(10_000, "unique", 50),
    Scenario(5_000, "unique", 0, "504"),
    Scenario(5_000, "bursts", 0, "429"),
)
"""What is measured by default: each axis by itself."""


def _command(environment: str, script: str, *arguments: str) -> list[str]:
    python = python_of(environment) if environment else sys.executable
    return [str(python), str(CONTESTANTS / script), *arguments]


def _loaded(environment: str, script: str) -> list[list[str]]:
    return [_command(environment, script), _command("script", "loader.py")]


CONTESTANTS_BY_NAME: dict[str, Callable[[], Sequence[Sequence[str]]]] = {
    "prefect-deepset core, 1 worker": lambda: [_command("", "core.py", "1")],
    "prefect-deepset core, 16 workers": lambda: [_command("", "core.py", "16")],
    "prefect-deepset flow": lambda: [_command("", "flow.py")],
    "script, gzip 6": lambda: [_command("script", "naive.py", "6")],
    "script, gzip 9": lambda: [_command("script", "naive.py", "9")],
    "dlt": lambda: [_command("dlt", "with_dlt.py")],
    "Airbyte CDK": lambda: _loaded("airbyte", "with_airbyte.py"),
    "Singer SDK": lambda: _loaded("singer", "with_singer.py"),
    "floor: raw client, no checks": lambda: [_command("script", "floor.py")],
}


class Run(NamedTuple):
    """One contestant on one stage."""

    cost: Cost
    kept: Kept
    requests: int


def play(stage: Stage, name: str, timeout: float) -> Run:
    """One run of one contestant into an empty part of the bucket."""
    stage.new_prefix()
    cost = stage.run(CONTESTANTS_BY_NAME[name](), timeout)
    asked = sum(number for key, number in stage.server.counters.items() if key.isdigit())
    return Run(cost, stage.kept(), asked)


def rounds(stage: Stage, names: Sequence[str], repeats: int, timeout: float) -> dict[str, list[Run]]:
    """Every contestant so many times, each round in another order."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    rng = random.Random(0)
    for _ in range(repeats):
        for name in rng.sample(list(names), len(names)):
            runs[name].append(play(stage, name, timeout))
            print(f"{name}: {runs[name][-1].cost.wall:.1f} s", file=sys.stderr)
    return runs


def cells(name: str, runs: Sequence[Run], rows: int) -> list[str]:
    """A row of the table."""
    worst = min(runs, key=lambda run: run.kept.rows)
    lost = rows - worst.kept.rows
    kept = f"{worst.kept.rows:,}" + (f" (**{lost / rows:.1%} lost**)" if lost else "")
    codes = sorted({run.cost.exit_code for run in runs})
    return [
        name,
        kept,
        f"{max(run.kept.doubled for run in runs):,}",
        f"{median(run.cost.wall for run in runs):.1f} s",
        f"{median(run.cost.cpu for run in runs):.1f} s",
        f"{median(run.cost.rss for run in runs):.0f} MiB",
        f"{median(run.requests for run in runs):.0f}",
        ", ".join(map(str, codes)),
    ]


def main() -> int:
    """Measures and prints; exit status 1 when this project lost or doubled a row."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare", description=main.__doc__)
    parser.add_argument("--full", action="store_true", help="every combination of the axes; hours")
    parser.add_argument("--rows", type=int, help="rows of the day, in place of each scenario's own")
    parser.add_argument("--repeats", type=int, default=1, help="rounds; medians are taken over them")
    parser.add_argument("--only", action="append", choices=list(CONTESTANTS_BY_NAME), help="may be given several times")
    parser.add_argument("--scenario", type=int, action="append", help="its number, from 1; may be given several times")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which a contestant is killed")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    given = parser.parse_args()
    scenarios = list(SUBSET)
    if given.full:
        scenarios = [Scenario(20_000, *axes) for axes in itertools.product(SHAPES, LATENCIES, TROUBLES)]
    if given.scenario:
        scenarios = [scenarios[number - 1] for number in given.scenario]
    if given.rows:
        scenarios = [scenario._replace(rows=given.rows) for scenario in scenarios]
    names = given.only or list(CONTESTANTS_BY_NAME)
    table = Table("day", "with", "rows kept", "doubled", "wall", "CPU", "peak memory", "requests", "exit")
    faultless = True
    with EmbeddedS3() as s3, PrefectServer(wanted="prefect-deepset flow" in names):
        s3.create_bucket(BUCKET)
        with Stage(Scenario(100), yesterday(), s3) as stage:
            rounds(stage, names, 1, given.timeout)  # nobody pays for what happens once: compiled imports, cached pages
        for scenario in scenarios:
            with Stage(scenario, yesterday(), s3) as stage:
                runs = rounds(stage, names, given.repeats, given.timeout)
            for name in names:
                table.add(scenario, *cells(name, runs[name], scenario.rows))
                ours = name.startswith("prefect-deepset")
                faultless = faultless and (not ours or all(run.kept == (scenario.rows, 0) for run in runs[name]))
            publish("compare", table, write=given.write)  # each time: what is known stays, whatever becomes of the rest
    return 0 if faultless else 1


if __name__ == "__main__":
    sys.exit(main())
