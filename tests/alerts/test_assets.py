"""The asset of an archived pipeline: a key that Prefect takes, and metadata that starts what comes next."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from prefect.assets import Asset
from prefect_deepset.alerts.assets import asset_key, materialized_event
from prefect_deepset.api.sources import LogSource

from .days import archived

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


def test_the_asset_is_where_the_rows_are():
    assert asset_key(LogSource("prod", "chat"), "logs", "deepset") == "s3://logs/deepset/jsonl/workspace=prod/pipeline=chat"


@given(NAMES, NAMES, NAMES)
def test_every_name_makes_a_key_that_prefect_takes(workspace: str, pipeline: str, prefix: str):
    key = asset_key(LogSource(workspace, pipeline), "logs", prefix)
    assert Asset(key=key).key == key


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_two_pipelines_are_two_assets(names: list[tuple[str, str]]):
    first, second = (asset_key(LogSource(*name), "logs") for name in names)
    assert first != second


def test_a_key_too_long_for_prefect_ends_in_a_hash_of_its_own():
    keys = {asset_key(LogSource("w", "ü" * 200 + end), "logs") for end in "ab"}
    assert len(keys) == 2
    assert {len(key) for key in keys} == {512}


def test_a_revision_has_one_event_with_its_numbers():
    manifest = archived(1, errors=3, rows=10)
    event = materialized_event(manifest, "manifests/r00001.json", "logs")
    assert event == materialized_event(manifest, "manifests/r00001.json", "logs")
    assert event.id != materialized_event(archived(1, errors=4, rows=10), "manifests/r00001.json", "logs").id
    assert (event.payload["rows"], event.payload["errors"], event.payload["revision"]) == (10, 3, 1)
    assert event.payload["manifest_key"] == "manifests/r00001.json"
    assert all(isinstance(label, str) for label in event.resource.values())
    assert json.loads(json.dumps(event.payload)) == event.payload
