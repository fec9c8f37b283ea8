"""Messages for people on call: plain text with a little markdown, which reads well in chat, e-mail and pagers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    """One message for all of them, the worst first.

    Args:
        transitions: at least one.
        cap: of entries described in full; the others are named, as far as there is room.
        archive: the bucket's URL, such as ``s3://bucket``.
        run_url: the run's page, where there is one.
    """
    entries = _entries(transitions)
    blocks = [_block(entry, archive) for entry in entries[:cap]]
    rest = entries[cap:]
    if rest:
        names = [f"{title_of(entry[0])} {_place(entry[0])}" for entry in rest[:50]]
        more = f" and {len(rest) - 50} more" if len(rest) > 50 else ""
        blocks.append(f"And {len(rest)} more: {'; '.join(names)}{more}.")
    if run_url:
        blocks.append(f"Run: {run_url}")
    body = "\n\n".join(blocks)
    if len(body) > _MAX_BODY:
        body = body[:_MAX_BODY].rsplit("\n", 1)[0] + "\n\n(shortened; the run's report has everything)"
    return Message(_subject(entries), body + "\n")


def _entries(transitions: Sequence[Transition]) -> list[list[Transition]]:
    """What is told together: several rules say of the same day that it is incomplete, in the same words."""
    grouped: dict[tuple[object, ...], list[Transition]] = {}
    for transition in sorted(transitions, key=_order):
        rule = "" if transition.state is State.INCOMPLETE else transition.rule
        grouped.setdefault((transition.log_source, transition.dt, transition.state, rule), []).append(transition)
    return list(grouped.values())


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


def _subject(entries: list[list[Transition]]) -> str:
    first = entries[0][0]
    if len(entries) == 1:
        return f"[deepset] {title_of(first)}: {_place(first)}, {first.dt}"
    counts: dict[str, int] = {}
    for entry in entries:
        counts[title_of(entry[0])] = counts.get(title_of(entry[0]), 0) + 1
    summary = ", ".join(f"{count} {title}" for title, count in counts.items())
    return f"[deepset] {summary}: {_place(first)} and {len(entries) - 1} more"


def _block(entry: list[Transition], archive: str) -> str:
    one = entry[0]
    rules = ", ".join(inert(transition.rule) for transition in entry)
    lines = [f"{title_of(one)}: {_place(one)}, {one.dt}", inert(one.detail, 600)]
    lines += _meaning(one)
    if one.state is State.FIRING:
        lines += [_kind(example) for example in one.examples[:_KINDS]]
        if len(one.examples) > _KINDS:
            lines.append("- and more kinds; the report lists them")
    if one.folder and one.revision:
        lines.append(f"Archive: {archive.rstrip('/') + '/' if archive else ''}{one.folder}")
    lines.append(f"Rule: {rules}")
    return "\n".join(lines)


def _meaning(one: Transition) -> list[str]:
    lines: list[str] = []
    if one.late:
        added = f" ({one.late_rows:,} late rows)" if one.late_rows else ""
        lines.append(f"This is an older day that looks different now{added}. Newer days are judged for themselves.")
    elif one.state is State.FIRING and one.since and one.since != one.dt:
        lines.append(f"Firing since {one.since}.")
    elif one.state is State.OK and one.since:
        lines.append(f"It fired since {one.since}.")
    elif one.state is State.OK and one.previous is State.INCOMPLETE:
        lines.append("The day is whole again. What was lost before stays recorded in the manifests.")
    elif one.state is State.NO_DATA and one.since:
        lines.append(f"It fired since {one.since}; without rows nobody can tell whether that is over.")
    if one.state is State.FIRING and one.incomplete:
        lines.append("The day is known in part: the true count may be higher.")
    return lines


def _kind(example: Example) -> str:
    where = f" at {inert(example.frame)}" if example.frame else ""
    row = f" (log_id {inert(example.log_id)})" if example.log_id else ""
    text = f": {inert(example.text, 320)}" if example.text else ""
    return f"- {example.count:,} x {inert(example.type) or 'exception'}{where}{row}{text}"
