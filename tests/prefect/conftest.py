"""One Prefect server for all tests of this room, and the blocks they share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from prefect.testing.utilities import prefect_test_harness
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.blocks import LogArchive
from pydantic import SecretStr

from ..servers.ministack import S3Handle


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def archive(s3: S3Handle) -> LogArchive:
    """An archive in a new bucket."""
    return make_archive(s3, s3.bucket())


def make_archive(s3: S3Handle, bucket: str, key: tuple[str, str] | None = None, **options: Any) -> LogArchive:
    """A `LogArchive` block on the test server."""
    return LogArchive(bucket=bucket, credentials=s3_credentials(s3, key), addressing_style="path", **options)


def s3_credentials(s3: S3Handle, key: tuple[str, str] | None = None, endpoint_url: str | None = None) -> AwsCredentials:
    """What a user of an S3-compatible store would fill in."""
    access_key, secret_key = key or (s3.access_key, s3.secret_key)
    return AwsCredentials(aws_access_key_id=access_key, aws_secret_access_key=SecretStr(secret_key), region_name="us-east-1",
                          aws_client_parameters=AwsClientParameters(endpoint_url=endpoint_url or s3.endpoint_url))
