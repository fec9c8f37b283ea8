"""What the tests of the API room share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect_deepset.api.client import DeepsetClient

from .scripted import ScriptedServer

KEY = "api_" + "k3yMaterialThatNobodyMaySee"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server whose answers the test scripts."""
    with ScriptedServer() as scripted:
        yield scripted


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[DeepsetClient]:
    """A client of that server."""
    with DeepsetClient(KEY, server.url) as deepset:
        yield deepset
