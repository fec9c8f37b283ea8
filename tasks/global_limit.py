"""A limit that others share: a global concurrency limit or rate limit kept by the Prefect server."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.exceptions import ObjectNotFound

from ..api.client import DeepsetClient
from ..api.errors import InvalidInputError
from ..blocks import DeepsetCredentials
from .given import check_block


def limited_client(credentials: DeepsetCredentials) -> DeepsetClient:
    """A client whose every request takes a slot of the limit that the credentials name: for what asks without a `Budget`.

    Raises:
        InvalidInputError: there is no such limit, or these are no credentials.
    """
    check_block(credentials, DeepsetCredentials, "credentials")
    limit = credentials.concurrency_limit
    return credentials.get_client(gate=limit_gate(limit) if limit else None)


def limit_gate(name: str) -> Callable[[], AbstractContextManager[None]]:
    """What to enter around each request: waits for a slot of the limit `name`, and gives it back where slots do not decay.

    Raises:
        InvalidInputError: there is no such limit. Prefect itself would let everything pass.
    """
    try:
        with get_client(sync_client=True) as client:
            decays = client.read_global_concurrency_limit_by_name(name).slot_decay_per_second > 0
    except ObjectNotFound:
        raise InvalidInputError(f"There is no global concurrency limit {name!r}.", "Create it (`prefect gcl create`), or empty "
                                "the field in the deepset-credentials block.") from None
    here = copy_context()  # requests are made in threads, which know nothing of this run's Prefect settings

    @contextmanager
    def gate() -> Generator[None]:
        context = here.copy()
        if decays:
            context.run(rate_limit, name, strict=True)
            yield
            return
        held = concurrency(name, strict=True)
        context.run(held.__enter__)
        try:
            yield
        finally:
            context.run(held.__exit__, None, None, None)

    return gate
