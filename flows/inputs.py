"""A run's parameters: what is wrong with them is found before anything is read or written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Annotated

from prefect.logging import get_run_logger
from pydantic import BeforeValidator, ValidationInfo

from ..api.errors import InvalidInputError
from ..api.sources import LogSource
from ..api.times import to_day
from ..api.urls import check_name
from ..blocks import DeepsetCredentials, LogArchive
from ..tasks.notify import load_notification_block
from ..tasks.pipelines import list_pipelines
from ..tasks.plan import find_archived


def _as_day(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and len(value) > len("2026-01-31"):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    return to_day(value, info.field_name or "day")  # pyright: ignore[reportArgumentType] - whatever it is, it is judged there


def _as_number(value: object, info: ValidationInfo) -> object:
    if isinstance(value, bool):
        raise InvalidInputError(f"`{info.field_name}` is {value}.", "Give a whole number from 1 on.")
    return value


# pydantic, by itself, makes 1970 of 0, another day of a midnight elsewhere, and 1 of True.
UtcDay = Annotated[date, BeforeValidator(_as_day)]
"""A flow's parameter: a day, its text, or a midnight in UTC."""
Number = Annotated[int, BeforeValidator(_as_number)]
"""A flow's parameter: a whole number."""


def check_names(workspace: str, pipelines: Sequence[str] | None) -> list[str] | None:
    """The pipelines, each once; None stays None.

    Raises:
        InvalidInputError: a name that cannot be one, or an empty list.
    """
    check_name(workspace, "workspace")
    if pipelines is None:
        return None
    if not pipelines:
        raise InvalidInputError("`pipelines` is empty.", "Name pipelines, or leave it out for all of them.")
    return [check_name(name, "pipeline") for name in dict.fromkeys(pipelines)]


def check_indexes(indexes: Sequence[str] | None) -> list[str] | None:
    """The same for indexes, where nothing else is read with them."""
    if indexes is None:
        return None
    if not indexes:
        raise InvalidInputError("`indexes` is empty.", "Name indexes, or leave it out.")
    return [check_name(name, "index") for name in dict.fromkeys(indexes)]


def check_day(day: date | None, name: str = "day") -> None:
    """Raises `InvalidInputError` for a day that has not begun (in UTC); `name` is the parameter's."""
    today = datetime.now(UTC).date()
    if day is not None and day > today:
        raise InvalidInputError(f"`{name}` is {day}, which lies in the future (today is {today} in UTC).",
                                "Give a day that has begun.")


def check_numbers(error_threshold: int | None, max_concurrency: int) -> None:
    """Raises `InvalidInputError` for a threshold or a concurrency below 1."""
    if error_threshold is not None and error_threshold < 1:
        raise InvalidInputError(f"`error_threshold` is {error_threshold}.", "Give at least 1, or None for no alert.")
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")


def check_range(start: date, end: date, most: int | None = None) -> None:
    """Raises `InvalidInputError` for days that have not begun, in the wrong order, or more than `most`."""
    check_day(start, "start")
    check_day(end, "end")
    if start > end:
        raise InvalidInputError(f"`start` ({start}) is after `end` ({end}).", "Give the earlier day as `start`.")
    if most is not None and (end - start).days >= most:
        raise InvalidInputError(f"From `start` ({start}) to `end` ({end}) it is {(end - start).days + 1:,} days; "
                                f"at most {most:,} are taken up at once.", "Correct the year, or give a shorter range.")


def check_notify(notify: str | None) -> None:
    """Raises `InvalidInputError` when there is no such notification block, or its package is not installed here."""
    if notify:
        load_notification_block(notify)


def choose_sources(credentials: DeepsetCredentials, archive: LogArchive, workspace: str, names: list[str] | None,
                   indexes: Sequence[str] | None) -> list[LogSource]:
    """The sources of a run: the pipelines named, or every one that is listed or was archived and not closed yet; the indexes.

    A key that expires soon is warned of, on every run. A manifest that cannot be read stops nothing here: planning names it.

    Raises:
        InvalidInputError: a name that is neither listed nor known to the archive.
        WorkspaceNotFoundError, AuthenticationError and other errors: the API or the store cannot be read.
    """
    if warning := credentials.expiry_warning():
        get_run_logger().warning(warning)
    chosen = list_pipelines(credentials, workspace)
    if names is None:
        chosen += find_archived(archive, workspace, chosen)
        if not chosen and not indexes:
            get_run_logger().warning("Workspace %s lists no pipeline, and none was archived of late: check the name and key.",
                                     workspace)
    else:
        if not set(names) <= set(chosen):
            _check_known(workspace, names, chosen + find_archived(archive, workspace, chosen, closed=True))
        chosen = names
    return _sources(workspace, chosen, indexes)


def archived_sources(archive: LogArchive, workspace: str, names: list[str] | None,
                     indexes: Sequence[str] | None) -> list[LogSource]:
    """The sources of a run that cannot ask deepset: the pipelines named, or archived and not closed yet; the indexes."""
    return _sources(workspace, find_archived(archive, workspace) if names is None else names, indexes)


def _sources(workspace: str, pipelines: Iterable[str], indexes: Sequence[str] | None) -> list[LogSource]:
    # Not looked up: the API has no list of indexes that is known of. One that does not exist is named when it is read.
    named = [LogSource(workspace, check_name(name, "index"), "index") for name in dict.fromkeys(indexes or ())]
    return [*(LogSource(workspace, name) for name in pipelines), *named]


def _check_known(workspace: str, pipelines: Iterable[str], known: Sequence[str]) -> None:
    """Raises `InvalidInputError` naming every pipeline that is neither listed nor archived, and what may have been meant."""
    unknown = [name for name in pipelines if name not in set(known)]
    if not unknown:
        return
    meant = [f"{close!r}" for name in unknown for close in get_close_matches(name, known, n=1)]
    hint = f" Did you mean {', '.join(dict.fromkeys(meant))}?" if meant else ""
    raise InvalidInputError(f"No pipeline {', '.join(map(repr, unknown))} is listed in the workspace or known to the archive.",
                            f"Correct `pipelines`, or leave it out for all of them.{hint}", f"workspace {workspace!r}")
