"""What a probe found out about an API, as a report that can be pasted anywhere: no key, no names, no log contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Grade = Literal["usual", "handled", "stops", "open"]
"""``usual``: the likeliest answer. ``handled``: another one, under which reads are complete all the same. ``stops``: reads end
with an error under it, so that nothing is lost silently, and nothing is archived either. ``open``: not answered."""


class Question(NamedTuple):
    """One thing that is not documented."""

    text: str
    usual: frozenset[str]
    """The likeliest answers."""
    stops: frozenset[str] = frozenset()
    """Answers under which a read ends with an error."""


def _question(text: str, *usual: str, stops: tuple[str, ...] = ()) -> Question:
    return Question(text, frozenset(usual), frozenset(stops))


QUESTIONS: dict[str, Question] = {
    "direction": _question("Under DESC, where does `after` continue?", "to older rows",
                           stops=("to newer rows", "nowhere: it is ignored")),
    "order": _question("Is `order` honoured?", "honoured", stops=("reversed", "always oldest first")),
    "asc-after": _question("Under ASC, where does `after` continue?", "to newer rows", "to older rows"),
    "after-equal": _question("Are rows at exactly `after` shown again?", "no (exclusive)"),
    "after-precision": _question("How finely is `after` compared?", "microseconds", "milliseconds or finer"),
    "row-order": _question("Are a page's rows in order of time?", "in order"),
    "ties": _question("Do rows of one instant come in the same order each time?", "same order"),
    "page-size": _question("Does a page hold as many rows as asked for?", "yes"),
    "has-more": _question("When is `has_more` true?", "exactly when there is more"),
    "total": _question("What does `total` count?", "rows from the cursor on"),
    "level-filter": _question("Is a filter on `level` honoured?", "honoured"),
    "level-case": _question("Does that filter tell upper from lower case?", "yes", "no"),
    "origin-filter": _question("Is a filter on `origin` honoured?", "honoured"),
    "or-filter": _question("Does a filter with `or` work?", "honoured", "refused"),
    "time-filter": _question("May a filter bound `logged_at`?", "honoured", "refused"),
    "nothing-found": _question("What is the answer when no row fits?", "an empty page"),
    "retention": _question("What does a request for older than two days answer?", "an empty page"),
    "late-rows": _question("Do rows become visible late?", "none seen"),
    "csv-limit": _question("Does `limit` apply to CSV?", "honoured", "ignored"),
    "csv-columns": _question("Which columns has the CSV?", "the contract's"),
}
"""Every question, by the name that the report and the documentation use."""


class Answer(NamedTuple):
    """What one question got."""

    name: str
    answer: str
    """A few words; "not answered" where `grade` is ``open``."""
    evidence: str
    """One sentence: what was seen, in numbers."""
    grade: Grade

    @property
    def question(self) -> str:
        """The question in full."""
        return QUESTIONS[self.name].text


def graded(name: str, answer: str, evidence: str) -> Answer:
    """An answer with the grade that the question gives it."""
    question = QUESTIONS[name]
    return Answer(name, answer, evidence,
                  "usual" if answer in question.usual else "stops" if answer in question.stops else "handled")


def unanswered(name: str, why: str) -> Answer:
    """A question that could not be answered."""
    return Answer(name, "not answered", why, "open")


@dataclass(frozen=True)
class ProbeReport:
    """The answers, in the order of `QUESTIONS`, and how they were got."""

    platform: str
    """The vendor's host, or that it is another one (whose name is not told)."""
    tool: str
    requests: int
    seconds: float
    clock_skew: float | None
    """Seconds this machine's clock is ahead of the API's."""
    rows: int
    """Distinct rows seen."""
    trouble: dict[str, int]
    """Answers that had to be asked for again, by kind."""
    answers: tuple[Answer, ...]

    def answer(self, name: str) -> Answer:
        """The answer to one question."""
        return next(answer for answer in self.answers if answer.name == name)

    @property
    def ok(self) -> bool:
        """Whether no answer is one under which reads end with an error."""
        return not any(answer.grade == "stops" for answer in self.answers)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        skew = "unknown" if self.clock_skew is None else f"{self.clock_skew:+.1f} s"
        trouble = ", ".join(f"{kind} {count}x" for kind, count in sorted(self.trouble.items())) or "none"
        marks = {"usual": "as usual", "handled": "handled", "stops": "**reads stop**", "open": "open"}
        rows = [f"| {answer.name} | {answer.question} | {answer.answer} | {marks[answer.grade]} | {answer.evidence} |"
                for answer in self.answers]
        return "\n".join([
            "# What this deepset API answers", "",
            f"- platform: {self.platform}", f"- tool: {self.tool}",
            f"- {self.requests} requests in {self.seconds:.1f} s, {self.rows} rows seen; asked again: {trouble}",
            f"- clock: this machine is {skew} against the API", "",
            "| name | question | answer | | seen |", "| --- | --- | --- | --- | --- |", *rows, "",
        ])
