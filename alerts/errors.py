"""Errors of alerts.

::

    AlertError
    ├── AlertStateError          a transition in the bucket cannot be read
    └── ClaimConflictError     ↻ other workers took every number that was tried

↻ marks ``transient = True``. A rule that makes no sense is an `InvalidInputError`, or pydantic's own error in a form. A
message that could not be sent is no error of the run: it is recorded as unsent, shown, and sent again.
"""

from __future__ import annotations

from ..api.errors import AlertError

__all__ = ["AlertError", "AlertStateError", "ClaimConflictError"]


class AlertStateError(AlertError):
    """A transition in the bucket cannot be read."""


class ClaimConflictError(AlertError):
    """Other workers took every number that was tried."""

    transient = True
