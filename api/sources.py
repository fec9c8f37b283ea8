"""What has logs: a pipeline, or an index, of a workspace."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import quote

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
