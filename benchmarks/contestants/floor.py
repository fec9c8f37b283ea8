"""The floor: a raw client, one page after another, pages kept as they come. No checks; nothing in Python does less."""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
import urllib.parse
import zlib
from datetime import UTC, date, datetime, timedelta

import boto3

LAST = re.compile(rb'.*"logged_at":"([^"]+)"', re.DOTALL)


def main() -> int:
    started = time.perf_counter()
    env = os.environ
    url = urllib.parse.urlsplit(env["BENCH_URL"])
    connection = http.client.HTTPConnection(url.hostname, url.port)
    path = f"/api/v1/workspaces/{env['BENCH_WORKSPACE']}/pipelines/{env['BENCH_PIPELINE']}/logs?limit=100&order=DESC&after="
    headers = {"Authorization": f"Bearer {env['BENCH_KEY']}"}
    end = datetime.combine(date.fromisoformat(env["BENCH_DAY"]), datetime.min.time(), UTC) + timedelta(days=1)
    after = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    packer, packed = zlib.compressobj(1, zlib.DEFLATED, 31), []
    while True:
        connection.request("GET", path + urllib.parse.quote(after), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {body[:200]!r}")
        packed.append(packer.compress(body + b"\n"))
        if b'"has_more":true' not in body:
            break
        after = LAST.match(body)[1].decode()
    packed.append(packer.flush())
    client = boto3.client("s3", endpoint_url=env["BENCH_S3"])
    client.put_object(Bucket=env["BENCH_BUCKET"], Key=f"{env['BENCH_PREFIX']}/day.json.gz", Body=b"".join(packed))
    print(json.dumps({"wall": time.perf_counter() - started}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
