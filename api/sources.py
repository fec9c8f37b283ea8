"""What has logs: a pipeline, or an index, of a workspace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple
from urllib.parse import quote

from .errors import InvalidInputError
from .urls import check_name

Kind = Literal["pipeline", "index"]


class LogSource(NamedTuple):
    """One thing whose logs can be read."""

    workspace: str
    name: str
    kind: Kind = "pipeline"

    def __str__(self) -> str:
        return f"workspace {self.workspace!r}, {self.kind} {self.name!r}"

    @property
    def path(self) -> str:
        """The path below ``/api/v1`` of this source, names percent-encoded; its logs are at ``<path>/logs``."""
        folder = "pipelines" if self.kind == "pipeline" else "indexes"
        return f"/workspaces/{quote(self.workspace, safe='')}/{folder}/{quote(self.name, safe='')}"


def sources_of(workspace: str, pipelines: str | LogSource | Iterable[str | LogSource]) -> list[LogSource]:
    """What names of pipelines (or sources) of a workspace mean, each once; one name may come as plain text.

    Raises:
        InvalidInputError: no name at all, or one that cannot be one.
    """
    named = [pipelines] if isinstance(pipelines, str | LogSource) else list(pipelines)
    if not named:
        raise InvalidInputError("`pipelines` is empty.", "Name pipelines, or leave it out for all of them.")
    return list(dict.fromkeys(
        name if isinstance(name, LogSource) else LogSource(workspace, check_name(name, "pipeline")) for name in named))
