"""Is there a Prefect server to set up?"""

from __future__ import annotations

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import get_current_settings

from ..api.errors import InvalidInputError


def check_server() -> str:
    """The API's URL, once it has answered.

    Raises:
        InvalidInputError: none is set (a temporary server would forget everything at once), or it does not answer.
    """
    url = get_current_settings().api.url
    if not url:
        raise InvalidInputError("No Prefect server is set.", "Start one with `prefect server start`, and say where it is with "
                                "`prefect config set PREFECT_API_URL=http://127.0.0.1:4200/api`.")
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    if error is not None:
        reason = type(error).__name__ if not isinstance(error, httpx.HTTPStatusError) else f"HTTP {error.response.status_code}"
        raise InvalidInputError(f"The Prefect server at {url} does not answer ({reason}).",
                                "Start it, or correct PREFECT_API_URL.")
    return url
