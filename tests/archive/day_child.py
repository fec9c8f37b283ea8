"""One `archive_day` in a process of its own, to be killed or raced: ``python day_child.py '{"url": ..., ...}'``."""

from __future__ import annotations

import json
import resource
import sys
from datetime import date
from pathlib import Path

import boto3
from botocore.config import Config
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.day import archive_day
from prefect_deepset.archive.store import S3Store


def main(settings: dict) -> None:
    client = boto3.client("s3", endpoint_url=settings["endpoint"], region_name="us-east-1",
                          aws_access_key_id=settings["access_key"], aws_secret_access_key=settings["secret_key"],
                          config=Config(s3={"addressing_style": "path"}, proxies={}))
    client.list_buckets()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store = S3Store(client, settings["bucket"], "logs")
    with DeepsetClient(settings["api_key"], settings["url"], clock=lambda: settings["now"]) as deepset:
        result = archive_day(deepset, store, LogSource("support", "chat"), date.fromisoformat(settings["day"]),
                             now=lambda: settings["now"], max_concurrency=settings["concurrency"],
                             spool_root=Path(settings["spool"]))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sys.stdout.write(json.dumps({"rows": result.manifest.rows, "status": result.manifest.status, "kib": grown}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
