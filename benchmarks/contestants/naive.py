"""The script a competent user writes: httpx with retries, gzip, boto3. The gzip level is the first argument."""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import boto3
import httpx

TRIES = 6
PASSING = {408, 425, 429, 500, 502, 503, 504}


def get(client: httpx.Client, path: str, params: dict[str, str]) -> dict:
    for attempt in range(TRIES):
        answer = client.get(path, params=params)
        if answer.status_code not in PASSING or attempt == TRIES - 1:
            break
        time.sleep(float(answer.headers.get("Retry-After", 0.5 * 2**attempt)))
    answer.raise_for_status()
    return answer.json()


def rows(client: httpx.Client, path: str, start: datetime, end: datetime) -> Iterator[dict]:
    """The rows of the day, newest first: `after` is the time of the last row, as the vendor's own client does it."""
    after = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    while True:
        page = get(client, path, {"limit": "100", "order": "DESC", "after": after})
        for row in page["data"]:
            if datetime.fromisoformat(row["logged_at"]) < start:
                return
            yield row
        if not page["has_more"]:
            return
        after = page["data"][-1]["logged_at"]


def main() -> int:
    env = os.environ
    start = datetime.combine(date.fromisoformat(env["BENCH_DAY"]), datetime.min.time(), UTC)
    path = f"/api/v1/workspaces/{env['BENCH_WORKSPACE']}/pipelines/{env['BENCH_PIPELINE']}/logs"
    file = f"{env['BENCH_SCRATCH']}/naive.jsonl.gz"
    headers = {"Authorization": f"Bearer {env['BENCH_KEY']}"}
    with (
        httpx.Client(base_url=env["BENCH_URL"], headers=headers, timeout=200) as client,
        gzip.open(file, "wt", compresslevel=int(sys.argv[1])) as out,
    ):
        for row in rows(client, path, start, start + timedelta(days=1)):
            out.write(json.dumps(row) + "\n")
    key = f"{env['BENCH_PREFIX']}/day.jsonl.gz"
    boto3.client("s3", endpoint_url=env["BENCH_S3"]).upload_file(file, env["BENCH_BUCKET"], key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
