"""One budget of concurrent requests for all tasks of a flow run in this process.

Tasks get plain numbers, since a budget holds locks and cannot travel to another process. Under Dask each worker process has a
budget of its own, with the same ceiling.
"""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from prefect.runtime import flow_run

from ..api.budget import Budget
from .global_limit import limit_gate

_budgets: WeakValueDictionary[str, Budget] = WeakValueDictionary()
_lock = threading.Lock()


def run_budget(max_concurrency: int, limit: str | None = None) -> Budget:
    """The budget of the current flow run; a new one where no flow runs.

    It lives as long as somebody holds it. Tasks of one run that name different ceilings have different budgets.

    Args:
        max_concurrency: requests under way at once, at most.
        limit: the name of a global concurrency limit that each request takes a slot of as well.

    Raises:
        InvalidInputError: `max_concurrency` is below 1, or there is no such limit.
    """
    run_id = flow_run.id
    if not run_id:
        return _new_budget(max_concurrency, limit)
    key = f"{run_id} {max_concurrency} {limit or ''}"
    with _lock:
        budget = _budgets.get(key)
        if budget is None:
            budget = _budgets[key] = _new_budget(max_concurrency, limit)
        return budget


def _new_budget(max_concurrency: int, limit: str | None) -> Budget:
    return Budget(max_concurrency, limit_gate(limit) if limit else None)
