"""Servers shared by the whole session. Fixtures of one room only live in that room's own conftest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from .servers.ministack import S3Handle, start_ministack
from .servers.prefect_server import empty_database
from .servers.s3_proxy import S3Proxy
from .servers.swift import find_swift, start_swift

# How long an example takes says something about the machine, not about the code: only `timeout` ends a test.
settings.register_profile("project", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

OUTSIDE_OF_MAKE_TEST = ("slow", "browser", "dask", "swift")
PREFECT_PLACES = ("tests/prefect/", "tests/browser/", "tests/test_docs.py", "tests/test_readme.py")
"""Where tests start Prefect servers and workers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What `make test` does without may take longer."""
    for item in items:
        if any(map(item.get_closest_marker, OUTSIDE_OF_MAKE_TEST)):
            item.add_marker(pytest.mark.timeout(900))


class OnePrefectAtATime(LoadFileScheduling):
    """By file, but what starts Prefect servers as if it were one file.

    On two cores, two servers with their workers at once wait for each other for so long that SQLite gives up on its locks, and
    Prefect drops what it was about to do.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "prefect" if nodeid.startswith(PREFECT_PLACES) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OnePrefectAtATime | None:
    """For `make test-all`, which asks for groups: xdist 3.8 itself finds none with pytest 9, which names tests otherwise."""
    return OnePrefectAtATime(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Handle]:
    """A running S3 server; `s3.bucket()` and `s3.store()` give each test its own bucket."""
    handle = start_ministack(tmp_path_factory.mktemp("s3"))
    yield handle
    handle.server.stop()


@pytest.fixture(scope="session")
def empty_prefect(pytestconfig: pytest.Config) -> Path:
    """The database of a Prefect server in which nothing is yet; each server starts with a copy."""
    return empty_database(pytestconfig.cache.mkdir("prefect-database"))


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
