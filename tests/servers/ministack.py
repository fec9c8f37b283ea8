"""The S3 server of the tests: an emulator that checks signatures, policies, checksums and conditions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prefect_deepset.archive.store import S3Store, s3_config
from prefect_deepset.testing.s3_server import AccessKey, EmbeddedS3

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client


def no_sleep(_seconds: float) -> None:
    """Tests do not wait."""


class S3Server(Protocol):
    """What a server must offer to be behind a handle."""

    endpoint_url: str
    access_key: str
    secret_key: str

    def stop(self) -> None:
        """Ends it."""
        ...

    def client(self, key: AccessKey | None = None, *, endpoint_url: str | None = None, base: Config | None = None,
               **config: Any) -> S3Client:
        """A new client; `config` are botocore `Config` arguments, which win over those of `base`."""
        ...


class S3Handle:
    """One running S3 server and short ways to what tests need of it."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.endpoint_url = server.endpoint_url
        self.access_key = server.access_key
        self.secret_key = server.secret_key
        self._client = server.client()

    def client(self, key: AccessKey | None = None, *, endpoint_url: str | None = None, base: Config | None = None,
               **config: Any) -> S3Client:
        """A new client; `config` are botocore `Config` arguments, which win over those of `base`."""
        return self.server.client(key, endpoint_url=endpoint_url, base=base, **config)

    def bucket(self, name: str | None = None, **options: Any) -> str:
        """A new, empty bucket; its name."""
        name = name or f"bucket-{secrets.token_hex(6)}"
        self._client.create_bucket(Bucket=name, **options)
        return name

    def user(self, policy: Mapping[str, Any]) -> AccessKey:
        """A new IAM user who may do only what `policy` says."""
        if not isinstance(self.server, EmbeddedS3):
            raise TypeError("Only the emulator knows users and policies.")
        return self.server.add_user(f"user-{secrets.token_hex(6)}", policy)

    def store(self, bucket: str | None = None, prefix: str = "", *, key: AccessKey | None = None,
              endpoint_url: str | None = None, attempts: int = 2, **options: Any) -> S3Store:
        """A store whose own waits have no length, in a new bucket unless one is named; botocore waits up to 1 s."""
        client = self.client(key, endpoint_url=endpoint_url, base=s3_config(),
                             retries={"mode": "standard", "total_max_attempts": attempts})
        return S3Store(client, bucket or self.bucket(), prefix, **{"sleep": no_sleep, **options})

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Every key in the bucket but the write check's."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [item.get("Key", "") for page in pages for item in page.get("Contents", [])]
        return [key for key in keys if not key.endswith(".write-check")]

    def read(self, bucket: str, key: str) -> bytes:
        """An object's bytes."""
        return self._client.get_object(Bucket=bucket, Key=key)["Body"].read()


def start_ministack(directory: Path) -> S3Handle:
    """Starts a server; the caller ends it with ``handle.server.stop()``."""
    return S3Handle(EmbeddedS3(directory).start())
