"""``python -m prefect_deepset.testing``: the fake platform in a process of its own.

Prints one line of JSON with ``url``, ``api_key``, ``workspace`` and ``pipelines`` once it listens, and serves until it is
stopped (Ctrl-C or SIGTERM). ``GET /_fake/counters`` needs no key and says what was asked so far.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from .behaviour import Behaviour
from .data import GeneratedRows, bursts, even_day, skewed_day, tied_day
from .faults import Fault, Faults
from .server import FakeDeepset

_SHAPES: dict[str, Callable[..., GeneratedRows]] = {"even": even_day, "skewed": skewed_day, "bursts": bursts, "tied": tied_day}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    parser = argparse.ArgumentParser(
        "python -m prefect_deepset.testing",
        description="Serve a fake deepset platform on this machine until stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--api-key", default="api_fake-key", help="the key that is accepted")
    parser.add_argument("--workspace", default="demo", help="the workspace's name")
    parser.add_argument("--pipelines", type=int, default=1, help="how many; they are named pipeline-1, pipeline-2, ...")
    parser.add_argument("--rows", type=int, default=20_000, help="rows per pipeline and day")
    parser.add_argument("--days", type=int, default=1, help="how many days with rows, the last of them --day")
    parser.add_argument("--day", default=yesterday, help="the UTC day of the rows")
    parser.add_argument("--shape", choices=sorted(_SHAPES), default="even", help="how the rows lie in the day")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other rows")
    parser.add_argument("--now", default=None, help="the time at which the server's clock stands still; else the computer's")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each page")
    parser.add_argument("--timeouts", type=float, default=0.0, help="the chance (0 to 1) that a page answers 504")
    parser.add_argument("--show-all", action="store_true", help="no retention: rows of any age are shown")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    given = _arguments(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = FakeDeepset(
        now=given.now,
        behaviour=Behaviour(retention_answer="shown" if given.show_all else "empty"),
        faults=Faults(latency=given.latency, probability=given.timeouts, kinds=(Fault.gateway_timeout(),), seed=given.seed),
        api_key=given.api_key,
        host=given.host,
        port=given.port,
    )
    names = [f"pipeline-{n}" for n in range(1, given.pipelines + 1)]
    last = datetime.fromisoformat(given.day).replace(tzinfo=UTC)
    for n, name in enumerate(names):
        server.add_pipeline(given.workspace, name)
        for back in reversed(range(given.days)):
            rows = _SHAPES[given.shape](last - timedelta(days=back), given.rows, given.seed + n)
            server.add_rows(given.workspace, name, rows)
    with server:
        line = {"url": server.url, "api_key": server.api_key, "workspace": given.workspace, "pipelines": names}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
