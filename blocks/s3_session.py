"""An S3 client from the AWS or MinIO credentials that Prefect users already have.

prefect-aws caches its clients, and what it gets for an assumed role cannot be refreshed: a run that outlives the role's
session would fail half-way. So the block gives the settings, and the client is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.client import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from prefect_aws import AwsCredentials, MinIOCredentials

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _AssumedRole(CredentialProvider):
    METHOD = "assume-role"

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> DeferredRefreshableCredentials:
        return self._credentials


def make_session(credentials: AwsCredentials | MinIOCredentials) -> boto3.Session:
    """A session; where a role is to be assumed, one that assumes it on first use and again before its time is over."""
    if isinstance(credentials, MinIOCredentials) or not credentials.assume_role_arn:
        return credentials.get_boto3_session()
    role_arn = credentials.assume_role_arn
    options = {"RoleSessionName": "prefect-deepset", **credentials.assume_role_kwargs.get_params_override()}
    base = credentials.model_copy(update={"assume_role_arn": None}).get_boto3_session()

    def assume() -> dict[str, str]:
        given = base.client("sts").assume_role(RoleArn=role_arn, **options)["Credentials"]
        return {"access_key": given["AccessKeyId"], "secret_key": given["SecretAccessKey"], "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat()}

    role = DeferredRefreshableCredentials(refresh_using=assume, method="sts-assume-role")
    core = botocore.session.get_session()
    core.register_component("credential_provider", CredentialResolver([_AssumedRole(role)]))
    return boto3.Session(botocore_session=core, region_name=credentials.region_name)


def make_client(credentials: AwsCredentials | MinIOCredentials, config: Config) -> S3Client:
    """A new S3 client. `config` is the archive's; what the credentials block's own client parameters say wins over it."""
    parameters = credentials.aws_client_parameters.get_params_override()
    own = parameters.pop("config", None)
    return make_session(credentials).client("s3", config=config.merge(own) if own is not None else config, **parameters)
