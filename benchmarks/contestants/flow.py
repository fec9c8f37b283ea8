"""This project as it is used: the flow `archive_daily_logs` against a Prefect server."""

from __future__ import annotations

import os
import sys
from datetime import date

from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs


def main() -> int:
    env = os.environ
    credentials = AwsCredentials(
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_DEFAULT_REGION"],
        aws_client_parameters=AwsClientParameters(endpoint_url=env["BENCH_S3"]),
    )
    archive_daily_logs(
        DeepsetCredentials(api_key=env["BENCH_KEY"], base_url=env["BENCH_URL"]),
        LogArchive(bucket=env["BENCH_BUCKET"], prefix=env["BENCH_PREFIX"], credentials=credentials),
        env["BENCH_WORKSPACE"],
        day=date.fromisoformat(env["BENCH_DAY"]),
        error_threshold=None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
