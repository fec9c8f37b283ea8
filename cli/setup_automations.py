"""The automations: Prefect's own form, but for deployments and blocks, which the file names and the server knows by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from ..api.errors import InvalidInputError


class Made(NamedTuple):
    """What became of one automation of the file."""

    name: str
    what: str
    """``created``, ``updated`` or ``left out``."""
    note: str = ""


def ensure_automations(client: SyncPrefectClient, document: Mapping[str, Any], notify: str | None = None) -> list[Made]:
    """Creates the file's automations, or brings those of the same name up to date; whether one is switched on stays as it is.

    Args:
        client: of the server.
        document: a list ``automations``. An action's ``deployment: flow/deployment`` stands for its ``deployment_id``, and
            ``block: type/name`` for its ``block_document_id``; ``block: $notify`` is `notify`.
        notify: the slug of a notification block. Without one, the actions that need it are left out.

    Raises:
        InvalidInputError: the file, or a block it names, is not what Prefect takes.
    """
    return [_ensure(client, dict(entry), notify) for entry in document["automations"]]


def _ensure(client: SyncPrefectClient, entry: dict[str, Any], notify: str | None) -> Made:
    name = str(entry.get("name"))
    actions: list[dict[str, Any]] = []
    for action in entry.get("actions", []):
        resolved = {key: value for key, value in action.items() if key not in {"deployment", "block"}}
        if "deployment" in action:
            found = _id_of(client.read_deployment_by_name, action["deployment"])
            if found is None:
                return Made(name, "left out", f"there is no deployment {action['deployment']}")
            resolved["deployment_id"] = found
        if "block" in action:
            slug = notify if action["block"] == "$notify" else action["block"]
            if slug is None:
                continue
            resolved["block_document_id"] = find_block(client, slug)
        actions.append(resolved)
    if not actions:
        return Made(name, "left out", "it has nothing to do without --notify")
    existing = client.read_automations_by_name(name)
    if existing:
        entry["enabled"] = existing[0].enabled
    try:
        automation = AutomationCore.model_validate({**entry, "actions": actions})
    except ValidationError as error:
        raise InvalidInputError(f"Automation {name!r} is not what Prefect takes: {error}.", "Correct the file.") from error
    if existing:
        client.update_automation(existing[0].id, automation)
        return Made(name, "updated")
    client.create_automation(automation)
    return Made(name, "created")


def _id_of(read: Callable[[str], Any], name: str) -> UUID | None:
    try:
        return read(name).id
    except ObjectNotFound:
        return None


def find_block(client: SyncPrefectClient, slug: str) -> UUID:
    """The id of a saved block.

    Raises:
        InvalidInputError: there is none of this slug (``type/name``).
    """
    kind, _, name = slug.partition("/")
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound:
        raise InvalidInputError(f"There is no block {slug!r} to notify with.",
                                "Create it in the Prefect UI (Blocks), or name another one.") from None
