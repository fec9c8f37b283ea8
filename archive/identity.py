"""Whose logs they are: asked of the platform, and held against the archive, before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..api.again import ask_within
from ..api.budget import Budget
from ..api.client import DeepsetClient
from ..api.errors import (
    DeepsetError,
    NotFoundError,
    PermissionDeniedError,
    PipelineNotFoundError,
    ResponseError,
)
from ..api.sources import LogSource
from . import chain
from .chain import StoredManifest
from .errors import ClockError, IdentityError, ManifestError
from .manifest import Source
from .objects import ObjectStore

MOST_CLOCK_SKEW = 300.0
"""Seconds this machine's clock may differ from the API's."""


class Identity(NamedTuple):
    """The source as a manifest names it."""

    source: Source
    gone: bool
    """Whether the pipeline no longer exists. Of an index this is not known before its logs are asked for."""


def identify(
    client: DeepsetClient,
    source: LogSource,
    archived: Source | None,
    known_here: Callable[[], bool],
    budget: Budget,
    sleep: Callable[[float], None] | None = None,
) -> Identity:
    """What the platform says of the source.

    Args:
        client: of the platform.
        source: what is asked for.
        archived: what the archive says of it.
        known_here: whether the archive holds it, so that it may have ended; asked only when it does not exist.
        budget: limits the requests under way.
        sleep: pauses between tries; None for real time.

    Raises:
        ClockError: this machine's clock is wrong.
        IdentityError: the archive belongs to another host or workspace.
        PipelineNotFoundError: a pipeline that neither exists nor was archived.
        ApiError: no answer, or another one.
    """
    try:
        workspaces = {found.name: found.workspace_id for found in ask_within(budget, client.workspaces, sleep)}
    except (NotFoundError, PermissionDeniedError):  # the key may not list them: then there is no id to compare
        workspaces = {}
    _check_clock(client, source)
    pipeline_id, gone = None, False
    if source.kind == "pipeline":
        try:
            pipeline_id = _pipeline_id(client, source, budget, sleep)
        except PipelineNotFoundError:
            if not known_here():
                raise  # a wrong name, not a pipeline that ended
            gone = True
            if archived is not None and archived.pipeline == source.name:
                pipeline_id = archived.pipeline_id  # it is that one whose end is told
    mine = Source(
        host=client.host,
        workspace=source.workspace,
        workspace_id=workspaces.get(source.workspace),
        pipeline=source.name,
        pipeline_id=pipeline_id,
        kind=source.kind,
    )
    if archived is not None:
        _check_same(source, mine, archived)
    return Identity(mine, gone)


def gone_since(client: DeepsetClient, source: LogSource, before: Source, budget: Budget,
               sleep: Callable[[float], None] | None = None) -> bool:
    """Whether a pipeline was deleted since it was identified as `before`. False where the platform does not say.

    Raises:
        ResponseError: it was made again under its name.
    """
    if source.kind != "pipeline":
        return False  # of an index, the read itself shows it
    try:
        now = _pipeline_id(client, source, budget, sleep)
    except PipelineNotFoundError:
        return True
    except DeepsetError:
        return False  # a read that is whole is not given up for this
    if before.pipeline_id and now not in {None, before.pipeline_id}:
        raise ResponseError("The pipeline was made again under its name while it was read.", "", str(source))
    return False


def _pipeline_id(client: DeepsetClient, source: LogSource, budget: Budget, sleep: Callable[[float], None] | None) -> str | None:
    """The pipeline's id.

    Raises:
        PipelineNotFoundError: there is none of the name, not in the list either.
    """
    try:
        return ask_within(budget, lambda: client.pipeline(source.workspace, source.name), sleep).pipeline_id
    except PipelineNotFoundError:
        listed = ask_within(budget, lambda: client.pipelines(source.workspace), sleep)
        ids = {found.name: found.pipeline_id for found in listed}
        if source.name not in ids:
            raise
        return ids[source.name]


def _check_clock(client: DeepsetClient, source: LogSource) -> None:
    skew = client.clock_skew
    if skew is not None and abs(skew) > MOST_CLOCK_SKEW:
        raise ClockError(
            f"This machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's.",
            "What is closed, due and still shown is judged by the clock: set it (NTP) and run again.",
            str(source),
        )


def _check_same(source: LogSource, mine: Source, theirs: Source) -> None:
    compared = [("host", theirs.host, mine.host), ("workspace_id", theirs.workspace_id, mine.workspace_id)]
    changed = [f"{name} {before!r}, now {after!r}" for name, before, after in compared if before and after and before != after]
    if changed:
        raise IdentityError(
            f"This archive belongs to another source: {'; '.join(changed)}.",
            "Give the block another prefix, or the credentials of the right platform.",
            str(source),
        )


def neighbour(store: ObjectStore, source: LogSource) -> StoredManifest | None:
    """A manifest of another source of the workspace, for one that is new: they belong to the same host."""
    for other in chain.archived_sources(store, source.workspace):
        if other == source:
            continue
        try:
            found = chain.newest_readable(store, other)
        except ManifestError as error:
            if error.transient:
                raise
            continue  # said where that source is planned
        if found is not None:
            return found
    return None
