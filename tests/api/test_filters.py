"""OData filters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.filters import any_level, both, level_filter, origin_and, origin_filter, quote


def test_filters_are_written_as_the_platform_is_known_to_take_them() -> None:
    assert level_filter("error") == "level eq 'error'"
    assert origin_filter("querypipeline") == "origin eq 'querypipeline'"
    assert any_level(["error", "ERROR"]) == "level eq 'error' or level eq 'ERROR'"


def test_nothing_to_filter_by_is_no_filter() -> None:
    assert origin_and(None, None) is origin_and(None, "  ") is None


def test_filters_are_put_in_parentheses_only_beside_or() -> None:
    assert origin_and(None, "a eq 1 or b eq 2") == "a eq 1 or b eq 2"
    assert origin_and("x", "a eq 1") == "origin eq 'x' and a eq 1"
    assert origin_and("x", "a eq 1 or b eq 2") == "origin eq 'x' and (a eq 1 or b eq 2)"
    assert origin_and("x", "a eq 'this or that'") == "origin eq 'x' and a eq 'this or that'"
    assert both(None, any_level(["a", "b"])) == "level eq 'a' or level eq 'b'"
    assert both("a eq 1 or b eq 2", any_level(["a", "b"])) == "(a eq 1 or b eq 2) and (level eq 'a' or level eq 'b')"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_quoting_keeps_any_text_inside_one_literal(text: str) -> None:
    literal = quote(text)
    assert literal[0] == literal[-1] == "'"
    assert literal[1:-1].replace("''", "").count("'") == 0
    assert literal[1:-1].replace("''", "'") == text


@pytest.mark.parametrize("bad", ["", "\ud800", None, 3])
def test_values_that_cannot_be_asked_for_are_refused(bad: str) -> None:
    with pytest.raises(InvalidInputError):
        level_filter(bad)
    with pytest.raises(InvalidInputError):
        origin_filter(bad)
