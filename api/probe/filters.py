"""Questions about filters and CSV."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from ..client import MAX_LIMIT
from ..csv_records import Records
from ..errors import BadRequestError, CsvHeaderError, NoLogsError, ResponseError, UnprocessableError
from ..filters import level_filter, origin_filter
from ..rows import Row
from ..times import format_instant
from .ask import Asker, UnansweredError
from .cursor import Sample
from .report import Answer, graded

Field = Literal["level", "origin"]

_NO_SUCH = "no-such-value-prefect-deepset-probe"
_COLUMNS = {"log_id", "message", "logged_at", "level", "origin", "exceptions", "extra_fields"}
_CSV_LIMIT = 2
_ENOUGH_ROWS = 10


def ask_value_filter(ask: Asker, field: Field) -> tuple[Answer, str]:
    """Whether a filter is honoured, by a value that no row has; and what is answered when no row fits ("" where unknown)."""
    name = f"{field}-filter"
    reply = ask.page(filter=level_filter(_NO_SUCH) if field == "level" else origin_filter(_NO_SUCH), limit=10)
    if reply.refused:
        return graded(name, "refused", f"a value that no row has: {reply.kind}"), ""
    if reply.rows:
        return graded(name, "ignored", f"a value that no row has: {len(reply.rows)} rows"), ""
    return graded(name, "honoured", f"a value that no row has: {reply.kind}"), reply.kind


def ask_nothing_found(kinds: list[str]) -> Answer:
    """What is answered when no row fits, as the filters before have shown."""
    if not kinds:
        raise UnansweredError("No filter was honoured.")
    return graded("nothing-found", kinds[0], "a filter that no row fits")


def ask_level_case(ask: Asker, sample: Sample) -> Answer:
    """Whether ``INFO`` finds rows of ``info``."""
    levels = Counter(row.level for row in sample.rows)
    in_one_case = (level for level, _ in levels.most_common() if level.swapcase() not in levels and level.swapcase() != level)
    wanted = next(in_one_case, "")
    if not wanted:
        raise UnansweredError("No level was seen in one case only.")
    reply = ask.page(filter=level_filter(wanted.swapcase()), limit=10)
    if reply.refused:
        return graded("level-case", "a filter in the other case is refused", reply.kind)
    found = any(row.level == wanted for row in reply.rows)
    return graded("level-case", "no" if found else "yes", f"the commonest level in the other case: {len(reply.rows)} rows")


def ask_or(ask: Asker) -> Answer:
    """Whether ``or`` works, by two values that no row has and a value that some have."""
    level = Counter(row.level for row in ask.seen.values()).most_common(1)[0][0]
    nothing = ask.page(filter=f"{level_filter(_NO_SUCH)} or {origin_filter(_NO_SUCH)}", limit=10)
    if nothing.refused:
        return graded("or-filter", "refused", nothing.kind)
    if nothing.rows:
        return graded("or-filter", "ignored", f"two values that no row has: {len(nothing.rows)} rows")
    some = ask.page(filter=f"{level_filter(_NO_SUCH)} or {level_filter(level)}", limit=10)
    said = "honoured" if some.rows and all(row.level == level for row in some.rows) else "wrong rows"
    return graded("or-filter", said, f"two values that no row has: {nothing.kind}; one of two: {len(some.rows)} rows")


def ask_time_filter(ask: Asker, sample: Sample) -> Answer:
    """Whether `logged_at` may be bounded, by bounds around rows that are known."""
    if not sample.falls:
        raise UnansweredError("The first page is not the newest.")
    low, high, inside = _window(sample.rows)
    bounds = [f"logged_at ge '{format_instant(low)}'", f"logged_at lt '{format_instant(high)}'"]
    reply = ask.page(filter=bounds[0])
    if reply.refused:
        return graded("time-filter", "refused", reply.kind)
    both = ask.page(filter=" and ".join(bounds))
    got = set(both.ids)
    below = any(row.logged_at < low for row in [*reply.rows, *both.rows])
    above = any(row.logged_at >= high for row in both.rows)
    if inside <= got and not below and not above:
        said = "honoured"
    elif inside <= got and below and above:
        said = "ignored"
    elif reply.rows and not {row.log_id for row in sample.rows if row.logged_at >= low} & set(reply.ids):
        said = "the wrong way round"
    else:
        said = "wrong: other rows come"
    return graded("time-filter", said, f"{len(inside)} rows lie between two bounds: {len(got & inside)} of them came, "
                                       f"{len(got - inside)} others; {len(reply.rows)} with the lower bound alone")


def _window(rows: list[Row]) -> tuple[int, int, set[str]]:
    """Bounds within the first page, and the ids of the rows between them."""
    times = sorted({row.logged_at for row in rows[:MAX_LIMIT]}, reverse=True)
    if len(times) < _ENOUGH_ROWS:
        raise UnansweredError("There are too few rows, or too many of one instant.")
    high, low = times[len(times) // 4], times[len(times) // 2]
    return low, high, {row.log_id for row in rows if low <= row.logged_at < high}


def ask_csv(ask: Asker, sample: Sample) -> list[Answer]:
    """Columns, and whether `limit` applies. No more than a dozen records are read."""
    def read() -> tuple[tuple[str, ...], int]:
        with ask.client.logs_csv(ask.source, limit=_CSV_LIMIT) as lines:
            records = Records(lines, str(ask.source), ask.client.redact)
            count = sum(1 for _ in zip(range(_ENOUGH_ROWS), records, strict=False))
        return records.header.names if records.header else (), count

    try:
        names, count = ask.patiently(read)
    except CsvHeaderError:
        return [graded("csv-limit", "could not be told", "the columns are not known"),
                graded("csv-columns", "not the ones known", "a column is missing that every row needs")]
    except (BadRequestError, UnprocessableError, NoLogsError) as refusal:
        raise UnansweredError(f"CSV is refused ({refusal.status}).") from refusal
    except ResponseError as error:
        raise UnansweredError("What came is no CSV.") from error
    if not names:
        raise UnansweredError("The CSV is empty.")
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_") for name in names}
    others = f"{len(plain & _COLUMNS)} of the contract's, {len(plain - _COLUMNS)} others"
    columns = "the contract's" if plain == _COLUMNS else others
    spelt = "spelt alike" if set(names) == _COLUMNS else "spelt otherwise" if plain == _COLUMNS else "others beside them"
    answers = [graded("csv-columns", columns, f"{len(names)} columns, {spelt}")]
    if count < _CSV_LIMIT or len(sample.rows) < _ENOUGH_ROWS:
        raise UnansweredError("There are too few rows.")
    came = f"{'at least ' if count == _ENOUGH_ROWS else ''}{count} came"
    return [graded("csv-limit", "honoured" if count == _CSV_LIMIT else "ignored", f"{_CSV_LIMIT} asked for, {came}"), *answers]
