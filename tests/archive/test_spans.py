"""Unions and differences of stretches of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.times import Span
from prefect_deepset.archive.spans import join_spans, subtract_spans


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Span(*pair)), max_size=6),
       st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Span(*pair)), max_size=6))
def test_spans_join_and_subtract_like_sets_of_instants(wanted, covered):
    def instants(spans) -> set[int]:
        return {instant for span in spans for instant in range(span.start, span.end)}

    assert instants(join_spans(wanted)) == instants(wanted)
    left = subtract_spans(wanted, covered)
    assert instants(left) == instants(wanted) - instants(covered)
    assert left == join_spans(left)
