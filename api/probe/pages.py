"""Questions about what stands beside the rows of a page, and about the ends of what is shown."""

from __future__ import annotations

from typing import NamedTuple

from ..times import SECOND
from .ask import Asker, Reply, UnansweredError
from .cursor import Sample
from .report import Answer, graded

_MOST_HALVINGS = 10
_TWO_WEEKS = 14 * 86_400 * SECOND
_SAID_CAP = 10_000
_PAGES_AGAIN = 3
_OLD = 49 * 3600 * SECOND


class End(NamedTuple):
    """A short page at the end of what is shown."""

    after: int | None
    reply: Reply


def ask_page_size(sample: Sample) -> Answer:
    """Whether pages are as large as asked for; the pages are there already."""
    sizes = [len(page.rows) for page in sample.pages]
    inner = sizes[:-1] if len(sizes) > 1 else sizes if sample.pages[0].has_more else []
    if not inner:
        raise UnansweredError(f"There are only {sizes[0]} rows.")
    return graded("page-size", "yes" if min(inner) >= 100 else f"at most {max(sizes)}", f"100 asked for, {max(sizes)} came")


def find_end(ask: Asker, sample: Sample, ascending: Reply | None) -> End:
    """A page of 2 to 99 rows with none behind it."""
    if sample.ended and 2 <= len(sample.pages[-1].rows) < 100:
        after = None if len(sample.pages) == 1 else sample.pages[-2].rows[-1].logged_at
        return End(after, sample.pages[-1])
    low, high = int(ask.now() * SECOND) - _TWO_WEEKS, min(row.logged_at for row in sample.rows)
    guess = high
    if ascending is not None and ascending.rows and ascending.rows[0].logged_at < ascending.rows[-1].logged_at:
        guess = ascending.rows[min(40, len(ascending.rows) - 1)].logged_at
        low = ascending.rows[0].logged_at
    for _ in range(_MOST_HALVINGS):
        reply = ask.page(guess)
        if 2 <= len(reply.rows) < 100:
            return End(guess, reply)
        if len(reply.rows) < 2:
            low = guess
        else:
            high = guess
        guess = (low + high) // 2
    raise UnansweredError("The end of what is shown was not found.")


def ask_has_more(ask: Asker, sample: Sample, end: End) -> Answer:
    """When `has_more` is true."""
    count = len(end.reply.rows)
    full = ask.page(end.after, count)
    if len(full.rows) != count:
        raise UnansweredError("The end of what is shown moved meanwhile.")
    first = sample.pages[0].has_more or len(sample.rows) <= len(sample.pages[0].rows)
    said = {(False, False): "exactly when there is more", (False, True): "when the page is full",
            (True, True): "on every page with rows"}.get((end.reply.has_more, full.has_more), "no rule was found")
    if not first:
        said = "never"
    return graded("has-more", said, f"the last {count} rows: {_word(end.reply.has_more)} at limit 100, "
                                    f"{_word(full.has_more)} at limit {count}; first page: {_word(sample.pages[0].has_more)}")


def _word(value: bool) -> str:
    return "true" if value else "false"


def ask_total(ask: Asker, sample: Sample, end: End) -> Answer:
    """What `total` counts."""
    first, last, count = sample.pages[0].total, end.reply.total, len(end.reply.rows)
    seen = f"first page: {first}; last {count} rows: {last}"
    if first is None and last is None:
        return graded("total", "it is absent", seen)
    if first == last == 0:
        return graded("total", "it is always 0", seen)
    if first == last == count:  # one page holds everything: from a place inside, the two meanings part
        row = end.reply.rows[0]
        inner = ask.page(row.logged_at)
        first, last, count = count, inner.total, len(inner.rows)
        seen += f"; from inside, {count} rows: {last}"
    if last == count != first:
        said = "rows from the cursor on" + (", at most 10,000" if first == _SAID_CAP else "")
    elif last == first:
        said = "all rows, at most 10,000" if first == _SAID_CAP else "all rows, wherever the cursor is"
    else:
        said = "no rule was found"
    return graded("total", said, seen)


def ask_retention(ask: Asker) -> Answer:
    """What is answered beyond two days."""
    reply = ask.page(int(ask.now() * SECOND) - _OLD)
    if reply.rows:
        oldest = (ask.now() - min(row.logged_at for row in reply.rows) / SECOND) / 3600
        return graded("retention", "rows: they are still shown", f"after the time 49 h ago: rows up to {oldest:.1f} h old")
    return graded("retention", reply.kind, f"after the time 49 h ago: {reply.kind}")


def ask_late_rows(ask: Asker, sample: Sample, sampled_at: float) -> Answer:
    """Whether rows turned up meanwhile behind the newest one of the first page."""
    page = sample.pages[0].rows
    newest, oldest = max(row.logged_at for row in page), min(row.logged_at for row in page)
    known = {row.log_id for row in sample.rows}
    if not sample.falls:
        raise UnansweredError("The first page is not the newest.")
    late = newer = 0
    cursor: int | None = None
    for _ in range(_PAGES_AGAIN):
        reply = ask.page(cursor)
        times = [row.logged_at for row in reply.rows]
        late += sum(oldest < row.logged_at <= newest and row.log_id not in known for row in reply.rows)
        newer += sum(row.logged_at > newest for row in reply.rows)
        known |= set(reply.ids)
        if not times or min(times) <= oldest:
            break
        cursor = min(times)
    passed, age = ask.now() - sampled_at, sampled_at - newest / SECOND
    seen = f"the newest row was {age:.0f} s old; {passed:.0f} s later {newer} newer rows, {late} behind it"
    return graded("late-rows", f"yes: {late} of them" if late else "none seen", seen)

