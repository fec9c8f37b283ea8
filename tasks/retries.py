"""When a task is tried again: for errors that are marked transient, and for nothing else.

Single requests are repeated below, in seconds. A task's retries stand for outages of minutes; they show in the Prefect UI, and
what was read before is not read again.
"""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task, exponential_backoff

from ..api.errors import DeepsetError


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the task's error is worth another try. A plain function: Prefect silently never retries for a callable object."""
    error = state.data
    return isinstance(error, DeepsetError) and error.transient


RETRIED: dict[str, Any] = {
    "retries": 3,
    # 20, 40 and 80 seconds, about half of it more or less at random: pipelines do not come back all at once.
    "retry_delay_seconds": exponential_backoff(backoff_factor=20),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_transient,
    # Inputs are blocks and the answer changes with time: there is nothing to cache by.
    "cache_policy": NO_CACHE,
}
"""Options of every task that asks a server."""


def is_last_attempt() -> bool:
    """Whether the running task will not be tried again; True where no task runs."""
    context = TaskRunContext.get()
    return context is None or context.task_run.run_count > context.task.retries
