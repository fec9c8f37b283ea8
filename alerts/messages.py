"""Messages for people on call: plain text with a little markdown, which reads well in chat, e-mail and pagers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..api.sources import LogSource
from .redact import inert
from .transitions import Example, Transition
from .verdicts import State

_KINDS = 3
_MAX_BODY = 12_000
"""Characters. Chats cut or refuse longer messages (Slack at 40,000, Teams at 28 kB, PagerDuty's details at 512 kB)."""

_TITLES = {State.FIRING: "FIRING", State.INCOMPLETE: "INCOMPLETE", State.NO_DATA: "NO DATA", State.OK: "RESOLVED"}


class Message(NamedTuple):
    """What is sent."""

    subject: str
    """One line."""
    body: str


def compose(transitions: Sequence[Transition], cap: int = 10, *, archive: str = "", run_url: str | None = None) -> Message:
    """One message for all of them, the worst pipeline first.

    Args:
        transitions: at least one.
        cap: of pipelines described in full; the others are named, as far as there is room.
        archive: the bucket's URL, such as ``s3://bucket``.
        run_url: the run's page, where there is one.
    """
    pipelines = _by_pipeline(transitions)
    blocks = [_block(entry, archive) for entries in pipelines[:cap] for entry in entries]
    rest = pipelines[cap:]
    if rest:
        names = [f"{title_of(entries[0][0])} {_place(entries[0][0])}" for entries in rest[:50]]
        more = f" and {len(rest) - 50} more" if len(rest) > 50 else ""
        blocks.append(f"And {len(rest)} more: {'; '.join(names)}{more}.")
    if run_url:
        blocks.append(f"Run: {run_url}")
    body = "\n\n".join(blocks)
    if len(body) > _MAX_BODY:
        body = body[:_MAX_BODY].rsplit("\n", 1)[0] + "\n\n(shortened; the run's report has everything)"
    return Message(_subject(pipelines), body + "\n")


def _by_pipeline(transitions: Sequence[Transition]) -> list[list[list[Transition]]]:
    """Of each pipeline what is told together: all that several rules say of the same day in the same state."""
    pipelines: dict[LogSource, dict[tuple[str, str], list[Transition]]] = {}
    for transition in sorted(transitions, key=_order):
        entries = pipelines.setdefault(transition.log_source, {})
        entries.setdefault((transition.dt, title_of(transition)), []).append(transition)
    return [list(entries.values()) for entries in pipelines.values()]


def _order(transition: Transition) -> tuple[object, ...]:
    worst = (-transition.state.severity, transition.late, -transition.value)
    return (*worst, *transition.log_source, transition.dt, transition.rule)


def title_of(transition: Transition) -> str:
    """What stands first: FIRING, INCOMPLETE, NO DATA, RESOLVED."""
    if transition.state is State.FIRING and transition.tells_of_gap:
        return "STILL FIRING, INCOMPLETE"
    return _TITLES[transition.state]


def _place(transition: Transition) -> str:
    kind = "" if transition.source.kind == "pipeline" else "index "
    return f"{kind}{inert(transition.source.workspace)} / {inert(transition.source.pipeline)}"


def _subject(pipelines: list[list[list[Transition]]]) -> str:
    first = pipelines[0][0][0]
    if len(pipelines) == len(pipelines[0]) == 1:
        return f"[deepset] {title_of(first)}: {_place(first)}, {first.dt}"
    counts = Counter(title for entries in pipelines for title in dict.fromkeys(title_of(entry[0]) for entry in entries))
    summary = ", ".join(f"{count} {title}" for title, count in counts.items())
    more = f" and {len(pipelines) - 1} more" if len(pipelines) > 1 else ""
    return f"[deepset] {summary}: {_place(first)}{more}"


def _block(entry: list[Transition], archive: str) -> str:
    one = entry[0]
    found = [line for transition in entry for line in [inert(transition.detail, 600), *_meaning(transition)]]
    lines = [f"{title_of(one)}: {_place(one)}, {one.dt}", *dict.fromkeys(found)]
    if one.state is State.FIRING:
        examples = _examples(entry)
        lines += [_kind(example) for example in examples[:_KINDS]]
        if len(examples) > _KINDS:
            lines.append("- and more kinds; the report lists them")
    if one.folder and one.revision:
        lines.append(f"Archive: {archive.rstrip('/') + '/' if archive else ''}{one.folder}")
    lines.append(f"Rule: {', '.join(inert(transition.rule) for transition in entry)}")
    return "\n".join(lines)


def _examples(entry: list[Transition]) -> list[Example]:
    """Each kind once, with its text where one of the rules has it; new kinds first, since they may be few."""
    kinds: dict[tuple[str, str], Example] = {}
    for transition in sorted(entry, key=lambda one: not one.kinds):
        for example in transition.examples:
            kind = (example.type, example.frame)
            if kind not in kinds or (example.text and not kinds[kind].text):
                kinds[kind] = example
    return list(kinds.values())


def _meaning(one: Transition) -> list[str]:
    lines: list[str] = []
    if one.late:
        added = f" ({one.late_rows:,} late rows)" if one.late_rows else ""
        lines.append(f"This is an older day that looks different now{added}. Newer days are judged for themselves.")
    elif one.state is State.FIRING and one.since and one.since != one.dt:
        lines.append(f"Firing since {one.since}.")
    elif one.state is State.OK and one.since:
        gone = f" and {len(one.alerted) - _KINDS} more" if len(one.alerted) > _KINDS else ""
        lines.append(f"It fired since {one.since}.")
        lines += [f"Gone: {inert(', '.join(one.alerted[:_KINDS]), 600)}{gone}."] if one.alerted else []
    elif one.state is State.OK and one.previous is State.INCOMPLETE:
        lines.append("The day is whole again. What was lost before stays recorded in the manifests.")
    elif one.state is State.NO_DATA and one.since:
        too_few = "with so few rows" if one.rows else "without rows"
        lines.append(f"It fired since {one.since}; {too_few} nobody can tell whether that is over.")
    if one.state is State.FIRING and one.incomplete:
        lines.append("The day is known in part: the true count may be higher.")
    return lines


def _kind(example: Example) -> str:
    where = f" at {inert(example.frame)}" if example.frame else ""
    row = f" (log_id {inert(example.log_id)})" if example.log_id else ""
    text = f": {inert(example.text, 320)}" if example.text else ""
    return f"- {example.count:,} x {inert(example.type) or 'exception'}{where}{row}{text}"
