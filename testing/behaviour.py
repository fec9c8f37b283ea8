"""The answers that are not known about the real API, each as one switch.

The defaults are the likeliest ones. Software that archives logs has to be right under every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Support = Literal["honoured", "ignored", "400"]

CSV_COLUMNS = ("log_id", "message", "logged_at", "level", "origin", "exceptions", "extra_fields")


@dataclass(frozen=True)
class Behaviour:
    """How the fake answers; change it at any time with ``server.behaviour = Behaviour(...)``."""

    # --- the cursor
    after_inclusive: bool = False
    """Whether rows at exactly `after` are shown again."""
    after_precision: Literal["us", "ms", "s"] = "us"
    """Rows and `after` are cut to this before they are compared."""
    asc_after: Literal["newer", "older"] = "newer"
    """Under ASC: rows newer than `after`; or always older ones, so that the cursor gets nowhere."""
    after_honoured: bool = True
    """False: the cursor is ignored, and every answer is the first page."""
    order: Literal["honoured", "ignored", "reversed"] = "honoured"
    """"ignored": always DESC; "reversed": ASC when DESC was asked for and the other way round."""
    limit_cap: int | None = None
    """Pages hold at most so many rows, without a word, whatever `limit` says."""

    # --- the order of rows that are close together
    tie_order: Literal["stable", "random", "by_id"] = "stable"
    """Rows of one instant: as added (newest first under DESC), shuffled anew in each request, or by `log_id`."""
    disorder: Literal["none", "stable", "random"] = "none"
    """Rows of one millisecond: in order; shuffled, the same each time; or shuffled anew in each request."""

    # --- what stands beside the rows
    has_more: Literal["exact", "full_page", "until_empty", "false"] = "exact"
    """"full_page": true whenever the page is full; "until_empty": true on every page with rows; "false": never true."""
    total: Literal["after", "all", "capped", "zero", "null"] = "after"
    """Rows matching the query beyond the cursor; all that match the filter; the same, at most 10,000; always 0; null."""
    pretty_json: bool = False
    """Line breaks between tokens, in the page and inside its rows."""

    # --- filters
    level_filter: Support = "honoured"
    origin_filter: Support = "honoured"
    level_case: Literal["exact", "any"] = "exact"
    """Whether ``level eq 'error'`` also finds ``ERROR``."""
    or_filter: Support = "400"
    """Whether ``or`` works; "ignored": a filter with an ``or`` selects everything."""
    time_filter: Literal["honoured", "ignored", "400", "wrong", "inverted"] = "honoured"
    """Whether ``logged_at`` may be bounded; "wrong": taken for local time, one hour off; "inverted": shows what is outside."""

    # --- what is not shown
    retention_hours: float = 48.0
    """Older rows are not shown."""
    retention_answer: Literal["empty", "400", "shown"] = "empty"
    """To an `after` older than retention; "shown": retention hides nothing at all."""
    no_logs: Literal["404", "empty", "404_always"] = "404"
    """A pipeline without any shown row; "404_always": any query without a row, the end of a walk among them."""
    deleted_logs: Literal["404", "shown", "empty"] = "404"
    """Whether a deleted pipeline's logs can still be read; "empty": a page without rows is the answer."""
    list_deleted: bool = True
    """Whether deleted pipelines are listed, with ``deleted: true``."""

    # --- CSV
    csv_limit_honoured: bool = True
    """False: a CSV answer holds everything from the cursor on."""
    csv_columns: tuple[str, ...] = CSV_COLUMNS
    """The fields, in the order of the columns. Fields that rows lack are empty."""
    csv_header: tuple[str, ...] | None = None
    """The names in the header, where they are not the fields' own."""
    csv_bom: bool = False

    # --- the way there
    redirect_to: str | None = None
    """Another base URL, such as ``http://127.0.0.1:9``: every request is redirected (307) to it."""
