"""``python -m benchmarks.growth``: time and memory of the core from ten thousand rows to two million, as a table and two plots.

The time is CPU: on one machine the clock shows how fast the fake server makes its pages. As in `benchmarks.targets`, imports
are not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from prefect_deepset.testing.s3_server import EmbeddedS3

from .documents import DOCUMENT, Table, publish
from .environments import python_of
from .measure import ROOT
from .scenarios import Scenario
from .stage import BUCKET
from .targets import stage

SIZES = (10_000, 50_000, 200_000, 500_000, 1_000_000, 2_000_000)


def plot(name: str, title: str, points: list[tuple[int, float]]) -> None:
    """Draws one plot into docs/, from zero on both axes."""
    drawing = {"title": title, "points": points, "path": str(DOCUMENT.with_name(name))}
    script = str(ROOT / "benchmarks" / "draw.py")
    subprocess.run([python_of("plot"), script], input=json.dumps(drawing), text=True, check=True)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser("python -m benchmarks.growth", description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of the days")
    parser.add_argument("--workers", type=int, default=16, help="requests under way at once")
    parser.add_argument("--write", action="store_true", help="into docs/")
    given = parser.parse_args()
    table = Table("rows", "CPU", "rows in a CPU second", "wall", "peak memory over the imports")
    cpu: list[tuple[int, float]] = []
    memory: list[tuple[int, float]] = []
    with EmbeddedS3() as s3:
        s3.create_bucket(BUCKET)
        for rows in given.sizes:
            with stage(Scenario(rows=rows), s3) as at:
                said = at.run_core(given.workers).said
            if said["rows"] != rows:
                raise RuntimeError(f"{said['rows']:,} of {rows:,} rows were archived.")
            cpu.append((rows, said["cpu"]))
            memory.append((rows, said["memory"]))
            speed, wall, peak = f"{rows / said['cpu']:,.0f}", f"{said['wall']:.1f} s", f"{said['memory']:.0f} MiB"
            table.add(f"{rows:,}", f"{said['cpu']:.1f} s", speed, wall, peak)
    if given.write:
        plot("growth-cpu.svg", "CPU seconds by rows", cpu)
        plot("growth-memory.svg", "Peak memory over the imports, MiB, by rows", memory)
    publish("growth", table, write=given.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
