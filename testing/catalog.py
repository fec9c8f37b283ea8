"""What exists on the fake platform: workspaces, and the pipelines and indexes in them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Literal

from .rows import RowTable

Kind = Literal["pipeline", "index"]


@dataclass
class Workspace:
    """One workspace."""

    name: str
    workspace_id: str


@dataclass
class LoggedThing:
    """A pipeline or an index, and its rows."""

    workspace: str
    name: str
    kind: Kind
    thing_id: str
    deployed: bool = True
    deleted: bool = False
    table: RowTable = field(default_factory=RowTable)

    def described(self) -> dict[str, object]:
        """As the platform lists it."""
        status = "DEPLOYED" if self.deployed else "UNDEPLOYED"
        return {f"{self.kind}_id": self.thing_id, "name": self.name, "status": status, "deleted": self.deleted}


class Catalog:
    """All of it. Deleted things stay, as they do on the platform."""

    def __init__(self) -> None:
        self._workspaces: dict[str, Workspace] = {}
        self._things: list[LoggedThing] = []

    def add_workspace(self, name: str, workspace_id: str | None = None) -> Workspace:
        """Add a workspace, or give an existing one another id."""
        known = self._workspaces.get(name)
        if known is None or workspace_id is not None:
            known = Workspace(name, workspace_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"workspace:{name}")))
            self._workspaces[name] = known
        return known

    def add(self, workspace: str, name: str, kind: Kind, deployed: bool) -> LoggedThing:
        """Add a pipeline or index; one of that name that exists is deleted first, and the new one has another id."""
        self.add_workspace(workspace)
        existing = self.find(workspace, name, kind)
        if existing is not None:
            existing.deleted = True
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{workspace}/{name}/{len(self._things)}")
        thing = LoggedThing(workspace, name, kind, str(identity), deployed)
        self._things.append(thing)
        return thing

    def find(self, workspace: str, name: str, kind: Kind) -> LoggedThing | None:
        """The newest of that name, deleted or not."""
        named = (t for t in reversed(self._things) if (t.workspace, t.name, t.kind) == (workspace, name, kind))
        return next(named, None)

    def has_workspace(self, name: str) -> bool:
        """Whether the workspace exists."""
        return name in self._workspaces

    def workspaces(self) -> list[Workspace]:
        """In the order they were added."""
        return list(self._workspaces.values())

    def pipelines(self, workspace: str) -> list[LoggedThing]:
        """A workspace's pipelines, deleted ones among them, in the order they were added."""
        return [t for t in self._things if t.workspace == workspace and t.kind == "pipeline"]
