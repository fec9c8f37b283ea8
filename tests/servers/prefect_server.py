"""What the tests' Prefect servers begin with: settings, and a database made once, as its migrations take the longest."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import prefect

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # No run but those that a test starts, also when its clock says that one is due.
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    # The server's and the worker's own patience, which is minutes otherwise: tests do not wait for it.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "0.1",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    # A busy machine is slow, not broken.
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
}
"""Environment variables for a server and its worker."""

NAME = "prefect.db"
"""As a server expects it in its `PREFECT_HOME`."""


def empty_database(cache: Path) -> Path:
    """Prefect's own migrations of an empty database, kept in `cache` for this version; other processes wait for the first."""
    database = cache / prefect.__version__ / NAME
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            _migrate(cache / "unfinished")
            database.parent.mkdir(exist_ok=True)
            (cache / "unfinished" / NAME).rename(database)
    return database


def _migrate(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = kept | SETTINGS | {"PREFECT_HOME": str(home)}
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert sorted(home.glob(f"{NAME}*")) == [home / NAME], "a write-ahead log is left, which would have to be copied too"
