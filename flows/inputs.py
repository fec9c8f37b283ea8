"""What is wrong with a run's parameters, found before anything is read or written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from difflib import get_close_matches

from ..api.errors import InvalidInputError
from ..api.urls import check_name


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


def check_day(day: date | None, now: datetime | None = None) -> None:
    """Raises `InvalidInputError` for a day that has not begun (in UTC)."""
    today = (now or datetime.now(UTC)).date()
    if day is not None and day > today:
        raise InvalidInputError(f"`day` is {day}, which lies in the future (today is {today} in UTC).",
                                "Leave it out for every day that is due.")


def check_numbers(error_threshold: int | None, max_concurrency: int) -> None:
    """Raises `InvalidInputError` for a threshold or a concurrency below 1."""
    if error_threshold is not None and error_threshold < 1:
        raise InvalidInputError(f"`error_threshold` is {error_threshold}.", "Give at least 1, or None for no alert.")
    if max_concurrency < 1:
        raise InvalidInputError(f"`max_concurrency` is {max_concurrency}.", "Give at least 1.")


def check_known(workspace: str, pipelines: Iterable[str], known: Sequence[str]) -> None:
    """Raises `InvalidInputError` naming every pipeline that is neither listed nor archived, and what may have been meant."""
    unknown = [name for name in pipelines if name not in set(known)]
    if not unknown:
        return
    meant = [f"{close!r}" for name in unknown for close in get_close_matches(name, known, n=1)]
    hint = f" Did you mean {', '.join(dict.fromkeys(meant))}?" if meant else ""
    raise InvalidInputError(f"No pipeline {', '.join(map(repr, unknown))} is listed in the workspace or known to the archive.",
                            f"Correct `pipelines`, or leave it out for all of them.{hint}", f"workspace {workspace!r}")
