"""Running one contestant as a process of its own, and what that cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CONTESTANTS = ROOT / "benchmarks" / "contestants"


class Cost(NamedTuple):
    """What a run took, children included."""

    wall: float
    """Seconds from start to end of the process, imports included."""
    cpu: float
    """Seconds, user and system."""
    rss: float
    """Peak resident memory in MiB; of a pipe of several processes, the sum."""
    exit_code: int
    said: dict[str, Any]
    """The last line of standard output, when it was a JSON object."""
    errors: str
    """The end of standard error."""


def run(commands: Sequence[Sequence[str]], environment: Mapping[str, str], timeout: float = 900.0) -> Cost:
    """Runs one command, or several as a pipe, and waits.

    Args:
        commands: each one's standard output is the next one's input.
        environment: added to this process's.
        timeout: seconds after which all are killed.
    """
    env = {**os.environ, **environment}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling every import anew is not what anybody does
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        processes: list[subprocess.Popen[bytes]] = []
        for number, command in enumerate(commands):
            last = number == len(commands) - 1
            process = subprocess.Popen(
                command, env=env, stderr=errors,
                stdin=processes[-1].stdout if processes else subprocess.DEVNULL, stdout=out if last else subprocess.PIPE,
            )
            if processes and (pipe := processes[-1].stdout) is not None:
                pipe.close()  # the reader alone holds it now
            processes.append(process)
        peaks = dict.fromkeys((process.pid for process in processes), 0.0)
        ends: dict[int, tuple[int, Any]] = {}
        while len(ends) < len(processes):
            for process in processes:
                if process.pid not in ends:
                    peaks[process.pid] = peak_memory(process.pid) or peaks[process.pid]
                    if (end := _ended(process)) is not None:
                        ends[process.pid] = end
                    elif time.perf_counter() > started + timeout:
                        process.kill()
            time.sleep(0.005)
        wall = time.perf_counter() - started
        out.seek(0)
        errors.seek(0)
        return Cost(
            wall,
            sum(usage.ru_utime + usage.ru_stime for _, usage in ends.values()),
            sum(peaks.values()),
            next((code for code, _ in ends.values() if code), 0),
            _last_object(out.read()),
            errors.read()[-2000:].decode(errors="replace"),
        )


def peak_memory(pid: int | str = "self") -> float:
    """MiB that a process had in memory at most; 0 when it is gone.

    Not `ru_maxrss`: that begins with the size of the process that started it.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, Any] | None:
    """The exit code and resource usage of a process that has ended; None while it runs."""
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if not pid:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _last_object(output: bytes) -> dict[str, Any]:
    lines = output.splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
