"""A Prefect server and a worker as processes of their own, set up with the commands that the README gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prefect_deepset.testing.s3_server import free_port

from ..servers.prefect_server import SETTINGS

ROOT = Path(__file__).parents[2]
READY_SECONDS = 240.0
STOP_SECONDS = 20.0
_TRIES = 5

COMMANDS = [
    ["block", "register", "-m", "prefect_deepset.blocks"],
    ["work-pool", "create", "deepset", "--type", "process"],
    ["deploy", "--all", "--prefect-file", "deployments/prefect.yaml"],
]
# In one process: each takes many times longer to start than to run.
RUN_COMMANDS = """
import json, sys
from prefect.cli import app
for command in json.load(sys.stdin):
    sys.argv = ["prefect", "--no-prompt", *command]
    try:
        app()
    except SystemExit as end:
        if end.code:
            raise
"""


class PrefectStage:
    """`prefect server start`, and after `set_up` a worker and what it needs, until the end of `with`.

    Args:
        folder: for the server's database, results and logs.
        database: what the server's begins as.
        environment: more variables for the worker.
    """

    def __init__(self, folder: Path, database: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        (folder / "home").mkdir()
        shutil.copy(database, folder / "home")
        self.url = f"http://127.0.0.1:{free_port()}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_", "DEEPSET_"))}
        self._environment = inherited | environment | SETTINGS | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": f"{self.url}/api",
        }
        self._running: list[subprocess.Popen[bytes]] = []
        self.api = httpx.Client(base_url=f"{self.url}/api", timeout=90, trust_env=False)

    def __enter__(self) -> Self:
        self._start("server", "server", "start", "--host", "127.0.0.1", "--port", self.url.rpartition(":")[2])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def set_up(self) -> None:
        """Waits for the server, registers the blocks, deploys everything and starts a worker."""
        self._wait_for(self._running[0])
        done = subprocess.run([sys.executable, "-c", RUN_COMMANDS], input=json.dumps(COMMANDS), cwd=ROOT, env=self._environment,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=READY_SECONDS, check=False)
        assert done.returncode == 0, done.stdout
        self._start("worker", "worker", "start", "--pool", "deepset")

    def post(self, path: str, **body: Any) -> Any:
        """What the server's API answers; when its database is busy it says 503, and is asked again as Prefect's client does."""
        for _ in range(_TRIES):
            answer = self.api.post(path, json=body)
            if answer.status_code != 503:
                break
        return answer.raise_for_status().json()

    def save_block(self, slug: str, name: str, data: Mapping[str, Any]) -> None:
        """Saves a block document of a registered type, as another program would."""
        kind = self.api.get(f"/block_types/slug/{slug}").raise_for_status().json()
        [schema, *_] = self.post("/block_schemas/filter", block_schemas={"block_type_id": {"any_": [kind["id"]]}})
        self.post("/block_documents/", name=name, data=dict(data), block_type_id=kind["id"], block_schema_id=schema["id"])

    def block_data(self, slug: str, name: str) -> dict[str, Any]:
        """A block document's data as the UI gets it."""
        return self.api.get(f"/block_types/slug/{slug}/block_documents/name/{name}").raise_for_status().json()["data"]

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By name."""
        return {found["name"]: found for found in self.post("/deployments/filter")}

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running.append(subprocess.Popen(
                [sys.executable, "-m", "prefect", "--no-prompt", *arguments], cwd=ROOT, env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))

    def _wait_for(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if self.api.get("/health").is_success:
                    return
            except httpx.TransportError:
                threading.Event().wait(0.1)
        raise AssertionError(f"The Prefect server did not start:\n{(self.folder / 'server.log').read_text()[-3000:]}")

    def _stop(self) -> None:
        self.api.close()
        for process in reversed(self._running):  # the worker first: it tells the server that it goes
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

