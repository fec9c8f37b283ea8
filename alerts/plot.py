"""Two rows of bars over one axis of time, as an SVG of two to four kilobytes.

Drawn here, and not by a library, after trying: pygal gives 31 kB a chart, most of it styles for a mouse that an image in an
artifact never meets, with random ids that make two reports of the same day differ; it has no second scale (ten errors among a
million rows are invisible on the first) and no way to mark hours that were not read. matplotlib is fifty times this project's
own size. What is needed is rectangles and a dozen labels.

The artifact's page may be light (#eaeaeb) or dark (#26272b) and does not tell an image which, so nothing is drawn behind and
each color stands out from both: the gray of the labels by 3.5 to 1, which is the most that one color can.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import date, timedelta
from html import escape
from typing import NamedTuple

from ..api.times import day_span, parse_instant
from ..archive.manifest import Manifest
from .completeness import FAULTLESS
from .redact import inert

ROWS = "#3b7dd8"
ERRORS = "#e5484d"
TEXT = "#767d88"
_WIDTH, _LEFT, _RIGHT = 720, 56, 8
_UPPER, _LOWER, _TOP, _SPACE, _BOTTOM = 84, 52, 20, 22, 20
_LABEL = 36
"""Pixels that a label takes at most."""
_HOUR = 3600 * 1_000_000_000
_FEWEST = 14
"""Columns that there is room for at least: two days are two bars, not two halves of the plot."""


class Column(NamedTuple):
    """One hour, or one day."""

    rows: int
    errors: int
    missing: bool = False
    """Whether some of it was not read."""
    label: str = ""
    """Shown below the axis, from the column's left edge on, or up to its right one where there is no room; mostly empty."""


def hours_plot(manifest: Manifest) -> str:
    """The day's rows and errors by hour."""
    start = day_span(date.fromisoformat(manifest.dt)).start
    unread = [(parse_instant(gap.start), parse_instant(gap.end)) for gap in [*manifest.gaps, *manifest.unresolved_ties]]
    columns: list[Column] = []
    for hour in range(24):
        begin = start + hour * _HOUR
        missing = any(first < begin + _HOUR and last > begin for first, last in unread)
        columns.append(Column(_at(manifest.rows_by_hour, hour), _at(manifest.errors_by_hour, hour), missing,
                              f"{hour:02d}:00" if hour % 6 == 0 else ""))
    return draw(columns, f"{manifest.source.pipeline}, {manifest.dt}, by hour (UTC)", "24:00")


def days_plot(manifests: Sequence[Manifest], last: int = 30) -> str:
    """Rows and errors of the last archived days, on a calendar: days without a manifest among them are marked."""
    known = {manifest.dt: manifest for manifest in sorted(manifests, key=lambda one: (one.dt, one.revision))}
    shown = sorted(known)[-last:]
    columns: list[Column] = []
    if shown:
        newest = date.fromisoformat(shown[-1])
        day = max(date.fromisoformat(shown[0]), newest - timedelta(days=2 * last))  # a pipeline idle for a year is no plot
        while day <= newest:
            manifest = known.get(day.isoformat())
            label = day.isoformat()[5:] if (newest - day).days % 7 == 0 else ""
            if manifest is None:
                columns.append(Column(0, 0, missing=True, label=label))
            else:
                holes = any(gap.reason not in FAULTLESS for gap in manifest.gaps) or bool(manifest.unresolved_ties)
                columns.append(Column(manifest.rows, manifest.errors, holes, label))
            day += timedelta(days=1)
    pipeline = known[shown[-1]].source.pipeline if shown else ""
    return draw(columns, f"{pipeline}, by day (UTC)")


def data_uri(svg: str) -> str:
    """The image as what a markdown image may point to."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def draw(columns: Sequence[Column], title: str, end_label: str = "") -> str:
    """The SVG: rows above, errors below, each on its own scale, hatched where something was not read; newest at the right."""
    columns = [*[Column(0, 0)] * (_FEWEST - len(columns)), *columns]
    step = (_WIDTH - _LEFT - _RIGHT) / len(columns)
    upper, lower = _TOP + _UPPER, _TOP + _UPPER + _SPACE + _LOWER
    height = lower + _BOTTOM
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="system-ui,sans-serif" font-size="12" '
            f'fill="{TEXT}"><title>{escape(inert(title))}</title>')
    hatch = ('<defs><pattern id="h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
             f'<path d="M0 0V6" stroke="{TEXT}" stroke-width="2" stroke-opacity=".55"/></pattern></defs>')
    parts = [head, hatch]
    parts += _hatches(columns, step, lower)
    parts += _panel([column.rows for column in columns], step, upper, _UPPER, ROWS, "rows")
    parts += _panel([column.errors for column in columns], step, lower, _LOWER, ERRORS, "errors")
    for index, column in enumerate(columns):
        left = _LEFT + index * step
        if column.label:
            fits = left + _LABEL <= _WIDTH - _RIGHT
            parts.append(_text(left if fits else left + step, lower + 14, column.label, "start" if fits else "end"))
    if end_label:
        parts.append(_text(_WIDTH - _RIGHT, lower + 14, end_label, "end"))
    if any(column.missing for column in columns):
        parts.append(f'<rect x="{_WIDTH - _RIGHT - 112}" y="3" width="14" height="11" fill="url(#h)"/>'
                     + _text(_WIDTH - _RIGHT, 13, "not all archived", "end"))
    return "".join([*parts, "</svg>"])


def _panel(values: Sequence[int], step: float, base: int, height: int, color: str, name: str) -> list[str]:
    top = max(values, default=0)
    width = max(step * 0.8, 1)
    bars = "".join(
        f"M{_number(_LEFT + (index + 0.1) * step)} {base}v-{_number(max(value / top * height, 1.5))}h{_number(width)}V{base}z"
        for index, value in enumerate(values) if value)
    parts = [f'<path d="{bars}" fill="{color}"/>'] if bars else []
    parts.append(f'<path d="M{_LEFT} {base + 0.5}H{_WIDTH - _RIGHT}" stroke="{TEXT}" stroke-opacity=".7"/>')
    parts.append(f'<text x="{_LEFT}" y="{base - height - 6}" fill="{color}" font-weight="600">{name}</text>')
    parts.append(_text(_LEFT - 6, base, "0", "end"))
    if top:
        parts.append(_text(_LEFT - 6, base - height + 9, _short(top), "end"))
        parts.append(f'<path d="M{_LEFT} {base - height + 0.5}H{_WIDTH - _RIGHT}" stroke="{TEXT}" stroke-opacity=".3"/>')
    return parts


def _hatches(columns: Sequence[Column], step: float, lower: int) -> list[str]:
    size = f'width="{_number(step)}" height="{lower - _TOP}"'
    return [f'<rect x="{_number(_LEFT + index * step)}" y="{_TOP}" {size} fill="url(#h)"/>'
            for index, column in enumerate(columns) if column.missing]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _short(value: int) -> str:
    """Three digits at most: 950, 1.2k, 34k, 5.6M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            scaled = value / size
            return f"{scaled:.1f}".removesuffix(".0") + letter if scaled < 9.95 else f"{scaled:.0f}{letter}"
    return str(value)


def _at(values: Sequence[int], index: int) -> int:
    return values[index] if index < len(values) else 0
