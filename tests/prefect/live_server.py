"""A Prefect server as a user starts it, and a worker: each in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from prefect_deepset.alerts.events import Event
from prefect_deepset.testing.s3_server import free_port

from ..servers.prefect_server import SETTINGS

Found = TypeVar("Found")
PATIENCE = 300.0
"""Seconds. Of use only where something is broken: with five other processes on each core all comes within a minute or two."""


class LiveServer:
    """A running server on a free port, in `folder`, which begins with a copy of `database`."""

    def __init__(self, folder: Path, database: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/api"
        self.folder = folder
        shutil.copy(database, folder)
        self._processes: list[tuple[subprocess.Popen[bytes], Any]] = []
        self._start("server", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        with self.client() as client:
            self.wait_for(lambda: client.api_healthcheck() is None)

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to use this server."""
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("PREFECT_API", "PREFECT_SERVER_DATABASE", "PREFECT_PROFILES"))}
        return inherited | SETTINGS | {
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.folder),
            "PREFECT_DEEPSET_SPOOL": str(self.folder / "spool"),
            "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",  # a minute otherwise
            # A run that waits for a busy machine is not late: less to lock the database for.
            "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        }

    def start_worker(self, pool: str) -> None:
        """A worker for the pool, until the server stops."""
        self._start("worker", "worker", "start", "--pool", pool, "--limit", "2")

    def _start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "prefect", *arguments]
        process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        self._processes.append((process, log))

    def stop(self) -> None:
        """Ends what was started."""
        for process, log in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()

    @contextmanager
    def settings(self) -> Iterator[None]:
        """What runs inside uses this server."""
        with temporary_settings({PREFECT_API_URL: self.url, PREFECT_HOME: self.folder}):
            yield

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """A client of this server."""
        with self.settings(), get_client(sync_client=True) as client:
            yield client

    def wait_for(self, look: Callable[[], Found], seconds: float = PATIENCE) -> Found:
        """What `look` gives, once that is something."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, f"nothing came in {seconds} s:\n{self.log_tail()}"
            threading.Event().wait(0.2)
        return found

    def log_tail(self) -> str:
        """What server and worker said last."""
        return "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.log")))

    def emit(self, event: Event, **labels: str) -> None:
        """Posts one of the project's events, as a flow would emit it; `labels` are put in the place of its own."""
        occurred = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = {**event._asdict(), "id": str(event.id), "resource": {**event.resource, **labels},
                "occurred": occurred, "related": []}
        with self.client() as client:
            client._client.post("/events", json=[body]).raise_for_status()

    def runs_of(self, deployment: str) -> list[FlowRun]:
        """The runs of a deployment of this name, in the order of their creation."""
        with self.client() as client:
            chosen = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
            return sorted(client.read_flow_runs(deployment_filter=chosen), key=lambda run: str(run.created))

    def finished(self, run_id: UUID) -> FlowRun:
        """The run, once it is over."""
        with self.client() as client:
            def look() -> FlowRun | None:
                run = client.read_flow_run(run_id)
                return run if run.state and run.state.is_final() else None

            return self.wait_for(look)
