"""The deployments: the project's file, fitted to what was asked for and to what the server has already, handed to Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from ..api.errors import DeepsetError, InvalidInputError

_COMMAND_SECONDS = 300


class SetupError(DeepsetError):
    """Prefect did not take something; its own words are in the message."""


class Wishes(NamedTuple):
    """What the deployments are to say, where it was said; None leaves what the server, or else the file, says."""

    block: str = "default"
    """The name of the blocks."""
    workspace: str | None = None
    notify: str | None = None


def find_file(given: Path | None, name: str = "prefect.yaml") -> Path:
    """The deployments' file: as given, in ``deployments/`` here, in the project's folder, or where installing put it.

    Raises:
        InvalidInputError: it is nowhere.
    """
    installed = Path(sys.prefix, "share", "prefect-deepset", "deployments")
    places = [given] if given else [folder / name for folder in (
        Path("deployments"), Path(__file__).resolve().parent.parent / "deployments", installed)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InvalidInputError(f"There is no {' and no '.join(map(str, places))}.", "Name the file with --file.")
    return found


def read_file(path: Path, list_name: str) -> dict[str, Any]:
    """The YAML document, which has a list of this name.

    Raises:
        InvalidInputError: it cannot be read, or has no such list.
    """
    try:
        document: Any = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}.", "Correct it.") from error
    if not isinstance(document, dict) or not isinstance(document.get(list_name), list):
        raise InvalidInputError(f"{path} has no list of {list_name}.", "Name another file, or correct it.")
    if not all(isinstance(entry, dict) for entry in document[list_name]):
        raise InvalidInputError(f"{path} holds {list_name} that are no mappings.", "Correct it.")
    return document


def pools_of(document: Mapping[str, Any]) -> list[str]:
    """The names of the work pools that the deployments name.

    Raises:
        InvalidInputError: a deployment lacks what setting it up needs.
    """
    pools: list[str] = []
    for number, entry in enumerate(document["deployments"], 1):
        pool = entry.get("work_pool")
        named = {"name": entry.get("name"), "entrypoint": entry.get("entrypoint"),
                 "work_pool.name": pool.get("name") if isinstance(pool, dict) else None}
        if lacking := [field for field, value in named.items() if not isinstance(value, str) or not value]:
            raise InvalidInputError(f"Deployment {number} of the file ({named['name'] or 'without a name'}) has no "
                                    f"{' and no '.join(lacking)}.", "Add it.")
        pools.append(pool["name"])
    return list(dict.fromkeys(pools))


def ensure_pool(client: SyncPrefectClient, name: str, kind: str) -> bool:
    """Creates the work pool unless there is one of this name; whether it did. One that is there stays as it is.

    Raises:
        SetupError: Prefect does not take it.
    """
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        run_prefect("work-pool", "create", name, "--type", kind)
        return True
    return False


def deploy(client: SyncPrefectClient, document: Mapping[str, Any], wishes: Wishes) -> list[tuple[str, bool]]:
    """Creates the deployments, or brings them up to date; name (``flow/deployment``) and whether it is new, of each.

    Parameters and schedules of a deployment that is there already stay as they are, so what was set in the UI is kept.

    Raises:
        SetupError: Prefect does not take them.
    """
    if not document["deployments"]:
        return []
    before = _existing(client, document)
    fitted = fit(document, wishes, before)
    with tempfile.TemporaryDirectory(prefix="prefect-deepset-") as folder:
        file = Path(folder, "prefect.yaml")
        file.write_text(yaml.safe_dump(fitted, sort_keys=False))
        run_prefect("deploy", "--all", "--prefect-file", str(file))
    return [(f"{client.read_flow(deployment.flow_id).name}/{name}", name not in before)
            for name, deployment in _existing(client, document).items()]


def _existing(client: SyncPrefectClient, document: Mapping[str, Any]) -> dict[str, DeploymentResponse]:
    """The document's deployments that the server has, by name, in the document's order."""
    entrypoints = {entry["name"]: entry["entrypoint"] for entry in document["deployments"]}
    chosen = DeploymentFilter(name=DeploymentFilterName(any_=list(entrypoints)))
    named = client.read_deployments(deployment_filter=chosen)
    found = {one.name: one for one in named if one.entrypoint == entrypoints[one.name]}  # a name may be another flow's too
    return {name: found[name] for name in entrypoints if name in found}


def fit(document: Mapping[str, Any], wishes: Wishes, existing: Mapping[str, DeploymentResponse]) -> dict[str, Any]:
    """The document with what was asked for in it. A parameter that a deployment of the file does not name is not added."""
    entries: list[dict[str, Any]] = []
    for entry in document["deployments"]:
        parameters = {**(entry.get("parameters") or {})}
        fitted = {**entry, "parameters": parameters}
        there = existing.get(entry["name"])
        if there is not None:
            parameters.update(there.parameters)
            fitted["schedules"] = [schedule for one in there.schedules if (schedule := _as_written(one)) is not None]
        for name, slug in (("credentials", "deepset-credentials"), ("archive", "deepset-log-archive")):
            if name in parameters and (there is None or wishes.block != "default"):
                parameters[name] = {"$ref": {"block_document_slug": f"{slug}/{wishes.block}"}}
        asked = {"workspace": wishes.workspace, "notify": wishes.notify}
        parameters.update({name: value for name, value in asked.items() if value is not None and name in parameters})
        entries.append(fitted)
    return {**document, "deployments": entries}


def _as_written(saved: Any) -> dict[str, Any] | None:
    """A schedule of the server in the words of the file."""
    kind, options = saved.schedule, {"active": saved.active, **({"slug": saved.slug} if saved.slug else {})}
    if saved.parameters:
        options["parameters"] = saved.parameters
    if isinstance(kind, CronSchedule):
        return {"cron": kind.cron, "timezone": kind.timezone, "day_or": kind.day_or, **options}
    if isinstance(kind, IntervalSchedule):
        return {"interval": kind.interval.total_seconds(), "anchor_date": kind.anchor_date.isoformat(),
                "timezone": kind.timezone, **options}
    return {"rrule": kind.rrule, "timezone": kind.timezone, **options}


def run_prefect(*arguments: str) -> str:
    """Runs Prefect's own command against the server in use; what it printed.

    Raises:
        SetupError: it failed.
    """
    # The server may be set in a profile, in a file or in this process alone: the child is told of what holds here.
    environ = {**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True)}
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=environ, text=True, check=False, stdout=subprocess.PIPE,  # noqa: S603 - no shell
                          stderr=subprocess.STDOUT, timeout=_COMMAND_SECONDS)
    if done.returncode:
        said = " ".join(done.stdout.split())[-600:]
        raise SetupError(f"`prefect {' '.join(arguments[:2])}` failed: {said}", "Mend what it names and set up again.")
    return done.stdout
