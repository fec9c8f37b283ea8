"""The last minutes of many pipelines, read in few requests and in time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from prefect_deepset.alerts.window_read import SECONDS, WindowRead, read_windows
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.rows import ERROR_LEVELS
from prefect_deepset.api.times import SECOND, parse_instant
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.testing import Behaviour, FakeDeepset, Fault, Faults, row

NOW = "2026-02-01T03:00:00Z"
END = parse_instant(NOW)


@pytest.fixture
def platform() -> Iterator[FakeDeepset]:
    """A platform whose clock moves when a client waits."""
    with FakeDeepset(now=NOW) as fake:
        yield fake


def add(platform: FakeDeepset, name: str, rows: int, errors: int) -> None:
    """So many rows in the last quarter of an hour, the errors among them spread, and older ones."""
    step = 890 * SECOND // max(rows, 1)
    levels = [("ERROR" if n % (rows // errors) == 0 else "info") if errors else "info" for n in range(rows)]
    platform.add_pipeline("w", name, [row(END - SECOND - n * step, level=level, message=f"{name} {n}")
                                      for n, level in enumerate(levels)])
    platform.add_rows("w", name, [row(END - 3600 * SECOND - n, level="info") for n in range(150)])


def read(platform: FakeDeepset, *names: str, **options: object) -> dict[str, WindowRead]:
    with DeepsetClient(platform.api_key, platform.url, clock=platform.now) as client:
        found = read_windows(client, "w", names, 15, ERROR_LEVELS, now=platform.now, sleep=platform.advance, **options)
    return {one.pipeline: one for one in found}


def errors_of(found: dict[str, WindowRead]) -> dict[str, int | None]:
    return {name: one.manifest.errors if one.manifest else None for name, one in found.items()}


@pytest.mark.parametrize(("behaviour", "requests"), [
    (Behaviour(or_filter="honoured"), {"idle": 8, "calm": 1, "small": 1, "noisy": 5, "noisier": 3}),
    (Behaviour(), {"idle": 8, "calm": 1, "small": 1, "noisy": 22, "noisier": 19}),
    (Behaviour(level_case="any"), {"idle": 8, "calm": 1, "small": 1, "noisy": 10, "noisier": 7}),
    (Behaviour(level_filter="ignored", or_filter="ignored"), {"idle": 8, "calm": 1, "small": 1, "noisy": 35, "noisier": 32}),
    (Behaviour(level_filter="400"), {"idle": 8, "calm": 1, "small": 1, "noisy": 34, "noisier": 32}),
])
def test_a_watch_is_cheap_when_calm_and_counts_right_whatever_the_server_makes_of_filters(
    platform: FakeDeepset, behaviour: Behaviour, requests: dict[str, int]
) -> None:
    """An idle pipeline answers 404, which has to be told from one that does not exist; noisy ones have 3,100 rows."""
    platform.behaviour = behaviour
    platform.add_pipeline("w", "idle")
    for name, rows, errors in [("calm", 14, 0), ("small", 90, 30), ("noisy", 3100, 31), ("noisier", 3100, 31)]:
        add(platform, name, rows, errors)
    found = read(platform, *requests, max_concurrency=1)
    assert errors_of(found) == {"idle": 0, "calm": 0, "small": 30, "noisy": 31, "noisier": 31}
    assert not any(one.problem for one in found.values())
    assert Counter(request.pipeline for request in platform.requests) == requests


def test_a_pipeline_that_times_out_delays_the_others_for_three_minutes_at_most(platform: FakeDeepset) -> None:
    def slow(request: object) -> Fault | None:
        if getattr(request, "name", "") != "slow":
            return None
        platform.advance(60)
        return Fault.gateway_timeout()

    both_began, entered = threading.Barrier(2), Counter[int]()

    @contextmanager
    def gate() -> Iterator[None]:
        thread = threading.get_ident()
        entered[thread] += 1
        if entered[thread] == 1:
            both_began.wait(10)
        yield

    for name in ("slow", "bad"):
        add(platform, name, 90, 30)
    platform.faults = Faults(when=slow)
    began = platform.now()
    found = read(platform, "slow", "bad", max_concurrency=2, gate=gate)
    assert platform.now() - began <= 180
    assert errors_of(found) == {"slow": None, "bad": 30}
    assert "time allowed" in found["slow"].problem
    assert "pipeline 'slow'" in found["slow"].problem
    assert not found["bad"].problem


def test_what_was_read_of_a_window_until_the_time_was_over_counts_in_part(platform: FakeDeepset) -> None:
    """The rows that came may fire an alert; a pipeline after it is not asked for at all."""
    add(platform, "slow", 3000, 3000)
    add(platform, "after", 10, 5)
    platform.faults = Faults(when=lambda _request: platform.advance(30))
    began = platform.now()
    found = read(platform, "slow", "after", max_concurrency=1)
    assert platform.now() - began <= SECONDS + 30
    slow = found["slow"].manifest
    assert slow
    assert 400 < slow.errors < 500
    assert (slow.status, [gap.reason for gap in slow.gaps]) == ("open", ["not-over"])
    assert "time allowed" in found["slow"].problem
    assert (found["after"].manifest, bool(found["after"].problem)) == (None, True)
    assert {request.pipeline for request in platform.requests} == {"slow"}


def test_rows_that_fire_can_be_shown_redacted(platform: FakeDeepset) -> None:
    platform.add_pipeline("w", "p", [row(END - SECOND, level="error", message="No answer for jane.doe@example.com")])
    one = read(platform, "p")["p"]
    assert list(one.samples.values()) == ["No answer for [e-mail]"]


def test_no_more_is_shown_of_a_row_than_the_archive_would_keep_of_it(platform: FakeDeepset) -> None:
    """Kinds of exceptions too: they are kept with an alert."""
    thrown = [{"type": "NoSuchCustomer4711", "value": "", "trace": []}]
    platform.add_pipeline("w", "p", [row(END - SECOND, level="error", message="no rights for customer4711"),
                                     row(END - 2 * SECOND, level="error", message="m", exceptions=thrown)])
    one = read(platform, "p", redaction=RedactionPolicy(patterns=[r"(?i)customer\d+"]))["p"]
    assert "no rights for [redacted]" in one.samples.values()
    assert one.manifest
    assert one.manifest.errors == 2
    assert "4711" not in repr(one)


@pytest.mark.parametrize("or_filter", ["honoured", "400"])
def test_each_request_takes_a_slot_of_the_shared_limit(platform: FakeDeepset, or_filter: Literal["honoured", "400"]) -> None:
    platform.behaviour = Behaviour(or_filter=or_filter)
    taken, lock = Counter[str](), threading.Lock()

    @contextmanager
    def gate() -> Iterator[None]:
        with lock:
            taken["slots"] += 1
            yield

    for name in ("one", "two"):
        add(platform, name, 3100, 31)
    read(platform, "one", "two", gate=gate)
    assert taken["slots"] == len(platform.requests) >= 8


def test_a_pipeline_that_does_not_exist_is_named_and_stops_no_other(platform: FakeDeepset) -> None:
    add(platform, "bad", 90, 30)
    found = read(platform, "gone", "bad")
    assert errors_of(found) == {"gone": None, "bad": 30}
    assert "no pipeline of this name" in found["gone"].problem
