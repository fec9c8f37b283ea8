"""Asking again: how often and after which pauses."""

from __future__ import annotations

import pytest
from prefect_deepset.api.again import ATTEMPTS, ask_again
from prefect_deepset.api.errors import RateLimitedError


@pytest.mark.parametrize(("asked", "least"), [(0.0, 0.0), (7.0, 7.0), (10_000.0, 300.0), (None, 0.0)])
def test_a_pause_is_never_shorter_than_asked_for_and_grows_where_nothing_is(asked: float | None, least: float) -> None:
    pauses: list[float] = []

    def refused() -> None:
        raise RateLimitedError("Too many requests.", status=429, retry_after=asked)

    with pytest.raises(RateLimitedError):
        ask_again(refused, pauses.append)
    assert len(pauses) == ATTEMPTS - 1
    assert all(pause >= least for pause in pauses)
    assert sum(pauses) > 0
