"""What a policy takes out is gone, and everything else is as it came."""

from __future__ import annotations

import json
import pickle
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect_deepset.api.rows import Row, decode_row
from prefect_deepset.archive.errors import RedactionError
from prefect_deepset.archive.redaction import NAMED_PATTERNS, RedactionPolicy
from pydantic import SecretStr, ValidationError

from .log_rows import ODD_ROWS, plain_row

SALT = SecretStr("a long random salt")


def body(**fields: Any) -> bytes:
    return json.dumps({"log_id": "a", "logged_at": "2026-03-14T10:33:04Z", "level": "info", "origin": "o", **fields}).encode()


def masked(pattern: str, message: str) -> str:
    return json.loads(RedactionPolicy(patterns=[pattern]).apply(body(message=message)))["message"]


@settings(max_examples=60)
@given(ODD_ROWS)
def test_a_policy_that_meets_nothing_leaves_the_bytes(row: Row):
    policy = RedactionPolicy(drop_fields=["not there"], hash_fields=["nor this"], patterns=["never-in-a-row!"], salt=SALT)
    assert policy.apply(row.raw) == row.raw
    assert policy.redact(row) is row


@settings(max_examples=60)
@given(ODD_ROWS, st.text(max_size=3), st.text(max_size=3))
def test_only_what_must_be_rewritten_is(row: Row, before: str, after: str):
    fields = json.loads(row.raw.decode("utf-8", "surrogatepass"))
    fields |= {"message": f"{before} ann@example.org {after}", "extra_fields": {"dd.id": 1, "user_id": "u", "big": 10**30}}
    policy = RedactionPolicy(drop_fields=["dd.id"], hash_fields=["user_id"], patterns=["email"], salt=SALT)
    redacted = policy.redact(decode_row(json.dumps(fields).encode()))
    found = json.loads(redacted.raw)
    assert "ann@" not in found["message"]
    assert "[redacted:email]" in found["message"]
    assert (list(found["extra_fields"]), found["extra_fields"]["big"]) == (["user_id", "big"], 10**30)
    untouched = {name: value for name, value in fields.items() if name not in {"message", "extra_fields", "exceptions"}}
    assert {name: found[name] for name in untouched} == untouched
    for name in ("logged_at", "log_id", "level", "origin"):
        assert getattr(redacted, name) == getattr(row, name)


@pytest.mark.parametrize(("pattern", "message", "expected"), [
    ("email", "from Änne.O+x@mail.example.org!", "from [redacted:email]!"),
    ("email", "user@localhost and @here", "user@localhost and @here"),
    ("token", "sent Bearer abcdef0123456789== on", "sent [redacted:token] on"),
    ("token", "key api_eyJhbGciOiJI.eyJzdWIiOiIx.sig_x- ok", "key api_[redacted:token] ok"),
    ("token", 'Authorization: "Basic dXNlcjpwYXNz", next', '[redacted:token]", next'),
    ("token", "1200 tokens in 3 s", "1200 tokens in 3 s"),
    ("key", "sk-abcdefghij0123456789", "[redacted:key]"),
    ("key", "AKIAABCDEFGHIJKLMNOP.", "[redacted:key]."),
    ("key", "db password=hunter2, host=x", "db [redacted:key], host=x"),
    ("key", '{"api_key": "very secret", "n": 1}', '{"[redacted:key], "n": 1}'),
    ("key", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n.", "[redacted:key]\n."),
    ("key", "max_tokens=100, the key is here", "max_tokens=100, the key is here"),
    (r"\b\d{4}-\d{4}\b", "card 1234-5678.", "card [redacted]."),
])
def test_patterns_mask_what_they_name(pattern: str, message: str, expected: str):
    assert masked(pattern, message) == expected


FRAGMENTS = st.sampled_from(["ann@example.org", "api_key=", "Bearer ", "abcdefgh12345678", "sk-", "eyJ", ".", " ", "PASSWORD: ",
                             "AKIAABCDEFGHIJKLMNOP", "ghp_", "xoxb-", "hf_", "_eyJ", "-----BEGIN PRIVATE KEY-----", "\n", '"',
                             "token"])


@settings(max_examples=300)
@given(st.lists(FRAGMENTS, max_size=8).map("".join), st.booleans())
def test_looking_for_signs_first_changes_nothing(message: str, ascii_only: bool):
    raw = json.dumps({"message": message}, ensure_ascii=ascii_only).encode()
    web_token = r"(?<![^\W_])eyJ[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)?"  # the last alternative says this, in linear time
    plainly = NAMED_PATTERNS["token"].partition(r"|(?<![\w\-])")[0] + "|" + web_token
    for name, expression in {**NAMED_PATTERNS, "token": plainly}.items():
        found = json.loads(RedactionPolicy(patterns=[name]).apply(raw))["message"]
        assert found == re.sub(expression, f"[redacted:{name}]", message, flags=re.DOTALL)


def test_a_text_hidden_behind_escapes_is_masked():
    raw = rb'{"log_id": "a", "mess\u0061ge": "ann\u0040example.org \ud800", "message": "bob@example.org"}'
    redacted = RedactionPolicy(patterns=["email"]).apply(raw)
    assert redacted == rb'{"log_id": "a", "mess\u0061ge": "[redacted:email] \ud800", "message": "[redacted:email]"}'


def test_exceptions_and_odd_messages_are_masked_inside():
    raw = body(message={"to": ["ann@example.org", 7]}, exceptions=[{"type": "E", "value": "no ann@example.org", "trace": None}])
    found = json.loads(RedactionPolicy(patterns=["email"]).apply(raw))
    assert found["message"] == {"to": ["[redacted:email]", 7]}
    assert found["exceptions"] == [{"type": "E", "value": "no [redacted:email]", "trace": None}]


def test_bytes_that_are_no_utf8_survive_beside_a_mask():
    raw = b'{"odd": "\xff\xed\xa0\x80", "message": "ann@example.org"}'
    assert RedactionPolicy(patterns=["email"]).apply(raw) == b'{"odd": "\xff\xed\xa0\x80", "message": "[redacted:email]"}'


def test_extra_fields_are_dropped_and_hashed_by_plain_keys():
    extra = {"dd.trace_id": "1", "dd": {"trace_id": "kept"}, "user_id": "u", "org": None, "n": 12}
    policy = RedactionPolicy(drop_fields=["dd.trace_id"], hash_fields=["user_id", "org", "n"], salt=SALT)
    found = json.loads(policy.apply(body(extra_fields=extra)))["extra_fields"]
    again = json.loads(policy.apply(body(extra_fields={"user_id": "u"})))["extra_fields"]
    assert list(found) == ["dd", "user_id", "org", "n"]
    assert found["user_id"] == again["user_id"] != found["n"]
    assert found["user_id"].startswith("hmac-sha256:")
    assert (found["dd"], found["org"]) == ({"trace_id": "kept"}, None)
    other = RedactionPolicy(hash_fields=["user_id"], salt=SecretStr("another"))
    assert json.loads(other.apply(body(extra_fields=extra)))["extra_fields"]["user_id"] != found["user_id"]


def test_odd_extra_fields_are_let_be():
    for extra in (None, [1], "user_id", 3):
        raw = body(extra_fields=extra)
        assert RedactionPolicy(drop_fields=["user_id"]).apply(raw) == raw


@pytest.mark.parametrize("raw", [b'"@"', b'["@"]', b'{"a": "@"', b'{"@": 1} x', b"\xff@", b'{"@" 1}', b'{"@": 1,}', b"{@}",
                                 b'{"@": 1]', b'{"@": }', b'{"message": ["a@b.c"}', b'{"@": ' + b"[" * 100_000])
def test_a_row_that_cannot_be_redacted_is_refused_without_being_quoted(raw: bytes):
    with pytest.raises(RedactionError) as caught:
        RedactionPolicy(patterns=["email"]).apply(raw)
    assert caught.value.__cause__ is None


def test_the_policys_hash_says_what_it_does_and_not_its_salt():
    one = RedactionPolicy(drop_fields=["a", "b"], hash_fields=["c"], patterns=["email"], salt=SALT)
    assert one.sha256 == one.model_copy(update={"salt": SecretStr("x"), "drop_fields": ["b", "a"]}).sha256
    two, three = RedactionPolicy(drop_fields=["a", "b"]), RedactionPolicy(drop_fields=["a", "b"], patterns=["key"])
    assert len({policy.sha256 for policy in (one, two, three, RedactionPolicy())}) == 4
    assert "random salt" not in repr(one) + one.model_dump_json()
    assert len({policy.keyed_sha256 for policy in (one, two, one.model_copy(update={"salt": SecretStr("x")}))}) == 3


def test_a_policy_pickles_and_works_on():
    policy = pickle.loads(pickle.dumps(RedactionPolicy(patterns=["email"])))
    assert b"ann@" not in policy.apply(body(message="ann@example.org"))


@pytest.mark.parametrize(("fields", "said"), [
    ({"patterns": ["emails"]}, "no pattern named 'emails'"), ({"patterns": ["("]}, "not a regular expression"),
    ({"patterns": ["x*"]}, "matches the empty text"), ({"hash_fields": ["user_id"]}, "needs a salt"),
    ({"drop": ["x"]}, "Extra inputs"),
])
def test_a_policy_that_would_not_do_what_it_seems_to_is_refused(fields: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        RedactionPolicy(**fields)


@pytest.mark.parametrize("text", ["a" * 200_000, "a." * 100_000, "-----BEGIN " * 20_000, "eyJ" * 60_000,
                                  "api_key" + " " * 200_000, "bearer " * 30_000, "a@" * 100_000,
                                  "password" * 30_000, "authorization: " * 15_000, "_eyJaaaaaaaa" * 30_000])
def test_no_text_makes_the_patterns_slow(text: str):
    policy = RedactionPolicy(patterns=["email", "token", "key"])
    begun = time.process_time()
    policy.apply(body(message=text))
    assert time.process_time() - begun < 2


def test_a_row_of_the_platform_keeps_its_order_and_identity():
    row = plain_row(5, 1_773_480_000_000_000_000, message="to ann@example.org")
    redacted = RedactionPolicy(drop_fields=["user_id"], patterns=["email"]).redact(row)
    assert (redacted.logged_at, redacted.log_id) == (row.logged_at, row.log_id)
    assert list(json.loads(redacted.raw)) == list(json.loads(row.raw))
