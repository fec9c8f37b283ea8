"""What people on call read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.messages import Message, compose
from prefect_deepset.alerts.redact import inert, redact, sample
from prefect_deepset.alerts.rules import ErrorCount, ErrorRatio, RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.alerts.transitions import Transition
from prefect_deepset.archive.manifest import Manifest

from .days import MemoryStore, archived, clock, gap

RULES = RuleSet.from_threshold(100)


def transitions(*days: Manifest, rules: RuleSet = RULES, text: str = "") -> list[Transition]:
    ledger = Ledger(MemoryStore(), "default")
    return claim_transitions(ledger, rules, days, now=clock(9), sample_of=lambda *_: text, check_age=False)


def message(*days: Manifest, text: str = "", cap: int = 10) -> Message:
    return compose(transitions(*days, text=text), cap, archive="s3://bucket", run_url="https://prefect.test/runs/1")


def test_a_message_says_what_where_how_many_since_when_and_where_to_look():
    day = archived(1, errors=230, exceptions={"ValueError@app.chat:12": 200, "KeyError@app.store:7": 30})
    found = message(day, text="Refused for ann@example.com with api_key=abcdef123456.")
    assert found.subject == "[deepset] FIRING: default / chat, 2026-01-01"
    assert found.body == """\
FIRING: default / chat, 2026-01-01
230 error rows of 1,000; the threshold is 100, reached in the hour from 09:00 UTC.
- 200 x ValueError at app.chat:12 (log_id row-of-0): Refused for [e-mail] with [redacted]
- 30 x KeyError at app.store:7 (log_id row-of-1)
Archive: s3://bucket/logs/jsonl/workspace=default/pipeline=chat/dt=2026-01-01/
Rule: error-threshold

Run: https://prefect.test/runs/1
"""


def test_a_resolving_message_says_since_when_it_fired():
    found = message(archived(1, errors=100), archived(2, errors=300), archived(3, errors=2))
    assert found.subject.startswith("[deepset] 1 FIRING, 1 RESOLVED")
    block = "RESOLVED: default / chat, 2026-01-03\n2 error rows of 1,000; the threshold is 100.\nIt fired since 2026-01-01."
    assert block in found.body


def test_an_alert_on_a_day_known_in_part_says_so():
    found = message(archived(1, errors=100, status="open", gaps=[gap(1, "gateway-timeout")]))
    assert "The day is known in part: the true count may be higher." in found.body
    assert "Not archived: 2026-01-01 03:00 to 04:00 UTC (gateway-timeout). The next run tries again." in found.body


def test_several_rules_say_once_that_a_day_is_incomplete():
    rules = RuleSet(rules=(ErrorCount(threshold=100), ErrorRatio(ratio=0.5)))
    found = compose(transitions(archived(1, status="gap", gaps=[gap(1, "retention")]), rules=rules))
    assert found.body.count("INCOMPLETE") == 1
    assert "Rule: error-count, error-ratio" in found.body


def test_many_pipelines_make_one_message_with_a_cap():
    days = [archived(1, errors=100 + index, pipeline=f"p{index:03d}") for index in range(300)]
    found = message(*days, cap=10)
    assert found.subject == "[deepset] 300 FIRING: default / p299 and 299 more"
    assert found.body.count("error rows") == 10
    assert "And 290 more: FIRING default / p289;" in found.body
    assert len(found.body) < 12_100


SECRETS = [
    "api_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJl", "Bearer abcdef0123456789", "password='hunter2hunter2'",
    "https://user:hunter2hunter2@host/path", "AKIAABCDEFGHIJKLMNOP", "sk-abcdefghijklmnop1234", "ann.b+c@mail.example.com",
    '"client_secret": "hunter2hunter2"', "ghp_abcdefghijklmnopqrst0123", "A1b2C3d4E5f6G7h8I9j0A1b2C3d4E5f6G7h8I9j0",
]


@pytest.mark.parametrize("secret", SECRETS)
@given(before=st.sampled_from(["", "failed: ", "(", "x=1 "]), padding=st.integers(0, 320))
def test_secrets_in_samples_are_masked_and_never_cut_in_two(secret: str, before: str, padding: int):
    shown = sample(f"{'long ' * (padding // 5)}{before}{secret} and more")
    for piece in ("hunter2", "eyJ", "abcdef01", "AKIAAB", "sk-abc", "ghp_abc", "A1b2C3", "mail.example", "c2lnb"):
        assert piece not in shown


def test_what_is_no_secret_stays_readable():
    text = "Retriever 17110374009324833748 took 3.2 s for 8d9f3a36-5a66-4a5e-b7f0-6a2d4ad6b6ad in retrievers.embedding"
    assert redact(text) == text


@given(st.text(max_size=2000))
def test_text_from_logs_is_one_line_and_nothing_a_chat_acts_upon(text: str):
    shown = inert(text)
    assert len(shown) <= 420
    assert "<" not in shown
    assert "\n" not in shown
    assert "](" not in shown
    shown.encode()


def test_mentions_and_links_in_logs_do_nothing_in_a_chat():
    assert inert("<!channel> @here [pay](http://evil)") == "\u2039!channel\u203a @\u200ahere [pay] (http://evil)"
