"""Servers shared by the whole session. Fixtures of one room only live in that room's own conftest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .servers.ministack import S3Handle, start_ministack
from .servers.s3_proxy import S3Proxy
from .servers.swift import find_swift, start_swift


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Handle]:
    """A running S3 server; `s3.bucket()` and `s3.store()` give each test its own bucket."""
    handle = start_ministack(tmp_path_factory.mktemp("s3"))
    yield handle
    handle.server.stop()


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Handle]:
    """OpenStack Swift, with the same handle; tests that ask for it are marked `swift`."""
    commands = find_swift()
    if commands is None:
        pytest.skip("OpenStack Swift is not installed: `make .venv-swift/.installed`")
    handle = start_swift(tmp_path_factory.mktemp("swift"), commands)
    yield handle
    handle.server.stop()


@pytest.fixture
def s3_proxy(s3: S3Handle) -> Iterator[S3Proxy]:
    """A proxy before that server, which makes faults by `s3_proxy.rule`; `s3.store(endpoint_url=s3_proxy.endpoint_url)`."""
    client = s3.client()
    with S3Proxy(s3.endpoint_url, client) as proxy:
        yield proxy
    client.close()
