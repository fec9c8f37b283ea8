"""Every error this project raises.

::

    DeepsetError
    ├── InvalidInputError            a parameter is wrong; nothing was asked or written (also a ValueError)
    ├── ApiError                     the deepset API
    │   ├── TransportError         ↻ no answer: refused, reset, cut short, timed out while connecting
    │   ├── ReadTimeoutError       ↻ the server accepted the request and did not answer in time
    │   ├── ResponseError          ↻ an answer that is not what the contract says (HTML, half a page), mostly with status 200
    │   ├── RedirectError            a redirect that would carry the key to another host
    │   └── StatusError              an error status; the common ones have a class of their own
    │       ├── BadRequestError      400  a filter or a time the server refuses
    │       ├── AuthenticationError  401  the key is wrong, revoked or expired
    │       ├── PermissionDeniedError 403
    │       ├── NotFoundError        404  told apart by a second request where possible:
    │       │   ├── WorkspaceNotFoundError
    │       │   ├── PipelineNotFoundError
    │       │   └── NoLogsError           the pipeline exists and has no logs
    │       ├── UnprocessableError   422
    │       ├── RateLimitedError   ↻ 429
    │       ├── ServerError        ↻ 408, 425, and 5xx but for 504, 524 and those that say "never" (501, 505, ...)
    │       └── GatewayTimeoutError ↻ 504 "Fetching logs timed out", and 524
    ├── ReadError                    reading a span completely
    │   ├── CursorError              time does not move as the contract says; going on would lose rows
    │   ├── EndDisputedError       ↻ the server says "no more" while its own total says otherwise
    │   ├── TimeBudgetError          the cap on the time spent was reached
    │   ├── TooManyRowsError         more rows than the caller allowed
    │   ├── IncompleteReadError      a part of the span could not be read, and the caller asked for all of it
    │   └── CsvHeaderError           the CSV's columns are not the ones known
    ├── ArchiveError                 see prefect_deepset.archive.errors
    └── AlertError                   see prefect_deepset.alerts.errors

↻ marks ``transient = True``: the one place that says what is worth asking again. Messages name the place (workspace,
pipeline, span) and what to do next. They never hold a key. All of them pickle: every field is an argument.
"""

from __future__ import annotations


class DeepsetError(Exception):
    """The root.

    Args:
        problem: what is wrong, one sentence, without secrets.
        advice: what to do next, one sentence.
        where: the place, such as ``workspace 'w', pipeline 'p', 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z``.
    """

    transient: bool = False

    def __init__(self, problem: str = "", advice: str = "", where: str = "") -> None:
        super().__init__(problem, advice, where)
        self.problem = problem
        self.advice = advice
        self.where = where

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        advice = f" {self.advice}" if self.advice else ""
        return f"{self.problem}{place}{advice}"


class InvalidInputError(DeepsetError, ValueError):
    """A parameter is wrong; nothing was asked or written."""


class ApiError(DeepsetError):
    """Something about the deepset API."""


class TransportError(ApiError):
    """The server could not be reached, or the connection broke."""

    transient = True


class ReadTimeoutError(ApiError):
    """The server took the request and did not answer in time: what a 504 is, seen from a shorter clock."""

    transient = True


class ResponseError(ApiError):
    """An answer, mostly with status 200, that is not what the contract says."""

    transient = True


class RedirectError(ApiError):
    """A redirect the key must not follow."""


class StatusError(ApiError):
    """The server answered with an error status.

    Args:
        problem, advice, where: as in `DeepsetError`.
        status: the HTTP status.
        retry_after: seconds the server asked to wait, or None.
    """

    web_page = False
    """Whether the body was HTML: the API answers in JSON, so something in between did."""

    def __init__(
        self, problem: str = "", advice: str = "", where: str = "", status: int = 0, retry_after: float | None = None
    ) -> None:
        super().__init__(problem, advice, where)
        self.args = (problem, advice, where, status, retry_after)  # what pickle hands back to __init__
        self.status = status
        self.retry_after = retry_after


class BadRequestError(StatusError):
    """400: a filter or a time the server refuses."""


class AuthenticationError(StatusError):
    """401: the key is wrong, revoked or expired."""


class PermissionDeniedError(StatusError):
    """403: the key is valid and may not do this."""


class NotFoundError(StatusError):
    """404."""


class WorkspaceNotFoundError(NotFoundError):
    """No such workspace, or the key does not see it."""


class PipelineNotFoundError(NotFoundError):
    """No such pipeline (or index)."""


class NoLogsError(NotFoundError):
    """The pipeline exists and has no logs."""


class UnprocessableError(StatusError):
    """422: a parameter is malformed."""


class RateLimitedError(StatusError):
    """429."""

    transient = True


class ServerError(StatusError):
    """The server or a proxy before it has trouble: 408, 425, and every 5xx that is neither a timeout (504, 524) nor final (501,
    505, 506, 508, 510, 511)."""

    transient = True


class GatewayTimeoutError(StatusError):
    """504: "Fetching logs timed out", a documented, normal answer; or 524, its twin."""

    transient = True


class ReadError(DeepsetError):
    """A span of time could not be read completely."""


class CursorError(ReadError):
    """Time does not move as the contract says; going on would lose rows."""


class EndDisputedError(ReadError):
    """The server says "no more" while its own total says otherwise."""

    transient = True


class TimeBudgetError(ReadError):
    """The cap on the time spent was reached."""


class TooManyRowsError(ReadError):
    """More rows than the caller allowed."""


class IncompleteReadError(ReadError):
    """A part of the span could not be read, and the caller asked for all of it."""


class CsvHeaderError(ReadError):
    """The CSV's columns are not the ones known."""


class ArchiveError(DeepsetError):
    """Something about the archive; its tree is in `prefect_deepset.archive.errors`."""


class AlertError(DeepsetError):
    """Something about alerts; its tree is in `prefect_deepset.alerts.errors`."""
