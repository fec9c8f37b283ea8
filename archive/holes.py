"""A stretch that is not known to be whole."""

from __future__ import annotations

from typing import NamedTuple

from ..api.learned import shown_since
from ..api.times import SECOND, Span
from ..api.walk import ceil_to

REPLACED = "pipeline-replaced"
"""The reason where another pipeline of the name may have written, and is shown no more."""


class Hole(NamedTuple):
    """A stretch that is not known to be whole."""

    span: Span
    reason: str

    def mendable(self, now: float) -> bool:
        """Whether a later run may still read it."""
        return self.reason not in {"before-first-run", "pipeline-gone", REPLACED} and self.span.end > whole_since(now)


def whole_since(now: float) -> int:
    """The first whole second that is surely shown at `now` (seconds since 1970); holes begin and end on whole seconds."""
    return ceil_to(shown_since(now), SECOND)
