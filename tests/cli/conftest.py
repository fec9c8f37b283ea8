"""An archive of the last days in a real bucket, and the command line as a user calls it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pytest
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.manifest import Gap
from prefect_deepset.archive.store import S3Store
from prefect_deepset.cli.main import main

from ..archive.built_archive import put_day
from ..archive.log_rows import plain_rows
from ..servers.ministack import S3Handle

WORKSPACE = "my workspace"
CHAT, SEARCH = LogSource(WORKSPACE, "chat"), LogSource(WORKSPACE, "search/prod")
DOCUMENTS = LogSource(WORKSPACE, "documents", "index")


class Ran(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def days_ago(number: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=number)


@pytest.fixture(autouse=True)
def only_our_environment(monkeypatch: pytest.MonkeyPatch, s3: S3Handle):
    """Nothing of this machine's settings, and the S3 server's as a user would have them."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DEEPSET_", "PREFECT_API")) or name in {"API_KEY", "API_URL", "DEFAULT_WORKSPACE_NAME"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line."""
    def call(*words: str) -> Ran:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture(scope="module")
def archive(s3: S3Handle) -> S3Store:
    """Two pipelines and an index; of `chat` one day has a hole, of `search/prod` one day is missing."""
    store = s3.store(prefix="logs")
    for number in (4, 3, 2, 1):
        day = days_ago(number)
        hole = [Gap(start=f"{day}T10:00:00Z", end=f"{day}T11:00:00Z", reason="gateway-timeout")]
        put_day(store, CHAT, day, [[plain_rows(100 + number, day)]], gaps=hole if number == 3 else [],
                status="open" if number == 3 else "sealed")
        if number != 3:
            put_day(store, SEARCH, day, [[plain_rows(10, day, seed=1)]])
    put_day(store, DOCUMENTS, days_ago(2), [[plain_rows(5, days_ago(2), seed=2)]], ended=True)
    return store


@pytest.fixture
def place(archive: S3Store) -> list[str]:
    """The options that name it."""
    return ["--bucket", archive.bucket, "--prefix", "logs"]
