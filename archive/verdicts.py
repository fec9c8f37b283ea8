"""What verification says: what was found, where, and how much of the archive is valid."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

FindingKind = Literal["modified", "missing", "moved", "gap", "broken-link", "foreign", "unsigned"]
"""What can be found.

* ``modified``: an object's bytes, or what a manifest says of them, are not what they were.
* ``missing``: a part, a revision or a day's manifest that must be there is not.
* ``moved``: it is not where it was; its bytes lie under another key, which `detail` names.
* ``gap``: rows that a manifest says could not be read. Nothing is wrong with the archive: it says so itself.
* ``broken-link``: a revision does not lead to the one before it.
* ``foreign``: no manifest names the object.
* ``unsigned``: a key was given, and neither the manifest nor a later revision is signed with it.
"""


class _Verdict(BaseModel):
    model_config = ConfigDict(frozen=True)


class Finding(_Verdict):
    """One thing found."""

    kind: FindingKind
    key: str
    """The object's key; of a missing day the folder of its manifests."""
    detail: str

    @property
    def wrong(self) -> bool:
        """Whether it speaks against the archive; a gap that the archive itself records does not."""
        return self.kind != "gap"

    def __str__(self) -> str:
        return f"{self.kind}: {self.key}: {self.detail}"


class Findings:
    """Findings as they are gathered: what is said of one object under one kind becomes one finding."""

    def __init__(self) -> None:
        self._details: dict[tuple[FindingKind, str], list[str]] = {}

    def add(self, kind: FindingKind, key: str, detail: str) -> None:
        """Adds what was found; a detail said before is not repeated."""
        details = self._details.setdefault((kind, key), [])
        if detail not in details:
            details.append(detail)

    def drop(self, kind: FindingKind, key: str) -> None:
        """Takes a finding back, because a better one explains it."""
        self._details.pop((kind, key), None)

    def speak_against(self, key: str) -> bool:
        """Whether anything wrong was found about the object."""
        return any(about == key and kind != "gap" for kind, about in self._details)

    def all(self) -> list[Finding]:
        """In the order they were found."""
        return [Finding(kind=kind, key=key, detail="; ".join(details)) for (kind, key), details in self._details.items()]


class DayVerdict(_Verdict):
    """One day of one source."""

    workspace: str
    source: str
    """The pipeline's or index's name."""
    kind: Literal["pipeline", "index"] = "pipeline"
    day: date
    findings: list[Finding]
    manifests: int
    """Revisions there must be, missing ones included."""
    manifests_valid: int
    parts: int
    """Objects that the manifests name, of every format."""
    parts_valid: int
    rows: int
    """Rows counted in the valid jsonl parts of the newest revision."""
    status: str | None
    """The newest valid revision's; None where there is none."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong and no row is known to be lacking."""
        return not self.findings

    def __str__(self) -> str:
        verdict = "valid" if self.ok else "WRONG"
        return (f"{self.kind} {self.source} {self.day}: {verdict}, {self.manifests_valid}/{self.manifests} manifests valid, "
                f"{self.parts_valid}/{self.parts} parts valid, {self.rows:,} rows")


class ArchiveVerdict(_Verdict):
    """Every day that was verified, and what lies outside of the days."""

    workspace: str
    days: list[DayVerdict]
    findings: list[Finding]
    """What belongs to no day: foreign objects, sources without an archive."""

    @property
    def all_findings(self) -> list[Finding]:
        """Those of the days as well."""
        return [finding for day in self.days for finding in day.findings] + self.findings

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.all_findings)

    @property
    def complete(self) -> bool:
        """Whether nothing is wrong and no row is known to be lacking."""
        return not self.all_findings

    @property
    def rows(self) -> int:
        """Rows of all days."""
        return sum(day.rows for day in self.days)

    @property
    def summary(self) -> str:
        """One line: ``30/30 manifests valid, 31/31 parts valid, 30 days, 12,345 rows`` and the findings by kind."""
        manifests, manifests_valid = sum(day.manifests for day in self.days), sum(day.manifests_valid for day in self.days)
        parts, parts_valid = sum(day.parts for day in self.days), sum(day.parts_valid for day in self.days)
        kinds = Counter(finding.kind for finding in self.all_findings)
        found = "".join(f", {number} {kind}" for kind, number in sorted(kinds.items()))
        return (f"{manifests_valid}/{manifests} manifests valid, {parts_valid}/{parts} parts valid, {len(self.days)} days, "
                f"{self.rows:,} rows{found}")
