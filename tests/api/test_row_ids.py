"""Rows are told apart by `log_id` and `logged_at`: a page in which that would drop one is no page to go by."""

from __future__ import annotations

import json

import pytest
from prefect_deepset.api.errors import ResponseError
from prefect_deepset.api.rows import decode_page, decode_row
from prefect_deepset.testing import row

AT = "2026-01-31T12:00:00Z"


def page(*rows: dict[str, object], indent: int | None = None) -> bytes:
    return json.dumps({"data": rows, "has_more": False, "total": len(rows)}, indent=indent).encode()


@pytest.mark.parametrize("log_id", [None, 7])
@pytest.mark.parametrize("more", [{}, {"message": "\ud800"}], ids=["plain", "lone surrogate"])
def test_a_row_without_an_id_is_refused(log_id: object, more: dict[str, object]) -> None:
    raw = json.dumps({**row(AT, "a"), "log_id": log_id, **more}).encode()
    with pytest.raises(ResponseError):
        decode_row(raw)


@pytest.mark.parametrize("indent", [None, 2])
def test_two_rows_that_differ_under_one_id_and_time_are_refused(indent: int | None) -> None:
    one, two = (row(AT, "a", message) for message in ("one", "two"))
    with pytest.raises(ResponseError, match="same `log_id`"):
        decode_page(page(one, two, indent=indent))
    assert len(decode_page(page(one, one, indent=indent)).rows) == 2
    assert len(decode_page(page(one, {**two, "logged_at": "2026-01-31T12:00:01Z"}, indent=indent)).rows) == 2
