"""The report of a run: markdown for Prefect's artifact page, of some kilobytes however large the days are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from ..api.sources import LogSource
from ..archive.keys import day_folder
from ..archive.manifest import ExceptionCount, Manifest
from .completeness import faults
from .history import DryRun
from .messages import title_of
from .plot import data_uri, days_plot, hours_plot
from .redact import inert, redact
from .rules import newest_by_day, source_of
from .transitions import Transition
from .verdicts import State

MAX_LINES = 200
"""Of the table."""
MAX_CHANGES = 50
"""Told with what was counted. All others are named too: the message has no room for them, and refers to the report."""
MAX_FAILED = 10
"""Of what failed: one outage fails every pipeline, in the same words."""
MAX_DETAILS = 6
"""Pipelines with plots."""
_KINDS = 5
_CELL = 40
"""Characters of a name in a table: the page has a column beside it, and a long word does not break."""
_TREND = 30
_MARKS = {"open": "**open**", "sealed": "sealed", "settled": "settled", "gap": "**gap**"}


def report(
    manifests: Sequence[Manifest],
    trend: Mapping[LogSource, Sequence[Manifest]] | None = None,
    transitions: Sequence[Transition] = (),
    links: Mapping[str, str] | None = None,
    *,
    archive: str = "",
    prefix: str = "",
    failed: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The report as markdown, the worst first.

    Args:
        manifests: the newest manifest of each day this run considered, of any number of pipelines.
        trend: for each source, the newest manifests of its last days, these among them or not.
        transitions: what this run told, or tried to.
        links: what to call it -> its URL; shown at the end.
        archive: the bucket's URL, such as ``s3://bucket``.
        prefix: the archive's, for the rows' place.
        failed: the name of what failed (a pipeline, a channel) -> one sentence.
        notes: more sentences worth a line each.
    """
    days = _worst_first(manifests, {one.log_source for one in transitions if one.state is State.FIRING})
    sections = [_summary(manifests, failed or {}, notes)]
    if transitions:
        sections.append("## What changed\n\n" + _changes(transitions))
    if days:
        sections.append(_table(days))
    per_source = _days_by_source(days)
    for source, own in list(per_source.items())[:MAX_DETAILS]:
        sections.append(_detail(source, own, (trend or {}).get(source, ()), archive, prefix))
    if len(per_source) > MAX_DETAILS:
        sections.append(f"Plots are shown for {MAX_DETAILS} of {len(per_source)} pipelines, those with the most to look at.")
    if links:
        sections.append(" · ".join(f"[{_md(name)}]({_url(url)})" for name, url in links.items() if url))
    return "\n\n".join(sections) + "\n"


def dry_run_report(tried: Sequence[DryRun]) -> str:
    """What rules would have done on archived days, as markdown: the noisiest first."""
    if not tried:
        return "No day is archived yet.\n"
    noisiest = sorted(tried, key=lambda one: (-one.messages, -len(one.fired), one.source, one.rule))
    messages = sum(one.messages for one in tried)
    sources = len({one.source for one in tried})
    lines = [f"**{_count(sources, 'pipeline')}: {_count(messages, 'message')} would have been sent.**", "",
             "| pipeline | rule | fired | of days | incomplete | messages | fired last on |",
             "| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    lines += [f"| {_name(one.source, _CELL)} | {_md(one.rule)} | {len(one.fired)} | {one.days} | {len(one.incomplete)} "
              f"| {one.messages} | {', '.join(one.fired[:-4:-1])} |" for one in noisiest[:MAX_LINES]]
    rest = noisiest[MAX_LINES:]
    if rest:
        lines.append(f"| and {len(rest):,} more | | | | | {sum(one.messages for one in rest):,} | |")
    return "\n".join(lines) + "\n"


def _worst_first(manifests: Sequence[Manifest], firing: set[LogSource]) -> list[Manifest]:
    """What lacks something, then what fires (perhaps by levels that are no errors), then what has many errors."""
    return sorted(manifests, key=lambda one: (not faults(one), source_of(one) not in firing, -one.errors, -one.rows,
                                              source_of(one), one.dt))


def _days_by_source(days: Sequence[Manifest]) -> dict[LogSource, list[Manifest]]:
    grouped: dict[LogSource, list[Manifest]] = {}
    for manifest in days:
        grouped.setdefault(source_of(manifest), []).append(manifest)
    return grouped


def _summary(manifests: Sequence[Manifest], failed: Mapping[str, str], notes: Sequence[str]) -> str:
    rows, errors = sum(one.rows for one in manifests), sum(one.errors for one in manifests)
    pipelines = len({source_of(one) for one in manifests})
    incomplete = sum(1 for one in manifests if faults(one))
    share = f" ({_share(errors, rows)})" if rows else ""
    head = f"**{_count(pipelines, 'pipeline')}, {_count(len(manifests), 'day')}: {rows:,} rows, {errors:,} errors{share}.**"
    if incomplete:
        head += f" **{_count(incomplete, 'day')} with something missing.**"
    lines = [f"- **{_md(name, 80)} failed:** {_md(redact(reason), 500)}" for name, reason in list(failed.items())[:MAX_FAILED]]
    if len(failed) > MAX_FAILED:
        lines.append(f"- ... and {len(failed) - MAX_FAILED:,} more failed; the run's log has each.")
    lines += [f"- {_md(note, 500)}" for note in notes[:MAX_FAILED]]
    if len(notes) > MAX_FAILED:
        lines.append(f"- ... and {_count(len(notes) - MAX_FAILED, 'more note')}; the run's log has each.")
    if not manifests and not failed:
        lines.append("There was nothing to do.")
    return "\n\n".join([head, "\n".join(lines)]) if lines else head


def _changes(transitions: Sequence[Transition]) -> str:
    heads = [f"- **{title_of(one)}** {_name(one.log_source)}, {one.dt}" for one in transitions]
    details = [f"{head}: {_md(one.detail, 300)}" for head, one in zip(heads, transitions[:MAX_CHANGES], strict=False)]
    rest = [f"{head}, rule {_md(one.rule)}" for head, one in zip(heads[MAX_CHANGES:], transitions[MAX_CHANGES:], strict=True)]
    return "\n".join([*details, *rest])


def _table(days: Sequence[Manifest]) -> str:
    lines = ["| pipeline | day | rows | errors | share | status | missing |", "| --- | --- | ---: | ---: | ---: | --- | --- |"]
    for one in days[:MAX_LINES]:
        status = _MARKS[one.status] + (", ended" if one.ended else "")
        late = f" (+{one.late_rows:,} late)" if one.late_rows else ""
        share = _share(one.errors, one.rows)
        lines.append(f"| {_name(source_of(one), _CELL)} | {one.dt} | {one.rows:,}{late} | {one.errors:,} | {share} | {status} "
                     f"| {_missing(one)} |")
    if len(days) > MAX_LINES:
        rest = days[MAX_LINES:]
        lines.append(f"| and {_count(len(rest), 'day')} more | | {sum(one.rows for one in rest):,} "
                     f"| {sum(one.errors for one in rest):,} | | | |")
    lines += ["", "Errors are rows of level critical, error or fatal. A rule that counts other levels names them."]
    return "\n".join(lines)


def _detail(source: LogSource, days: Sequence[Manifest], trend: Sequence[Manifest], archive: str, prefix: str) -> str:
    worst = days[0]
    alt = f"{worst.rows:,} rows and {worst.errors:,} errors by hour"
    lines = [f"## {_name(source)}", "", f"{worst.dt}, by hour (UTC)", "", f"![{alt}]({data_uri(hours_plot(worst))})", ""]
    if not worst.rows and not worst.gaps:
        lines = [f"## {_name(source)}", "", f"{worst.dt}: no rows.", ""]
    if worst.rows_by_level:
        levels = sorted(worst.rows_by_level.items(), key=lambda item: -item[1])
        more = f" · {len(levels) - 8} more" if len(levels) > 8 else ""
        lines += ["Levels: " + " · ".join(f"{_md(level or '(none)', 40)} {rows:,}" for level, rows in levels[:8]) + more, ""]
    lines += _exceptions(worst)
    folder = day_folder(prefix, "jsonl", source, date.fromisoformat(worst.dt))
    lines += [f"Archive: `{archive.rstrip('/') + '/' if archive else ''}{folder}`", ""]
    history = list(newest_by_day([*trend, *days]).values())
    if len(history) > 1:
        shown = history[-_TREND:]
        rows, errors = sum(one.rows for one in shown), sum(one.errors for one in shown)
        lines += [f"Last {_count(len(shown), 'archived day')}: {rows:,} rows, {errors:,} errors", "",
                  f"![rows and errors by day]({data_uri(days_plot(history, _TREND))})", ""]
    return "\n".join(lines).rstrip()


def _exceptions(manifest: Manifest) -> list[str]:
    plain = [ExceptionCount(type=f"{one.level} without exception", count=one.count, log_id=one.log_id)
             for one in manifest.plain_errors]
    kinds = sorted([*manifest.exceptions, *plain], key=lambda one: -one.count)
    if not kinds:
        return []
    lines = ["| exception | innermost frame | rows | one of them |", "| --- | --- | ---: | --- |"]
    lines += [f"| {_md(_middle(redact(one.type), _CELL) or '(none)')} | {_md(_middle(redact(one.frame), _CELL + 10))} "
              f"| {one.count:,} | {_md(one.log_id, 60)} |"
              for one in kinds[:_KINDS]]
    more = [f"{_count(len(kinds) - _KINDS, 'more kind')}"] if len(kinds) > _KINDS else []
    if manifest.other_exceptions:
        more.append(f"{_count(manifest.other_exceptions, 'exception')} of kinds that the manifest has no room for: a count may "
                    "be higher than shown")
    return [*lines, "", *([f"and {', and '.join(more)}", ""] if more else [])]


def _missing(manifest: Manifest) -> str:
    found = faults(manifest)
    if not found:
        return ", ".join(sorted({gap.reason for gap in manifest.gaps})) or "–"  # noqa: RUF001 - a dash in a table's cell
    first = found[0]
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return f"{first.start[11:16]}–{first.end[11:16]} {_md(first.reason, 60)}{more}"  # noqa: RUF001 - a span of time


def _name(source: LogSource, limit: int = 80) -> str:
    return _md(_middle(source.name, limit)) + (" (index)" if source.kind == "index" else "")


def _middle(text: str, limit: int) -> str:
    """The text without its middle, where it is longer: names differ at their ends."""
    return text if len(text) <= limit else f"{text[: limit - limit // 2 - 1]}…{text[-(limit // 2):]}"


def _share(errors: int, rows: int) -> str:
    if not rows:
        return "–"  # noqa: RUF001 - a dash in a table's cell
    share = errors / rows
    return "< 0.01 %" if 0 < share < 0.0001 else f"{share * 100:.2f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


_ESCAPES = str.maketrans({**{sign: f"\\{sign}" for sign in "\\*_[]~$"}, "&": "&amp;"})


def _md(text: str, limit: int = 200) -> str:
    """Text from outside as text of markdown, in a table's cell too: nothing in it is markup."""
    return inert(text, limit).translate(_ESCAPES)


def _url(url: str) -> str:
    """A link's target: spaces and brackets end one."""
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")
