"""A transition: one change of one rule's state on one pipeline, with all that its message says.

Whoever claims a transition may die before it is told, and another run then tells it: so the claim holds the whole story.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..api.sources import LogSource
from ..archive.manifest import Source
from .errors import AlertStateError
from .events import Missing
from .verdicts import State

FORMAT_VERSION = 1


class Example(BaseModel):
    """One kind of exception, with a row that shows it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    frame: str = ""
    count: int = 0
    log_id: str = ""
    text: str = ""
    """The row's message, redacted and shortened; empty where it was not looked up."""


class Transition(BaseModel):
    """One numbered transition, as it is stored."""

    model_config = ConfigDict(extra="allow", frozen=True)

    format_version: int = FORMAT_VERSION
    claim_id: str
    """Tells a worker's own claim, repeated by its SDK, from another worker's."""
    number: int
    """From 1, without holes."""
    at: str
    """When it was claimed. RFC 3339, UTC."""
    source: Source
    rule: str
    rule_kind: str
    dt: str
    """The UTC day that was judged."""
    revision: int = 0
    """The revision that was judged; 0 where the day has none."""
    status: str = ""
    state: State
    previous: State
    late: bool = False
    """The day is older than the newest one judged: told once, and the state that stands stays as it is."""
    incomplete: bool = False
    since: str = ""
    """The day on which it began to fire, on a resolving transition too; empty where nothing fired."""
    value: float = 0
    threshold: float = 0
    detail: str = ""
    """One sentence or two: how many against what, and what is missing."""
    kinds: list[str] = Field(default_factory=list[str])
    """New kinds of exception, where the rule looks for them."""
    alerted: tuple[str, ...] = ()
    """All kinds that fired since `since`: the alert is over when none of them is left. Where it is over, what is gone."""
    rows: int = 0
    errors: int = 0
    late_rows: int = 0
    examples: list[Example] = Field(default_factory=list[Example])
    gaps: list[Missing] = Field(default_factory=list[Missing])
    unresolved_ties: int = 0
    manifest_key: str = ""
    folder: str = ""
    """Where the day's rows lie, as a key's prefix."""

    @property
    def log_source(self) -> LogSource:
        """The source, as the API and the keys name it."""
        return LogSource(self.source.workspace, self.source.pipeline, self.source.kind)

    @property
    def tells_of_gap(self) -> bool:
        """Whether its news is that something is missing: where nothing fires, and where what fired before fires on."""
        fires_on = self.state is State.FIRING and self.previous is State.FIRING and not self.late and not self.kinds
        return self.state is State.INCOMPLETE or (fires_on and self.incomplete)

    def to_bytes(self) -> bytes:
        """The bytes to store."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, body: bytes, key: str) -> Transition:
        """The transition in an object.

        Raises:
            AlertStateError: when it is none; names `key`.
        """
        try:
            transition = cls.model_validate_json(body)
        except ValidationError as error:
            reason = error.errors(include_input=False)[0]["msg"]
            advice = "Restore it from a version or backup, or move the alert's folder away: it starts anew."
            raise AlertStateError(f"{key} is not a transition of an alert: {reason}.", advice) from error
        if transition.format_version > FORMAT_VERSION:
            known = f"this tool knows up to {FORMAT_VERSION}"
            raise AlertStateError(f"{key} has format version {transition.format_version}; {known}.", "Upgrade prefect-deepset.")
        return transition
