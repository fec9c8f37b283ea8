"""What people on call read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.messages import Message, compose
from prefect_deepset.alerts.redact import inert, redact, sample
from prefect_deepset.alerts.rules import ErrorCount, ErrorRatio, NewException, RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.alerts.transition_events import transition_events
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
    "https://hooks.slack.com/services/T0ABC/B0ABC/hunter2hunter2", "https://acme.webhook.office.com/webhookb2/hunter2@b/c",
    "AccountName=a;AccountKey=hunter2hunter2==;EndpointSuffix=b", "https://a.blob.test/b?sv=2022&sig=hunter2%2Ba%3D&se=1",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYhunter2abc", "AWS secret hunter2/K7MDENG", "Basic aHVudGVyMjpodW50ZXIy",
    "ann%40mail.example.com",
    "password is hunter2", "passwd was 'hunter2 hunter2'", "https://ann:hunter2@hunter2/x@host/y", "api key hunter2hunter2",
    "Set-Cookie: theme=dark; sid=hunter2", "x-functions-key: hunter2",
]


@pytest.mark.parametrize("secret", SECRETS)
@given(before=st.sampled_from(["", "failed: ", "(", "x=1 "]), padding=st.integers(0, 320))
def test_secrets_in_samples_are_masked_and_never_cut_in_two(secret: str, before: str, padding: int):
    shown = sample(f"{'long ' * (padding // 5)}{before}{secret} and more")
    pieces = "hunter2", "eyJ", "abcdef01", "AKIAAB", "sk-abc", "ghp_abc", "A1b2C3", "mail.example", "c2lnb", "aHVud", "wJalr"
    for piece in pieces:
        assert piece not in shown


@pytest.mark.parametrize("text", [
    "Retriever 17110374009324833748 took 3.2 s for 8d9f3a36-5a66-4a5e-b7f0-6a2d4ad6b6ad in retrievers.embedding",
    "The password is wrong", "Basic authentication failed", "token limit exceeded: max_tokens: 4096, prompt_tokens=512",
    "File /usr/lib/python3/site-packages/haystack/components/generators/chat/openai.py, KeyError: 'documents'",
    "s3://deepset-logs/logs/jsonl/workspace=my-workspace/pipeline=chat/dt=2026-01-31/part-00001.jsonl.gz",
    "GET https://api.test:8080/v1/chat?highlight=error#answer gave 404",
])
def test_what_is_no_secret_stays_readable(text: str):
    assert redact(text) == text


@pytest.mark.parametrize("unit", ["a.", "a-", "a", "https://", "x=", "api_key ", "secret ", "http://hook", "A1b/", "%40a"])
def test_hostile_text_is_redacted_in_time(unit: str):
    started = time.process_time()
    sample(unit * 20_000)
    assert time.process_time() - started < 5  # a quadratic expression takes ten and more


def test_error_rows_without_an_exception_are_told_with_one_of_them():
    day = archived(1, errors=230, exceptions={"ValueError@app.chat:12": 30}, plain_errors={"error": 200})
    found = message(day, text="Rate limit.")
    assert "- 200 x error without exception (log_id error-row): Rate limit.\n- 30 x ValueError at app.chat:12" in found.body


def test_secrets_in_an_exception_s_type_are_not_claimed_or_told():
    rules = RuleSet(rules=(ErrorCount(threshold=100), NewException()))
    days = [archived(1), archived(2, errors=200, exceptions={"No api_key=hunter2hunter2 today@a:1": 200})]
    claimed = transitions(*days, rules=rules)
    assert len(claimed) == 2
    told = [str(transition_events(one, "key")) for one in claimed]
    assert "hunter2" not in f"{claimed} {told} {compose(claimed)}"


def test_rules_that_fire_on_the_same_day_make_one_entry_with_each_kind_once():
    rules = RuleSet(rules=(ErrorCount(threshold=100), ErrorRatio(ratio=0.05), NewException()))
    days = [archived(1, pipeline=name) for name in "ab"]
    days += [archived(2, errors=200, pipeline=name, exceptions={"OSError@a:1": 190, "KeyError@b:2": 10}) for name in "ab"]
    found = compose(transitions(*days, rules=rules, text="Down."), cap=2)
    assert found.subject == "[deepset] 2 FIRING: default / a and 1 more"
    assert found.body.count("- 190 x OSError at a:1 (log_id row-of-0): Down.") == 2
    assert found.body.count("FIRING") == 2
    assert "200 error rows of 1,000; the threshold is 100" in found.body
    assert "20.00% error rows (200 of 1,000); the threshold is 5.00%.\n" in found.body
    assert "Rule: error-count, new-exception, error-ratio" in found.body


def test_a_day_with_few_rows_is_not_said_to_have_none():
    rules = RuleSet(rules=(ErrorRatio(ratio=0.05),))
    found = compose(transitions(archived(1, errors=200), archived(2, rows=40), rules=rules)[1:])
    assert "It fired since 2026-01-01; with so few rows nobody can tell whether that is over." in found.body


def test_a_new_kind_is_resolved_when_it_is_gone_and_the_message_names_it():
    kind = {"OSError@a:1": 50}
    days = [archived(1), archived(2, exceptions=kind), archived(3, exceptions=kind), archived(4)]
    claimed = transitions(*days, rules=RuleSet(rules=(NewException(),)))
    assert [(one.dt[-2:], one.state) for one in claimed] == [("02", "FIRING"), ("04", "OK")]
    assert "It fired since 2026-01-02.\nGone: OSError at a:1." in compose(claimed[1:]).body


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
