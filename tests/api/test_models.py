"""Typed models of what the API sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from prefect_deepset.api.counts import count_rows
from prefect_deepset.api.errors import ResponseError
from prefect_deepset.api.models import PipelineLog, parse_pipeline, parse_pipelines, parse_workspaces
from prefect_deepset.api.rows import decode_row

SAMPLE: dict[str, Any] = {
    "log_id": "UHG0_JYBbpf1V-YKI8YQ", "message": "Will use search history type: SNS",
    "logged_at": "2025-05-23T10:33:04.157182Z", "level": "info", "origin": "haystack", "exceptions": None,
    "extra_fields": {"dd.trace_id": "17110374009324833748"},
}


def log(**changes: Any) -> PipelineLog:
    return PipelineLog.from_row(decode_row(json.dumps({**SAMPLE, **changes}).encode()))


def test_a_row_becomes_a_typed_log() -> None:
    assert log().model_dump() == {**SAMPLE, "logged_at": datetime(2025, 5, 23, 10, 33, 4, 157182, tzinfo=UTC)}


@pytest.mark.parametrize("text", [
    "2025-05-23T10:33:04.1Z", "2025-05-23T10:33:04.100000000Z", "2025-05-23T12:33:04.1+02:00",
    "2025-05-23 10:33:04.10000000000001",
])
def test_any_number_of_digits_and_any_offset_is_the_same_instant(text: str) -> None:
    moment = log(logged_at=text).logged_at
    assert moment == datetime(2025, 5, 23, 10, 33, 4, 100_000, tzinfo=UTC)
    assert moment.utcoffset() == UTC.utcoffset(None)


def test_unknown_levels_origins_and_fields_are_kept() -> None:
    odd = log(level="NOTICE", origin="moon", later_field={"a": [1]}, extra_fields={"big": 2**70, "": None})
    assert (odd.level, odd.origin) == ("NOTICE", "moon")
    assert odd.model_extra == {"later_field": {"a": [1]}}
    assert odd.extra_fields == {"big": 2**70, "": None}


def test_values_of_unexpected_types_become_text_or_are_wrapped() -> None:
    odd = log(message=7, level=None, origin=["x"], exceptions={"type": "E"}, extra_fields="none")
    assert (odd.message, odd.level, odd.origin) == ("7", "", '["x"]')
    assert (odd.exceptions, odd.extra_fields) == ([{"type": "E"}], {"value": "none"})
    assert log(message=None).message == ""


def test_half_a_character_is_shown_escaped() -> None:
    odd = log(message="a\ud83d", extra_fields={"k\udc00": ["\ud800"]})
    assert odd.message == "a\\ud83d"
    assert odd.extra_fields == {"k\\udc00": ["\\ud800"]}
    odd.model_dump_json()


@pytest.mark.parametrize("depth", [150, 400, 1500])
def test_what_is_nested_too_deep_is_shown_as_text_if_need_be(depth: int) -> None:
    text = "[" * depth + "]" * depth
    raw = f'{{"log_id": "a", "logged_at": "2026-01-31T10:00:00Z", "message": {text}, "level": "", "origin": "", "x": {text}}}'
    found = PipelineLog.from_row(decode_row(raw.encode()))
    assert found.message.replace(" ", "") == text
    assert json.dumps(found.model_extra) in {f'{{"x": {text}}}', json.dumps({"x": text})}


@pytest.mark.parametrize(("parse", "body"), [
    (parse_workspaces, b"{}"), (parse_workspaces, b"[{}]"), (parse_workspaces, b"<html>"), (parse_workspaces, b"[[]]"),
    (parse_pipeline, b"[]"), (parse_pipeline, b'{"name": null}'), (parse_pipeline, b""), (parse_pipeline, b"\xff"),
    (parse_pipelines, b"[]"), (parse_pipelines, b'{"data": []}'), (parse_pipelines, b'{"data": [{}], "has_more": false}'),
    (parse_pipelines, b'{"data": null, "has_more": false}'),
])
def test_what_is_no_listing_is_an_error_to_ask_again_for(parse: Any, body: bytes) -> None:
    with pytest.raises(ResponseError) as caught:
        parse(body)
    assert caught.value.transient


def test_counts_are_by_level_origin_and_hour() -> None:
    rows = [decode_row(json.dumps({**SAMPLE, **changes}).encode()) for changes in (
        {}, {"level": "ERROR"}, {"level": "critical", "logged_at": "2025-05-23T11:00:00Z", "origin": "unknown"})]
    assert count_rows(rows).model_dump() == {
        "rows": 3, "errors": 2, "by_level": {"info": 1, "ERROR": 1, "critical": 1}, "by_origin": {"haystack": 2, "unknown": 1},
        "by_hour": {"2025-05-23T10:00:00Z": 2, "2025-05-23T11:00:00Z": 1},
    }
    assert count_rows([]).rows == 0
