"""How an archive is written."""

from __future__ import annotations

from typing import NamedTuple

from .compression import Compression
from .plan import TIME_LIMIT
from .redaction import RedactionPolicy


class ArchiveOptions(NamedTuple):
    """How a day is written."""

    compression: Compression = "gzip"
    formats: tuple[str, ...] = ("jsonl",)
    tool_version: str = ""
    redaction: RedactionPolicy | None = None
    signing_key: bytes | None = None
    time_limit: float | None = TIME_LIMIT

    def __repr__(self) -> str:
        # A key must not show, not even where a log prints what a call was given.
        shown = self._replace(signing_key=b"**********" if self.signing_key else None)._asdict()
        return f"ArchiveOptions({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
