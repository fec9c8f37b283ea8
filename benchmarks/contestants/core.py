"""This project's core without Prefect: `archive_day`, with as many workers as the first argument says."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from datetime import date
from pathlib import Path

from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.day import archive_day
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.archive.store import S3Store, s3_config

import boto3  # isort: skip
import httpcore  # noqa: F401  # isort: skip - httpx imports it late; here it is one of the imports


def main() -> int:
    """Archives the day; prints what that took after the imports, as JSON."""
    env = os.environ
    started, cpu, before = time.perf_counter(), time.process_time(), _memory("VmRSS")
    shift = float(env.get("BENCH_SHIFT", "0"))

    def now() -> float:
        return time.time() + shift

    def client() -> object:
        return boto3.client("s3", endpoint_url=env["BENCH_S3"], config=s3_config())

    with DeepsetClient(env["BENCH_KEY"], env["BENCH_URL"], clock=now) as deepset:
        result = archive_day(
            deepset,
            S3Store(client, env["BENCH_BUCKET"], env["BENCH_PREFIX"]),
            LogSource(env["BENCH_WORKSPACE"], env["BENCH_PIPELINE"]),
            date.fromisoformat(env["BENCH_DAY"]),
            options=ArchiveOptions(compression="zstd" if "zstd" in sys.argv else "gzip"),
            max_concurrency=int(sys.argv[1]),
            now=now,
            spool_root=Path(env["BENCH_SPOOL"]),
            reread="reread" in sys.argv,
        )
    said = {
        "wall": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "memory": _memory("VmHWM") - before,
        "rows": result.manifest.rows,
        "requests": result.manifest.requests,
        "status": result.manifest.status,
        "committed": result.committed,
        "gaps": len(result.manifest.gaps),
    }
    print(json.dumps(said))
    return 0 if result.manifest.status in {"sealed", "settled"} else 1


def _memory(kind: str) -> float:
    """MiB of this process that are in memory now (VmRSS) or were at most (VmHWM)."""
    found = re.search(rf"{kind}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
