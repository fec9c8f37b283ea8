"""The same flow on other engines: what travels between tasks is small and pickles, and every engine archives the same."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cloudpickle
import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_deepset.api.errors import DeepsetError
from prefect_deepset.archive.manifest import Manifest
from prefect_deepset.blocks import AlertRules, DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
from prefect_deepset.tasks.alerts import Told
from prefect_deepset.tasks.archive import archive_day
from prefect_deepset.tasks.plan import Failure, Plan, PlannedDay
from prefect_deepset.testing import FakeDeepset, Fault, Faults, even_day

from ..alerts.days import archived
from ..servers.ministack import S3Handle

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
SMALL = 16 * 1024
"""Bytes that one thing may have on its way to a worker process or back, however large the day."""


def subclasses(kind: type[DeepsetError]) -> Iterator[type[DeepsetError]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("prefect_deepset."):
            yield below
            yield from subclasses(below)


@pytest.fixture
def engines(deepset: FakeDeepset, credentials: DeepsetCredentials, archive: LogArchive) -> dict[str, Any]:
    """Three pipelines of a platform that other processes reach too."""
    for number in range(3):
        deepset.add_pipeline("w", f"p{number}", even_day(f"{YESTERDAY}T00:00:00Z", 400, seed=number))
    return {"credentials": credentials, "archive": archive, "workspace": "w", "day": YESTERDAY, "error_threshold": None}


def test_everything_that_travels_between_tasks_pickles_and_is_small(credentials: DeepsetCredentials, archive: LogArchive):
    day = PlannedDay("chat", YESTERDAY)
    failure = Failure("chat", YESTERDAY, "a problem")
    manifest = archived(1, errors=5, rows=10_000_000)
    for thing in [credentials, archive, AlertRules(), manifest, day, failure, Plan([day], [failure]), Told([], ["a problem"])]:
        carried = cloudpickle.dumps(thing)
        assert len(carried) < SMALL, type(thing)
        assert cloudpickle.loads(carried) == thing


def test_tasks_pickle_without_anything_that_is_open():
    assert cloudpickle.loads(cloudpickle.dumps(archive_day)).name == archive_day.name


@pytest.mark.parametrize("kind", [DeepsetError, *subclasses(DeepsetError)])
def test_every_error_comes_back_as_it_went(kind: type[DeepsetError]):
    """Dask waits forever for an exception that does not unpickle."""
    error = kind("a problem", "some advice", "somewhere")
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.transient) == (kind, str(error), error.transient)


@pytest.mark.usefixtures("prefect_server")
def test_a_wider_thread_pool_archives_the_same(engines: dict[str, Any], deepset: FakeDeepset):
    wide = archive_daily_logs.with_options(task_runner=ThreadPoolTaskRunner(max_workers=24))
    assert rows_of(wide(**engines)) == {"p0": 400, "p1": 400, "p2": 400}


@pytest.mark.dask
@pytest.mark.filterwarnings("default")  # of Dask's and tornado's own
@pytest.mark.usefixtures("prefect_server")
def test_dask_archives_in_other_processes_and_hands_errors_back(engines: dict[str, Any], deepset: FakeDeepset, s3: S3Handle):
    dask = pytest.importorskip("prefect_dask")
    cluster = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": None, "host": "127.0.0.1"}
    flow = archive_daily_logs.with_options(task_runner=dask.DaskTaskRunner(cluster_kwargs=cluster))
    manifests = flow(**engines)
    assert rows_of(manifests) == {"p0": 400, "p1": 400, "p2": 400}
    for manifest in manifests:
        assert all(s3.read(engines["archive"].bucket, file.key) for file in manifest.files)

    deepset.faults = Faults(when=lambda request: Fault(status=403) if request.name == "p1" else None)
    with pytest.raises(DeepsetError, match="p1"):
        flow(**engines, reread=True)


def rows_of(manifests: list[Manifest]) -> dict[str, int]:
    return {manifest.source.pipeline: manifest.rows for manifest in manifests}
