"""OData filters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.filters import build_filter, level_filter, origin_filter, quote


def test_filters_are_written_as_the_platform_is_known_to_take_them() -> None:
    assert level_filter("error") == "level eq 'error'"
    assert origin_filter("querypipeline") == "origin eq 'querypipeline'"
    assert build_filter(["error"], ["haystack"]) == ["level eq 'error' and origin eq 'haystack'"]


def test_several_values_become_several_queries_that_do_not_overlap() -> None:
    assert build_filter(["info", "error", "info"], ["a", "b"]) == [
        "level eq 'info' and origin eq 'a'", "level eq 'info' and origin eq 'b'",
        "level eq 'error' and origin eq 'a'", "level eq 'error' and origin eq 'b'",
    ]


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_nothing_to_filter_by_is_one_query_without_a_filter(nothing: list[str] | None) -> None:
    assert build_filter(nothing, nothing, None) == build_filter(nothing, nothing, "  ") == [None]


def test_a_raw_filter_is_sent_as_it_is_and_put_in_parentheses_only_beside_or() -> None:
    assert build_filter(raw="a eq 1 or b eq 2") == ["a eq 1 or b eq 2"]
    assert build_filter("error", raw="a eq 1") == ["level eq 'error' and a eq 1"]
    assert build_filter("error", raw="a eq 1 or b eq 2") == ["level eq 'error' and (a eq 1 or b eq 2)"]
    assert build_filter("error", raw="a eq 'this or that'") == ["level eq 'error' and a eq 'this or that'"]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_quoting_keeps_any_text_inside_one_literal(text: str) -> None:
    literal = quote(text)
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "").count("'") == 0
    assert literal[1:-1].replace("''", "'") == text


@pytest.mark.parametrize("bad", ["", "\ud800", None, 3])
def test_values_that_cannot_be_asked_for_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInputError):
        build_filter([bad])
