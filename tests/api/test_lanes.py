"""Each request under way has a lane, a connection of its own; lanes are used again, and no more are opened than needed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prefect_deepset.api.lanes import Lanes
from prefect_deepset.testing import FakeDeepset, Fault, Faults, even_day


class Made:
    """Counts the transports that are made."""

    def __init__(self) -> None:
        self.transports: list[httpx.HTTPTransport] = []

    def __call__(self) -> httpx.HTTPTransport:
        self.transports.append(httpx.HTTPTransport())
        return self.transports[-1]


@pytest.fixture
def server() -> Iterator[FakeDeepset]:
    with FakeDeepset(now="2026-03-03T01:00:00Z") as fake:
        fake.add_pipeline("ws", "p", even_day("2026-03-02T00:00:00Z", 300))
        yield fake


def request(server: FakeDeepset) -> httpx.Request:
    url = f"{server.url}/api/v1/workspaces/ws/pipelines/p/logs?limit=100"
    return httpx.Request("GET", url, headers={"Authorization": f"Bearer {server.api_key}"})


def test_requests_one_after_another_share_one_lane(server: FakeDeepset) -> None:
    made = Made()
    lanes = Lanes(made)
    for _ in range(5):
        response = lanes.handle_request(request(server))
        assert len(response.read()) > 1000
        response.close()
    assert len(made.transports) == 1
    lanes.close()


def test_requests_at_once_have_a_lane_each_and_leave_it_for_the_next(server: FakeDeepset) -> None:
    made = Made()
    lanes = Lanes(made)
    for _ in range(2):
        responses = [lanes.handle_request(request(server)) for _ in range(4)]
        bodies = {response.read() for response in responses}
        for response in responses:
            response.close()
            response.close()  # closing twice gives a lane back once
        assert len(bodies) == 1
        assert len(made.transports) == 4
    lanes.close()


def test_a_request_that_fails_gives_its_lane_back(server: FakeDeepset) -> None:
    made = Made()
    lanes = Lanes(made)
    server.faults = Faults(at={1: Fault(reset=True), 2: Fault(cut=0.5)})
    with pytest.raises(httpx.RemoteProtocolError):
        lanes.handle_request(request(server))
    response = lanes.handle_request(request(server))
    with pytest.raises(httpx.RemoteProtocolError):
        response.read()
    response.close()
    response = lanes.handle_request(request(server))
    assert response.status_code == 200
    response.read()
    response.close()
    assert len(made.transports) == 1
    lanes.close()
