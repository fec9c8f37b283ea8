"""The tasks that read logs without archiving them."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect_deepset.api.errors import BadRequestError, InvalidInputError, NotFoundError, TooManyRowsError
from prefect_deepset.blocks import DeepsetCredentials
from prefect_deepset.tasks import count_logs, download_logs_csv, fetch_logs, list_pipelines
from prefect_deepset.testing import FakeDeepset, Fault, Faults, even_day, row

pytestmark = pytest.mark.usefixtures("prefect_server")

YESTERDAY: date = datetime.now(UTC).date() - timedelta(days=1)
START = datetime.combine(YESTERDAY, time(), UTC)
END = START + timedelta(days=1)


def reading(task: Any) -> Any:
    """The task without waits between its retries."""
    return task.with_options(retry_delay_seconds=0)


def test_fetch_logs_gives_models_of_the_whole_span_newest_first(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 450))
    logs = reading(fetch_logs)(credentials, "w", "chat", START, END)
    assert {log.log_id for log in logs} == {log_id for log_id, _ in deepset.truth_ids("w", "chat")}
    assert [log.logged_at for log in logs] == sorted((log.logged_at for log in logs), reverse=True)


def test_fetch_logs_reads_several_levels_and_origins(deepset: FakeDeepset, credentials: DeepsetCredentials):
    rows = [row(f"{YESTERDAY}T01:00:{n:02d}Z", level=level, origin=origin)
            for n, (level, origin) in enumerate([("error", "a"), ("info", "a"), ("critical", "b"), ("error", "c")])]
    deepset.add_pipeline("w", "chat", rows)
    logs = reading(fetch_logs)(credentials, "w", "chat", START, END, levels=["error", "critical"], origins=["a", "b"])
    assert [(log.level, log.origin) for log in logs] == [("critical", "b"), ("error", "a")]


def test_more_rows_than_the_cap_are_an_error_and_not_a_cut(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 250))
    assert len(reading(fetch_logs)(credentials, "w", "chat", START, END, max_rows=250)) == 250
    assert len(reading(fetch_logs)(credentials, "w", "chat", START, END, max_rows=sys.maxsize)) == 250
    with pytest.raises(TooManyRowsError, match="249"):
        reading(fetch_logs)(credentials, "w", "chat", START, END, max_rows=249)


@pytest.mark.parametrize("wrong", [{"start": START.replace(tzinfo=None)}, {"start": END}, {"max_rows": 0}, {"max_rows": "5"},
                                   {"max_rows": None}, {"max_rows": 2.5}, {"levels": [""]}, {"levels": [None]}])
def test_bad_input_is_refused_before_anything_is_asked(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                       wrong: dict[str, Any]):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 10))
    with pytest.raises(InvalidInputError):
        reading(fetch_logs)(credentials, "w", "chat", **{"start": START, "end": END, **wrong})
    assert len(deepset.requests) == 0


def test_a_filter_that_the_server_refuses_fails_at_once(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 10))
    with pytest.raises(BadRequestError):
        reading(fetch_logs)(credentials, "w", "chat", START, END, filter="level nonsense 'x'")
    assert len(deepset.requests) == 1


def test_a_pipeline_that_does_not_exist_fails_at_once(deepset: FakeDeepset, credentials: DeepsetCredentials):
    deepset.add_pipeline("w", "chat", [])
    with pytest.raises(NotFoundError, match="nowhere"):
        reading(count_logs)(credentials, "w", "nowhere", START, END)


def test_count_logs_counts_by_level_origin_and_hour(deepset: FakeDeepset, credentials: DeepsetCredentials):
    rows = [row(f"{YESTERDAY}T{hour:02d}:00:00Z", level=level, origin="x")
            for hour, level in enumerate(["INFO", "Error", "fatal"])]
    deepset.add_pipeline("w", "chat", rows)
    counts = reading(count_logs)(credentials, "w", "chat", START, END)
    assert (counts.rows, counts.errors, counts.by_origin) == (3, 2, {"x": 3})
    assert counts.by_hour == {f"{YESTERDAY}T{hour:02d}:00:00Z": 1 for hour in range(3)}


def test_csv_arrives_whole_in_a_file(deepset: FakeDeepset, credentials: DeepsetCredentials, tmp_path: Path):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 350))
    path = reading(download_logs_csv)(credentials, "w", "chat", START, END, tmp_path / "logs.csv")
    with path.open(newline="") as lines:
        found = {(line["log_id"]) for line in csv.DictReader(lines)}
    assert found == {log_id for log_id, _ in deepset.truth_ids("w", "chat")}


def test_a_csv_that_fails_leaves_nothing_behind(deepset: FakeDeepset, credentials: DeepsetCredentials, tmp_path: Path):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 350))
    deepset.faults = Faults(at={2: Fault(status=403)})
    with pytest.raises(Exception, match="403"):
        reading(download_logs_csv)(credentials, "w", "chat", START, END, tmp_path / "logs.csv")
    assert list(tmp_path.iterdir()) == []


def test_each_request_holds_a_slot_of_the_limit_that_the_credentials_name(deepset: FakeDeepset, credentials: DeepsetCredentials,
                                                                          tmp_path: Path):
    deepset.add_pipeline("w", "chat", even_day(f"{YESTERDAY}T00:00:00Z", 250))
    limited = credentials.model_copy(update={"concurrency_limit": "log-tasks"})
    with get_client(sync_client=True) as prefect:
        prefect.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="log-tasks", limit=1))
        held: list[int] = []
        deepset.on_request = lambda _: held.append(prefect.read_global_concurrency_limit_by_name("log-tasks").active_slots)
        assert list_pipelines(limited, "w") == ["chat"]
        assert len(fetch_logs(limited, "w", "chat", START, END)) == count_logs(limited, "w", "chat", START, END).rows == 250
        download_logs_csv(limited, "w", "chat", START, END, tmp_path / "day.csv")
    assert len(held) >= 9
    assert set(held) == {1}
