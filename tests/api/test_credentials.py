"""API keys."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api.credentials import clean_key, expiry, redactor
from prefect_deepset.api.errors import InvalidInputError
from pydantic import SecretStr


def jwt_key(claims: Any) -> str:
    """A key as the platform makes them."""
    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"api_{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize("pasted", ["api_x", " api_x\n", "\tapi_x\r\n", "Bearer api_x", "bearer  api_x ", SecretStr(" api_x ")])
def test_what_pasting_adds_is_dropped(pasted: str | SecretStr) -> None:
    assert clean_key(pasted) == "api_x"


@pytest.mark.parametrize("pasted", [
    "", " \n", "Bearer ", "bearer", "api_Qx\nQx", "api_Qx Qx", "api_Qx\x00", "api_Qxé", "api_Qx\u200bQx", "api_\x7fQx",
])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(pasted: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        clean_key(pasted)
    assert "Qx" not in str(caught.value)


def test_the_expiry_of_a_jwt_is_read() -> None:
    assert expiry(jwt_key({"exp": 1_767_225_600})) == datetime(2026, 1, 1, tzinfo=UTC)
    assert expiry(SecretStr(jwt_key({"exp": 1_767_225_600.5}))) == datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("key", [
    "api_opaque", "api_a.b.c", "api_.!.", "api_a." + "W1" * 9 + ".c", jwt_key({}), jwt_key([1]), jwt_key({"exp": "soon"}),
    jwt_key({"exp": True}), jwt_key({"exp": None}), jwt_key({"exp": 10**30}), jwt_key({"exp": float("nan")}),
    jwt_key({"exp": float("inf")}),
])
def test_a_key_that_says_nothing_of_its_expiry_has_none(key: str) -> None:
    assert expiry(key) is None


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789_.-", min_size=8, max_size=80), st.text(max_size=60), st.text(max_size=60),
       st.data())
def test_no_eight_characters_in_a_row_of_the_key_survive(key: str, before: str, after: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(key) - 8))
    end = data.draw(st.integers(start + 8, len(key)))
    shown = redactor(key)(before + key[start:end] + after)
    assert not [key[i : i + 8] for i in range(len(key) - 7) if key[i : i + 8] in shown and key[i : i + 8] not in "[hidden]"]


def test_the_key_is_hidden_in_any_case() -> None:
    key = jwt_key({"sub": "Me"})
    redact = redactor(key)
    assert redact(f"https://{key.lower()}.example.com İ") == "https://[hidden].example.com İ"
    assert key[12:30].upper() not in redact(f"not {key[10:32].upper()}!")


def test_other_tokens_are_hidden_and_words_stay() -> None:
    redact = redactor("api_mine_and_long")
    token = jwt_key({"exp": 1})[4:]
    assert token[:12] not in redact(f"Got {token}, try again")
    assert redact("Authorization: Bearer s3cr3t-of-another") == "Authorization: Bearer [hidden]"
    assert redact("Fetching logs timed out. Try again later.") == "Fetching logs timed out. Try again later."
    assert redactor("abc")("key abc!") == "key [hidden]!"
