"""Rows for the tests: plain ones in numbers, and odd ones for the properties."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from hypothesis import strategies as st
from prefect_deepset.api.rows import Row, decode_row
from prefect_deepset.api.times import SECOND, day_span, format_instant

DAY = date(2026, 3, 14)
LEVELS = ("info", "info", "warning", "INFO", "error")


def plain_row(number: int, instant: int, **fields: Any) -> Row:
    """Row `number`, logged at `instant`, as the platform sends them."""
    body: dict[str, Any] = {
        "log_id": f"{number:08d}-YKI8YQ_abcd", "message": f"Query {number} took {number % 977} ms",
        "logged_at": format_instant(instant), "level": LEVELS[number % len(LEVELS)],
        "origin": "querypipeline" if number % 3 else "haystack", "exceptions": None,
        "extra_fields": {"dd.trace_id": str(17110374009324833748 + number), "user_id": f"user-{number % 7}"},
    }
    return decode_row(json.dumps({**body, **fields}).encode())


def plain_rows(count: int, day: date = DAY, seed: int = 0) -> list[Row]:
    """`count` rows spread over the day, in order; several share an instant."""
    start = day_span(day).start
    step = 86_000 * SECOND // max(count, 1)
    return sorted(plain_row(seed + n, start + (n - n % 3) * step + 157_182_000) for n in range(count))


_CHARACTERS = st.characters() | st.sampled_from("\x00\t\r\n\"'\\=+-@,;\u2028\ufeff\ud800\udc80\udfff\U0001f600")
TEXTS = st.text(_CHARACTERS, max_size=12)
_NUMBERS = st.integers(-10**40, 10**40) | st.floats(allow_nan=False, allow_infinity=False)
_VALUES = st.recursive(st.none() | st.booleans() | _NUMBERS | TEXTS,
                       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6)
_KEYS = TEXTS | st.sampled_from(["message", "level", "origin", "exceptions", "extra_fields", "dd.trace_id"])
_NANOSECONDS = st.integers(day_span(DAY).start, day_span(DAY).end - 1)
_EXCEPTION = st.fixed_dictionaries({"type": TEXTS, "value": TEXTS})
_FIELDS = st.fixed_dictionaries({"log_id": TEXTS}, optional={
    "message": TEXTS | _VALUES, "level": st.sampled_from(["info", "ERROR", "fatal"]) | _VALUES, "origin": TEXTS | _VALUES,
    "exceptions": st.none() | st.lists(_EXCEPTION, max_size=2) | _VALUES,
    "extra_fields": st.none() | st.dictionaries(_KEYS, _VALUES, max_size=4) | _VALUES})


@st.composite
def odd_bodies(draw: st.DrawFn) -> bytes:
    """The JSON of a row that can be decoded, whatever else is odd: types, unknown fields, surrogates, escapes."""
    unknown = draw(st.dictionaries(_KEYS, _VALUES, max_size=3))
    instant = draw(_NANOSECONDS | _NANOSECONDS.map(lambda value: value - value % 1000))
    fields = {**unknown, **draw(_FIELDS), "logged_at": format_instant(instant)}
    names = draw(st.permutations(list(fields)))
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from([None, 1]))
    text = json.dumps({name: fields[name] for name in names}, ensure_ascii=ascii_only, indent=indent)
    return text.encode("utf-8", "surrogatepass")


ODD_ROWS = odd_bodies().map(decode_row)
