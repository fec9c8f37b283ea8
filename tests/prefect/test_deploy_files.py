"""The files in deployments/: three variants of one thing, and a container file whose sources are there."""

from __future__ import annotations

import json
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import prefect.server
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.automations import AutomationCore

FOLDER = Path(__file__).parents[2] / "deployments"
ROOT = FOLDER.parent
VARIANTS = {"prefect.yaml": "process", "docker.yaml": "docker", "kubernetes.yaml": "kubernetes"}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text())


def flow_of(entry: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = entry["entrypoint"].rpartition(".")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_flow_has_a_deployment_of_its_own_name_and_each_deployment_s_parameters_are_its_flows(variant: str):
    flows = import_module("prefect_deepset.flows")
    document = read(variant)
    deployed = {entry["name"]: flow_of(entry) for entry in document["deployments"]}
    assert {flow.fn.__name__ for flow in deployed.values()} == set(flows.__all__)
    assert set(deployed) - {flow.name for flow in deployed.values()} == {"watch-last-hour"}
    assert document["pull"] == []
    for entry in document["deployments"]:
        flow = deployed[entry["name"]]
        assert flow.name in deployed
        assert set(entry["parameters"]) <= set(flow.parameters.properties)
        assert entry["description"]
        assert "deepset" in entry["tags"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variants_differ_in_their_pool_alone(variant: str):
    def without_pool(name: str) -> list[dict[str, Any]]:
        return [{key: value for key, value in entry.items() if key != "work_pool"} for entry in read(name)["deployments"]]

    assert without_pool(variant) == without_pool("prefect.yaml")
    pools = {entry["work_pool"]["name"] for entry in read(variant)["deployments"]}
    assert pools == {"deepset" if variant == "prefect.yaml" else f"deepset-{VARIANTS[variant]}"}


def test_each_pool_has_the_job_variables_that_its_type_knows():
    known = {kind: names for kind, names in job_variables().items() if kind in VARIANTS.values()}
    assert set(known) == set(VARIANTS.values())
    for variant, kind in VARIANTS.items():
        for entry in read(variant)["deployments"]:
            assert set(entry["work_pool"]["job_variables"]) <= known[kind]


def job_variables() -> dict[str, set[str]]:
    """What Prefect brings with it about each type of work pool."""
    (path,) = Path(prefect.server.__file__).parent.rglob("aggregate-worker-metadata.json")
    kinds = {name: worker for package in json.loads(path.read_text()).values() for name, worker in package.items()}
    return {name: set(worker["default_base_job_configuration"]["variables"]["properties"]) for name, worker in kinds.items()}


def test_the_archive_runs_often_enough_and_after_the_settle_lag():
    (archive,) = [entry for entry in read("prefect.yaml")["deployments"] if entry["name"] == "archive-daily-logs"]
    (schedule,) = archive["schedules"]
    minute, hours, *_rest = schedule["cron"].split()
    assert CronSchedule(cron=schedule["cron"])
    assert schedule["timezone"] == "UTC"
    assert int(minute) > 30
    assert [int(hour) for hour in hours.split(",")] == [0, 6, 12, 18]


def test_automations_are_prefects_own_but_for_names_in_the_place_of_ids():
    some_id = "00000000-0000-0000-0000-000000000000"
    deployed = {f"{flow_of(entry).name}/{entry['name']}": entry for entry in read("prefect.yaml")["deployments"]}
    for entry in read("automations.yaml")["automations"]:
        for action in entry["actions"]:
            if name := action.pop("deployment", None):
                assert name in deployed
                # One run for each pipeline of which it is told: those that must wait are not dropped.
                assert deployed[name]["concurrency_limit"]["collision_strategy"] == "ENQUEUE"
                action["deployment_id"] = some_id
            if action.pop("block", None):
                action["block_document_id"] = some_id
        assert AutomationCore.model_validate(entry).description


def test_the_container_file_copies_what_exists_and_every_room():
    text = re.sub(r"\\\n", " ", (FOLDER / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER"}
    assert {line.split()[0] for line in lines} <= known
    copied = [word for line in lines if line.startswith("COPY ") and "--from" not in line for word in shlex.split(line)[1:-1]]
    assert all((ROOT / name).exists() for name in copied)
    rooms = {folder.parent.name for folder in ROOT.glob("*/py.typed")}
    assert rooms | {"deployments", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} == set(copied)


def test_the_chaining_page_shows_the_examples_as_they_are():
    page = (ROOT / "docs" / "chaining.md").read_text()
    for example in (ROOT / "examples").glob("*.py"):
        assert f"```python\n{example.read_text()}```" in page, example.name
    entries = (ROOT / "examples" / "prefect.yaml").read_text()
    shown = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert shown
    assert all(trigger in entries for trigger in shown)
