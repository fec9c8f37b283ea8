"""dlt: its declarative REST source with cursor pagination, and its filesystem destination on S3, as its documentation shows."""

from __future__ import annotations

import os
import sys

import dlt
from dlt.sources.rest_api import rest_api_source


def main() -> int:
    env = os.environ
    source = rest_api_source(
        {
            "client": {
                "base_url": f"{env['BENCH_URL']}/api/v1/",
                "auth": {"type": "bearer", "token": env["BENCH_KEY"]},
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "data[-1].logged_at",
                    "cursor_param": "after",
                    "has_more_path": "has_more",
                },
            },
            "resources": [
                {
                    "name": "logs",
                    "write_disposition": "append",
                    "max_table_nesting": 0,
                    "endpoint": {
                        "path": f"workspaces/{env['BENCH_WORKSPACE']}/pipelines/{env['BENCH_PIPELINE']}/logs",
                        "params": {"limit": 100, "order": "DESC"},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    credentials = {
        "aws_access_key_id": env["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": env["BENCH_S3"],
        "region_name": env["AWS_DEFAULT_REGION"],
    }
    bucket = f"s3://{env['BENCH_BUCKET']}/{env['BENCH_PREFIX']}"
    destination = dlt.destinations.filesystem(bucket_url=bucket, credentials=credentials)
    folder = f"{env['BENCH_SCRATCH']}/{env['BENCH_PREFIX'].replace('/', '-')}"
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="deepset", pipelines_dir=folder)
    pipeline.run(source, loader_file_format="jsonl")
    return 0


if __name__ == "__main__":
    sys.exit(main())
