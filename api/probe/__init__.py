"""Asks a real API what is not documented: read-only, at most 60 requests, a report without keys, names or log contents.

Each question is asked so that the rows themselves answer it: a page or two are read, and further requests are aimed at rows
that are known by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from ..client import DeepsetClient
from ..sources import LogSource
from . import cursor, filters, pages
from .ask import MAX_REQUESTS, TIME_LIMIT, Asker, Reply, UnansweredError
from .cursor import OLDER, Comparison, Sample
from .pages import End
from .report import QUESTIONS, Answer, ProbeReport, unanswered

__all__ = ["MAX_REQUESTS", "QUESTIONS", "Answer", "ProbeReport", "probe"]

_VENDOR = (".deepset.ai",)


def probe(client: DeepsetClient, source: LogSource, *, now: Callable[[], float] = time.time,
          sleep: Callable[[float], None] = time.sleep, max_requests: int = MAX_REQUESTS,
          time_limit: float = TIME_LIMIT) -> ProbeReport:
    """What the API answers to each of `QUESTIONS`, asked about one source. Takes some seconds; only reads.

    Best asked of a pipeline that logs a lot. Nothing else should use `client` meanwhile.

    Args:
        client: asks.
        source: whose logs are asked for.
        now: seconds since 1970.
        sleep: pauses before what failed is asked again.
        max_requests: at most so many requests.
        time_limit: seconds after which nothing more is asked.

    Raises:
        ApiError: the key or the names are wrong, or the API cannot be reached.
    """
    asked_before, started = client.requests_sent, now()
    asker = Asker(client, source, now, sleep, max_requests, time_limit)
    answers = _Answers()
    try:
        sample = cursor.take_sample(asker)
    except UnansweredError as why:
        answers.blame(why.problem)
    else:
        _ask_all(asker, sample, answers, started)
    return ProbeReport(
        platform=client.host if client.host.endswith(_VENDOR) else "another host than the vendor's", tool=_tool(),
        requests=client.requests_sent - asked_before, seconds=now() - started, clock_skew=client.clock_skew,
        rows=len(asker.seen), trouble=dict(asker.trouble), answers=answers.all())


class _Answers:
    """The answers so far; what is asked in vain stays open, with the reason."""

    def __init__(self) -> None:
        self._found: dict[str, Answer] = {}
        self._rest = "It was not asked."

    def blame(self, why: str) -> None:
        """Says why everything else stays open."""
        self._rest = why

    def put(self, *answers: Answer) -> None:
        self._found |= {answer.name: answer for answer in answers}

    def take(self, names: tuple[str, ...], ask: Callable[[], Answer | list[Answer]]) -> None:
        """Asks; the names stay open when there is no answer."""
        try:
            got = ask()
        except UnansweredError as why:
            self.put(*(unanswered(name, why.problem) for name in names if name not in self._found))
        else:
            self.put(*(got if isinstance(got, list) else [got]))

    def all(self) -> tuple[Answer, ...]:
        """One answer to each question, in their order."""
        return tuple(self._found.get(name) or unanswered(name, self._rest) for name in QUESTIONS)


def _ask_all(ask: Asker, sample: Sample, answers: _Answers, started: float) -> None:
    ways: list[Comparison] = []
    ascending: list[Reply] = []

    def order() -> Answer:
        answer, reply = cursor.ask_order(ask, sample)
        ascending.append(reply)
        return answer

    def comparison() -> list[Answer]:
        found, left = cursor.ask_comparison(ask, sample)
        ways.extend(left)
        return found

    answers.take(("direction",), lambda: cursor.ask_direction(ask, sample))
    answers.take(("order",), order)
    answers.take(("asc-after",), lambda: cursor.ask_ascending(ask, ascending[0]) if ascending else _give_up("order"))
    answers.take(("row-order",), lambda: cursor.ask_row_order(sample))
    answers.take(("page-size",), lambda: pages.ask_page_size(sample))
    leads = answers.all()[0].answer
    if leads == OLDER and sample.falls:
        answers.take(("after-equal", "after-precision"), comparison)
        answers.take(("ties",), lambda: cursor.ask_ties(ask, sample, ways) if ways else _give_up("after-precision"))
        answers.take(("has-more", "total"), lambda: _ends(ask, sample, ascending[0] if ascending else None, answers))
        answers.take(("retention",), lambda: pages.ask_retention(ask))
    else:
        answers.blame("It rests on a cursor that leads to older rows.")
    _ask_filters(ask, sample, answers)
    answers.take(("csv-limit", "csv-columns"), lambda: filters.ask_csv(ask, sample))
    answers.take(("late-rows",), lambda: pages.ask_late_rows(ask, sample, started))


def _ends(ask: Asker, sample: Sample, ascending: Reply | None, answers: _Answers) -> list[Answer]:
    end: End = pages.find_end(ask, sample, ascending)
    answers.take(("has-more",), lambda: pages.ask_has_more(ask, sample, end))
    return [pages.ask_total(ask, sample, end)]


def _ask_filters(ask: Asker, sample: Sample, answers: _Answers) -> None:
    nothing: list[str] = []

    def value_filter(field: filters.Field) -> Answer:
        answer, kind = filters.ask_value_filter(ask, field)
        nothing.extend([kind] if kind else [])
        return answer

    def nothing_found() -> Answer:
        return filters.ask_nothing_found(nothing)

    answers.take(("level-filter",), lambda: value_filter("level"))
    answers.take(("origin-filter",), lambda: value_filter("origin"))
    answers.take(("nothing-found",), nothing_found)
    answers.take(("level-case",), lambda: filters.ask_level_case(ask, sample))
    answers.take(("or-filter",), lambda: filters.ask_or(ask))
    answers.take(("time-filter",), lambda: filters.ask_time_filter(ask, sample))


def _give_up(name: str) -> Answer:
    raise UnansweredError(f"It rests on the answer to `{name}`.")


def _tool() -> str:
    try:
        return f"prefect-deepset {version('prefect-deepset')}"
    except PackageNotFoundError:  # used from a source tree
        return "prefect-deepset"
