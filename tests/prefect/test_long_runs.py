"""What a run shows while it takes long, and the limits it shares with others."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.archive.day import Progress
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
from prefect_deepset.tasks.progress import LongRead
from prefect_deepset.testing import FakeDeepset, Faults, even_day

pytestmark = pytest.mark.usefixtures("prefect_server")

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


def make_limit(name: str, limit: int, decay: float = 0.0) -> None:
    with get_client(sync_client=True) as client:
        wanted = GlobalConcurrencyLimitCreate(name=name, limit=limit, slot_decay_per_second=decay)
        client.create_global_concurrency_limit(wanted)


@pytest.mark.parametrize(("name", "decay"), [("deepset-slots", 0.0), ("deepset-rate", 50.0)])
def test_a_global_limit_is_honoured(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive, name: str,
                                    decay: float):
    make_limit(name, 1, decay)
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 700))
    deepset.faults = Faults(latency=0.01)
    limited = credentials.model_copy(update={"concurrency_limit": name})
    began = datetime.now(UTC)
    manifest, = archive_daily_logs(limited, archive, "w", day=YESTERDAY, max_concurrency=8)
    took = (datetime.now(UTC) - began).total_seconds()
    assert manifest.rows == 700
    if decay:
        assert took >= (manifest.requests - 1) / decay
    else:
        assert deepset.in_flight_max == 1


def test_a_global_limit_that_is_not_there_is_named(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive):
    deepset.add_pipeline("w", "chat", [])
    limited = credentials.model_copy(update={"concurrency_limit": "nowhere"})
    with pytest.raises(InvalidInputError, match="nowhere"):
        archive_daily_logs(limited, archive, "w", day=YESTERDAY)
    assert deepset.counters["pages"] == 0


def test_a_short_read_shows_nothing_and_a_long_one_its_progress_every_half_minute(caplog: pytest.LogCaptureFixture):
    time = [0.0]
    shown: list[int] = []

    @flow
    def reading() -> None:
        read = LongRead("chat 2026-03-14", logging.getLogger("prefect_deepset.test"), clock=lambda: time[0])
        for second in range(0, 125, 5):
            time[0] = float(second)
            before = len(caplog.records)
            read(Progress(second * 100, second, 1, second / 125))
            if any(record.name == "prefect_deepset.test" for record in caplog.records[before:]):
                shown.append(second)
        read.done()

    with caplog.at_level(logging.INFO, "prefect_deepset.test"):
        reading()
    assert shown == [60, 90, 120]
    assert "chat 2026-03-14: 9000 rows, 100 a second, 72 % of the span; 90 requests, 1 of them repeated." in caplog.text
    with get_client(sync_client=True) as client:
        artifacts = [one for one in client.read_artifacts()
                     if one.type == "progress" and "chat 2026-03-14" in (one.description or "")]
    assert [float(str(one.data)) for one in artifacts] == [100.0]
