"""The task that judges archived days by the rules and tells what changed: events for Prefect, one message for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from prefect import task
from prefect.logging import get_run_logger

from ..alerts.announced import unannounced
from ..alerts.ledger import Ledger
from ..alerts.look_back import Background, look_back
from ..alerts.messages import Message
from ..alerts.rules import RuleSet
from ..alerts.state import claim_transitions, deliver, mark_sent, pending_transitions
from ..alerts.transition_events import transition_events
from ..alerts.transitions import Transition
from ..alerts.window import WatchRules
from ..api.errors import DeepsetError
from ..api.models import PipelineLog
from ..api.sources import LogSource
from ..archive.manifest import Manifest
from ..archive.part_stream import read_part_rows
from ..archive.store import S3Store
from ..blocks import LogArchive
from .events import announce, emit
from .notify import send_alert
from .retries import RETRIED


class Told(NamedTuple):
    """What changed, and whether people were told."""

    transitions: list[Transition]
    """Claimed by this run, or taken over from one that did not tell them."""
    problems: list[str]
    """What went wrong with alerts; none of it concerns the archive."""


@task(task_run_name="tell-alerts-{workspace}", **RETRIED)
def tell_alerts(archive: LogArchive, workspace: str, sources: list[LogSource], manifests: list[Manifest],
                rules: RuleSet | WatchRules, notify: str | None = None, run_url: str | None = None,
                samples: Mapping[str, str] | None = None) -> Told:
    """Judges days, claims what changed, emits the events and sends one message. Asks deepset nothing.

    Each change is told once, whoever runs: see `alerts.state`. The last archived days of each source are judged too, so that
    what a run failed to tell is told by the next. A message that fails is kept for the next run that has a channel. Where a run
    died before it sent the events of a revision of those days, they go out here.

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
    background = (Background([], []) if isinstance(rules, WatchRules)
                  else look_back(store, sources, manifests, rules.history_days))
    claimed = claim_transitions(ledger, rules, manifests, background.manifests, now=time.time(),
                                check_age=isinstance(rules, RuleSet),
                                sample_of=lambda manifest, log_id: (samples or {}).get(log_id)
                                or _message_of(store, manifest, log_id))
    silent = ledger.unemitted(time.time())
    taken = pending_transitions(ledger, now=time.time()) if notify else []
    for transition in [*claimed, *taken]:
        logger.warning("%s: %s, %s, rule %s: %s", transition.state, transition.source.pipeline, transition.dt, transition.rule,
                       transition.detail)
    for transition in [*claimed, *silent]:
        for event in transition_events(transition, ledger.key_of(transition), archive.bucket):
            emit(event)
    problems = [str(problem) for problem in [*background.problems, *ledger.problems]]
    problems += _deliver(ledger, [*claimed, *taken], silent, notify, archive, run_url)
    if isinstance(rules, RuleSet):
        problems += _announce_missed(archive, store, [*background.manifests, *manifests])
    for problem in problems:
        logger.error("Alerts: %s", problem)
    return Told([*claimed, *taken], problems)


def _deliver(ledger: Ledger, transitions: list[Transition], silent: list[Transition], notify: str | None, archive: LogArchive,
             run_url: str | None) -> list[str]:
    """Sends and marks; returns what went wrong. What stays unsent is marked: its events need not go out again."""
    def send(message: Message) -> None:
        if notify:
            send_alert(notify, message.subject, message.body)

    unsent, problems = [], list[str]()
    try:
        if notify and transitions:
            delivery = deliver(ledger, transitions, send, now=time.time, archive=f"s3://{archive.bucket}", run_url=run_url,
                               to=notify)
            unsent = delivery.unsent
            problems += [f"The message was not sent, a later run sends it: {delivery.error}"] if delivery.error else []
        elif transitions:
            mark_sent(ledger, transitions, now=time.time())
        for transition in {ledger.key_of(one): one for one in [*unsent, *silent]}.values():
            ledger.mark_emitted(transition, time.time())
    except DeepsetError as error:
        problems.append(str(error))
    return problems


def _announce_missed(archive: LogArchive, store: S3Store, manifests: list[Manifest]) -> list[str]:
    try:
        for revision in unannounced(store, manifests, time.time()):
            announce(archive, store, revision)
    except DeepsetError as error:
        return [f"Events of archived days may be missing, the next run sends them: {error}"]
    return []


def _message_of(store: S3Store, manifest: Manifest, log_id: str) -> str | None:
    """A row's message, found by reading the day's parts until it comes."""
    for file in manifest.files:
        if file.format == "jsonl":
            for row in read_part_rows(store, file.key):
                if row.log_id == log_id:
                    return PipelineLog.from_row(row).message
    return None
