"""Statuses become errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api import errors as e
from prefect_deepset.api.credentials import redactor
from prefect_deepset.api.statuses import error_for_status, retry_after, shown

KEY = "api_k3yMaterialThatNobodyMaySee"
redact = redactor(KEY)

ECHOES = [KEY, KEY[4:], f"Bearer {KEY}", KEY[:20], f"<b>{KEY}</b>", f'{{"detail": "{KEY}"}}']

TABLE: dict[int, tuple[type[e.StatusError], bool]] = {
    400: (e.BadRequestError, False), 401: (e.AuthenticationError, False), 403: (e.PermissionDeniedError, False),
    404: (e.NotFoundError, False), 405: (e.StatusError, False), 408: (e.ServerError, True), 410: (e.StatusError, False),
    414: (e.StatusError, False), 422: (e.UnprocessableError, False),
    425: (e.ServerError, True), 429: (e.RateLimitedError, True),
    500: (e.ServerError, True), 501: (e.StatusError, False), 502: (e.ServerError, True), 503: (e.ServerError, True),
    504: (e.GatewayTimeoutError, True), 520: (e.ServerError, True),
    524: (e.GatewayTimeoutError, True), 599: (e.ServerError, True),
    600: (e.StatusError, False),
}


@pytest.mark.parametrize("status", TABLE)
def test_each_status_is_its_class_and_says_whether_to_ask_again(status: int) -> None:
    error = error_for_status(status, {}, b"", "workspace 'w'", redact, 0)
    assert (type(error), error.transient, error.status, error.where) == (*TABLE[status], status, "workspace 'w'")
    assert str(status) in str(error)
    assert error.advice


@pytest.mark.parametrize(("body", "text"), [
    ({"errors": ["Pipeline broken.", "Second"]}, "Pipeline broken.; Second"),
    ({"detail": "Not allowed"}, "Not allowed"),
    ({"detail": [{"loc": ["query", "limit"], "msg": "too big", "input": "999"}]}, "query.limit: too big"),
    ({"message": "Bad filter", "details": {"message": "at 3"}}, "Bad filter: at 3"),
    ({"message": "Bad filter", "details": None}, "Bad filter"),
    ({"errors": [{"message": "deep"}]}, "deep"),
    ({"code": 7}, '{"code": 7}'),
    ("plain words", "plain words"),
    ([], "[]"),
])
def test_json_bodies_are_shown_by_their_words(body: object, text: str) -> None:
    assert shown(json.dumps(body).encode(), redact) == text


@pytest.mark.parametrize(("body", "text"), [
    (b"<html><title>502</title><style>p{}</style><body><h1>Bad&nbsp;Gateway</h1><script>x<y</script>", "502 Bad Gateway"),
    (b"<!-- secret --><p>Sorry", "Sorry"),
    (b"\xff\xfe\x00garbage\x1b[31m", "\ufffd\ufffd garbage [31m"),
    (b"a < b and c > d", "a < b and c > d"),
    (b"{broken", "{broken"),
    (b"[" * 5000, "[" * 199 + "…"),
    (b"", ""),
    (b"<html", ""),
])
def test_other_bodies_are_shown_without_markup_on_one_line(body: bytes, text: str) -> None:
    assert shown(body, redact) == text


@given(st.binary(max_size=300), st.sampled_from(ECHOES), st.binary(max_size=300))
def test_no_body_shows_the_key_or_more_than_200_characters(before: bytes, echoed: str, after: bytes) -> None:
    text = shown(before + echoed.encode() + after, redact)
    assert len(text) <= 200
    assert "k3yMaterial" not in text
    assert text.isprintable()


def test_a_key_that_straddles_the_cut_is_hidden_too() -> None:
    for fill in range(150, 210):
        assert "k3yMater" not in shown(b"x" * fill + KEY.encode(), redact)


@pytest.mark.parametrize(("headers", "seconds"), [
    ({"Retry-After": "7"}, 7.0), ({"Retry-After": " 0.5 "}, 0.5), ({"Retry-After": "-3"}, 0.0), ({"Retry-After": ""}, None),
    ({}, None),
    ({"Retry-After": "nan"}, None), ({"Retry-After": "inf"}, None), ({"Retry-After": "soon"}, None),
    ({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 60.0),
    ({"Retry-After": "Thu, 01 Jan 1970 01:01:00 GMT", "Date": "Thu, 01 Jan 1970 01:00:30 GMT"}, 30.0),
    ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT", "Date": "nonsense"}, 0.0),
    ({"Retry-After": "Mon, 99 Foo 2026 00:00:00 GMT"}, None),
])
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=0.0) == seconds
