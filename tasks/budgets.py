"""One budget of concurrent requests for all tasks of a flow run in this process.

Tasks get plain numbers, since a budget holds locks and cannot travel to another process. Under Dask each worker process has a
budget of its own, with the same ceiling.
"""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from prefect.runtime import flow_run

from ..api.budget import Budget

_budgets: WeakValueDictionary[str, Budget] = WeakValueDictionary()
_lock = threading.Lock()


def run_budget(max_concurrency: int) -> Budget:
    """The budget of the current flow run; a new one where no flow runs.

    It lives as long as somebody holds it. Tasks of one run that name different ceilings have different budgets.

    Raises:
        InvalidInputError: `max_concurrency` is below 1.
    """
    run_id = flow_run.id
    if not run_id:
        return Budget(max_concurrency)
    key = f"{run_id} {max_concurrency}"
    with _lock:
        budget = _budgets.get(key)
        if budget is None:
            budget = _budgets[key] = Budget(max_concurrency)
        return budget
