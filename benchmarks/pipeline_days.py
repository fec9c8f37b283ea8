"""What one pipeline-day costs, through the whole flow: CPU, requests to deepset and S3, rows in Prefect's database.

::

    python -m benchmarks.pipeline_days [PIPELINES] [ROWS]

Everything runs on this machine: a fake platform, an S3 emulator, a Prefect server. The platform's CPU is in this process and is
counted too: it is little, since the days are small and the flow's own work is what is weighed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1")

from botocore.httpsession import URLLib3Session
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
from prefect_deepset.testing import FakeDeepset, even_day
from prefect_deepset.testing.s3_server import EmbeddedS3
from pydantic import SecretStr

WORKSPACE = "bench"

TABLES = ("task_run", "task_run_state", "log", "events", "artifact")


class Cost(NamedTuple):
    """Of one run, in all."""

    seconds: float
    cpu: float
    """Seconds of this process: the flow, and the fake platform's share."""
    deepset: int
    s3: Counter[str]
    """Requests by method."""
    prefect: Counter[str]
    """Rows that were added, by table."""


def main() -> None:
    """Runs the flow four times and prints a table."""
    pipelines, rows = (int(argument) for argument in (*sys.argv[1:], "100", "200")[:2])
    day = datetime.now(UTC).date() - timedelta(days=1)
    sent: Counter[str] = Counter()
    send = URLLib3Session.send

    def counted(self: Any, request: Any) -> Any:
        sent[request.method] += 1
        return send(self, request)

    URLLib3Session.send = counted
    with tempfile.TemporaryDirectory() as spool, EmbeddedS3() as s3, FakeDeepset() as deepset, prefect_test_harness(120):
        os.environ["PREFECT_DEEPSET_SPOOL"] = spool
        s3.create_bucket("bench")
        for number in range(pipelines):
            deepset.add_pipeline(WORKSPACE, f"pipeline-{number:05d}", even_day(f"{day}T00:00:00Z", rows, seed=number))
        secret = SecretStr(s3.secret_key)
        aws = AwsCredentials(aws_access_key_id=s3.access_key, aws_secret_access_key=secret, region_name=s3.region,
                             aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint_url))
        archive = LogArchive(bucket="bench", credentials=aws, addressing_style="path")
        credentials = DeepsetCredentials(api_key=SecretStr(deepset.api_key), base_url=deepset.url)
        print(f"{pipelines} pipelines, {rows} rows each; per pipeline-day:")
        print("| run | seconds | CPU seconds | deepset | S3 read | S3 PUT | task runs | states | log rows | events | KiB |")
        print("| --- |" + " ---: |" * 10)
        runs: list[tuple[str, dict[str, Any]]] = [
            ("first read", {"day": day}), ("second read", {"day": day, "reread": True}), ("the day before", {}),
            ("nothing due", {}),
        ]
        for name, options in runs:
            before = database()
            sent.clear()
            deepset.reset()
            usage, began = cpu(), time.monotonic()
            archive_daily_logs(credentials, archive, WORKSPACE, error_threshold=100, **options)
            seconds, used = time.monotonic() - began, cpu() - usage
            time.sleep(8)  # events and logs arrive in batches
            added = database()
            added.subtract(before)
            cost = Cost(seconds, used, deepset.counters["requests"], Counter(sent), added)
            print("| " + " | ".join([name, *(f"{value / pipelines:.3g}" for value in row(cost))]) + " |")
        print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    URLLib3Session.send = send


def row(cost: Cost) -> list[float]:
    """The table's numbers."""
    reads = cost.s3["GET"] + cost.s3["HEAD"]  # listings too
    base = cost.prefect
    return [cost.seconds, cost.cpu, cost.deepset, reads, cost.s3["PUT"], base["task_run"], base["task_run_state"], base["log"],
            base["events"], base["bytes"] / 1024]


def cpu() -> float:
    """Seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def database() -> Counter[str]:
    """Rows of the Prefect server's tables, and the bytes of its file."""
    url = get_current_settings().server.database.connection_url
    path = url.get_secret_value().partition("///")[2].partition("?")[0]
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        rows = {table: base.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    return Counter({**rows, "bytes": sum(file.stat().st_size for file in Path(path).parent.glob(f"{Path(path).name}*"))})


if __name__ == "__main__":
    main()
