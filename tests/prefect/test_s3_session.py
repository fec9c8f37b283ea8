"""S3 clients from the credentials blocks that users have."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from prefect_aws import AwsClientParameters, AwsCredentials, MinIOCredentials
from prefect_aws.assume_role_parameters import AssumeRoleParameters
from prefect_deepset.archive.store import s3_config
from prefect_deepset.blocks import LogArchive
from prefect_deepset.blocks.s3_session import make_client, make_session
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .conftest import s3_credentials


def allowing(action: str) -> dict[str, Any]:
    """A policy that lets its user do this to everything."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


def test_an_assumed_role_is_assumed_again_when_its_time_runs_out(s3: S3Handle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.endpoint_url)
    # A session of fifteen minutes is so short that the SDK renews it at every look.
    role = AssumeRoleParameters(RoleSessionName="archive", DurationSeconds=900)
    user = s3.user(allowing("*"))
    iam = boto3.client("iam", endpoint_url=s3.endpoint_url, region_name="us-east-1", aws_access_key_id=user.access_key,
                       aws_secret_access_key=user.secret_key)
    trust = {**allowing("sts:AssumeRole")["Statement"][0], "Principal": {"AWS": "*"}}
    del trust["Resource"]
    iam.create_role(RoleName="archive", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    credentials = s3_credentials(s3, user).model_copy(update={"assume_role_arn": "arn:aws:iam::000000000000:role/archive",
                                                             "assume_role_kwargs": role})
    found = make_session(credentials).get_credentials()
    assert found is not None
    first, second = found.get_frozen_credentials(), found.get_frozen_credentials()
    assert first.token
    assert (first.access_key, first.token) != (second.access_key, second.token)
    assert first.access_key != user.access_key


def test_no_role_is_assumed_until_the_first_request():
    credentials = AwsCredentials(aws_access_key_id="a", aws_secret_access_key=SecretStr("b"), region_name="us-east-1",
                                 assume_role_arn="arn:aws:iam::000000000000:role/archive")
    LogArchive(bucket="logs", credentials=credentials).make_s3_client()


def test_minio_credentials_write_and_read(s3: S3Handle):
    bucket = s3.bucket()
    minio = MinIOCredentials(minio_root_user=s3.access_key, minio_root_password=SecretStr(s3.secret_key),
                             region_name="us-east-1", aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint_url))
    LogArchive(bucket=bucket, credentials=minio, addressing_style="path").check()


def test_what_the_credentials_block_configures_wins_and_the_rest_is_the_archives(s3: S3Handle):
    credentials = s3_credentials(s3)
    credentials.aws_client_parameters.config = {"read_timeout": 7}
    config = make_client(credentials, s3_config("when_required", "path")).meta.config
    assert config.read_timeout == 7  # type: ignore[attr-defined]
    assert config.s3 == {"addressing_style": "path"}  # type: ignore[attr-defined]
