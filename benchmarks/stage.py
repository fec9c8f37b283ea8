"""Where the contestants play: a deepset server, a bucket, a scratch folder, and afterwards the count of what was kept."""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import zstandard
from prefect_deepset.testing import FakeDeepset
from prefect_deepset.testing.s3_server import EmbeddedS3

from .measure import CONTESTANTS, Cost, run
from .scenarios import PIPELINE, WORKSPACE, Scenario, make_server

BUCKET = "bench"
_LOG_ID = re.compile(rb'"log_id"\s*:\s*"([^"]+)"')


class Kept(NamedTuple):
    """What is in the bucket after a run, held against what the server has."""

    rows: int
    """Different rows of the day."""
    doubled: int
    """Rows that are there once too often."""


class Stage:
    """One day on one server, and a bucket; a context manager.

    Args:
        scenario, day: what the server shows.
        s3: the bucket's server, shared by all stages of a benchmark.
        shift: seconds that the day's servers and readers are ahead of this machine's clock.
    """

    def __init__(self, scenario: Scenario, day: date, s3: EmbeddedS3, shift: float = 0.0) -> None:
        self.scenario = scenario
        self.day = day
        self.shift = shift
        self.server: FakeDeepset = make_server(scenario, day, shift=lambda: self.shift)
        self._s3 = s3
        self._stack = ExitStack()
        self._runs = 0

    def __enter__(self) -> Self:
        self._stack.enter_context(self.server)
        self.scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        self.prefix = self.new_prefix()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def new_prefix(self) -> str:
        """A part of the bucket that nobody has written to, from now on used by `environment`."""
        self._runs += 1
        self.prefix = f"{self.scratch.name}/{self._runs}"
        return self.prefix

    @property
    def environment(self) -> dict[str, str]:
        """What every contestant is told."""
        return {
            "BENCH_URL": self.server.url,
            "BENCH_KEY": self.server.api_key,
            "BENCH_WORKSPACE": WORKSPACE,
            "BENCH_PIPELINE": PIPELINE,
            "BENCH_DAY": self.day.isoformat(),
            "BENCH_SHIFT": str(self.shift),
            "BENCH_S3": self._s3.endpoint_url,
            "BENCH_BUCKET": BUCKET,
            "BENCH_PREFIX": self.prefix,
            "BENCH_SPOOL": str(self.scratch / "spool"),
            "BENCH_SCRATCH": str(self.scratch),
            "AWS_ACCESS_KEY_ID": self._s3.access_key,
            "AWS_SECRET_ACCESS_KEY": self._s3.secret_key,
            "AWS_DEFAULT_REGION": self._s3.region,
        }

    def run(self, commands: Sequence[Sequence[str]], timeout: float = 900.0) -> Cost:
        """Runs a contestant; the server's counters then are about this run alone."""
        self.server.reset()
        return run(commands, self.environment, timeout)

    def run_core(self, workers: int, *options: str) -> Cost:
        """Runs this project's core.

        Raises:
            RuntimeError: it failed.
        """
        cost = self.run([[sys.executable, str(CONTESTANTS / "core.py"), str(workers), *options]])
        if cost.exit_code or not cost.said:
            raise RuntimeError(f"The core ended with {cost.exit_code}:\n{cost.errors}")
        return cost

    def objects(self) -> dict[str, bytes]:
        """The objects under the present prefix."""
        client = self._s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def lines(self) -> list[bytes]:
        """Every line of the objects that hold rows."""
        return [line for key, body in sorted(self.objects().items()) for line in _lines(key, body)]

    def kept(self) -> Kept:
        """Counts the rows in the bucket by their ids."""
        ids = _ids(self.lines())
        truth = {row.encode() for row, _ in self.server.truth_ids(WORKSPACE, PIPELINE)}
        found = set(ids)
        return Kept(len(found & truth), len(ids) - len(found))


def _ids(lines: Iterable[bytes]) -> list[bytes]:
    return [found for line in lines for found in _LOG_ID.findall(line)]


def _lines(key: str, body: bytes) -> list[bytes]:
    if "/manifests/" in key or "/_dlt" in key or key.endswith(("init", ".write-check")):
        return []
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    elif body[:4] == b"\x28\xb5\x2f\xfd":
        with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
            body = reader.read()
    return body.split(b"\n")
