"""The task that judges archived days by the rules and tells what changed: events for Prefect, one message for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prefect import task
from prefect.logging import get_run_logger

from ..alerts.ledger import Ledger
from ..alerts.messages import Message
from ..alerts.rules import RuleSet
from ..alerts.state import Delivery, claim_transitions, deliver, mark_sent, pending_transitions
from ..alerts.transition_events import transition_event
from ..alerts.transitions import Transition
from ..alerts.window import WatchRules
from ..api.models import PipelineLog
from ..api.sources import LogSource
from ..archive.chain import latest, list_days, read_part_rows
from ..archive.manifest import Manifest
from ..archive.store import S3Store
from ..blocks import LogArchive
from .events import emit
from .notify import send_alert
from .retries import RETRIED

_RECENT_DAYS = 3
"""Enough to see that a pipeline's oldest unarchived second is too old."""
_PARALLEL = 8


class Told(NamedTuple):
    """What changed, and whether people were told."""

    transitions: list[Transition]
    """Claimed by this run, or taken over from one that died."""
    problems: list[str]
    """What went wrong with alerts; none of it concerns the archive."""


@task(task_run_name="tell-alerts-{workspace}", **RETRIED)
def tell_alerts(archive: LogArchive, workspace: str, sources: list[LogSource], manifests: list[Manifest],
                rules: RuleSet | WatchRules, notify: str | None = None, run_url: str | None = None,
                samples: Mapping[str, str] | None = None) -> Told:
    """Judges days, claims what changed, emits the events and sends one message. Asks deepset nothing.

    Each change is told once, whoever runs: see `alerts.state`. A message that fails is kept for the next run.

    Args:
        archive: where manifests and alerts are.
        workspace: its name.
        sources: all of this run, those that failed too: one that was not archived for long is INCOMPLETE.
        manifests: the newest one of each day this run considered.
        rules: what to judge by.
        notify: the slug of a notification block; None for events alone.
        run_url: the run's page, for the message.
        samples: `log_id` → message of rows that are at hand; others are looked up in the archive.

    Raises:
        ArchiveError, AlertError: the alerts cannot be read or written.
    """
    logger = get_run_logger()
    store = archive.get_store()
    ledger = Ledger(store, workspace)
    # A window of minutes is judged by itself.
    history = [] if isinstance(rules, WatchRules) else _history(store, sources, manifests, rules)
    transitions = claim_transitions(ledger, rules, manifests, history, now=time.time(), check_age=isinstance(rules, RuleSet),
                                    sample_of=lambda manifest, log_id: (samples or {}).get(log_id)
                                    or _message_of(store, manifest, log_id))
    transitions += pending_transitions(ledger, now=time.time())
    for transition in transitions:
        logger.warning("%s: %s, %s, rule %s: %s", transition.state, transition.source.pipeline, transition.dt, transition.rule,
                       transition.detail)
        if event := transition_event(transition, ledger.key_of(transition), archive.bucket):
            emit(event)
    problems = [str(problem) for problem in ledger.problems]
    if transitions and notify:
        delivery = _deliver(ledger, transitions, notify, archive, run_url)
        problems += [f"The message was not sent, the next run sends it: {delivery.error}"] if delivery.error else []
    else:
        mark_sent(ledger, transitions, now=time.time())
    for problem in problems:
        logger.error("Alerts: %s", problem)
    return Told(transitions, problems)


def _deliver(ledger: Ledger, transitions: list[Transition], notify: str, archive: LogArchive, run_url: str | None) -> Delivery:
    def send(message: Message) -> None:
        send_alert(notify, message.subject, message.body)

    return deliver(ledger, transitions, send, now=time.time, archive=f"s3://{archive.bucket}", run_url=run_url, to=notify)


def _history(store: S3Store, sources: list[LogSource], manifests: list[Manifest], rules: RuleSet) -> list[Manifest]:
    """What the rules look back on: days before those judged, and the newest ones, of each pipeline."""
    judged: dict[LogSource, set[str]] = {source: set() for source in sources}
    for manifest in manifests:
        source = LogSource(manifest.source.workspace, manifest.source.pipeline, manifest.source.kind)
        judged.setdefault(source, set()).add(manifest.dt)

    def of_one(source: LogSource) -> list[Manifest]:
        days = list_days(store, source)
        first = min(judged[source], default="9999-12-31")
        before = [day for day in days if day.isoformat() < first]
        wanted = {*before[max(0, len(before) - rules.history_days):], *days[-_RECENT_DAYS:]}
        found = [latest(store, source, day) for day in sorted(wanted) if day.isoformat() not in judged[source]]
        return [stored.manifest for stored in found if stored]

    with ThreadPoolExecutor(_PARALLEL) as pool:
        return [manifest for manifests_of_one in pool.map(of_one, judged) for manifest in manifests_of_one]


def _message_of(store: S3Store, manifest: Manifest, log_id: str) -> str | None:
    """A row's message, found by reading the day's parts until it comes."""
    for file in manifest.files:
        if file.format == "jsonl":
            for row in read_part_rows(store, file.key):
                if row.log_id == log_id:
                    return PipelineLog.from_row(row).message
    return None
