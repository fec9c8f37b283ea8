"""``prefect-deepset check``: the key, the names, the clock, the bucket; and what the API answers to what is not documented."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..api.client import DeepsetClient
from ..api.errors import DeepsetError, InvalidInputError, NoLogsError
from ..api.models import Pipeline
from ..api.sources import LogSource
from ..api.times import SECOND
from ..archive.identity import MOST_CLOCK_SKEW
from .places import Place, open_archive, open_client
from .terminal import plain, say, warn, working

_PROBE_TRIES = 3
"""Pipelines looked at for one that shows rows."""


class _Checks:
    """One line for each thing looked at, and what they come to."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._codes = {0}

    @property
    def exit_code(self) -> int:
        """2 when a setting is wrong, 1 when an answer is, otherwise 0."""
        return max(self._codes)

    def note(self, state: str, name: str, text: str) -> None:
        self._tell(f"{state:<7} {name}: {text}")

    def ok(self, name: str, text: str) -> None:
        self.note("ok", name, text)

    def wrong(self, name: str, text: str, code: int = 1) -> None:
        self._codes.add(code)
        self.note("WRONG", name, text)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Turns an error into a line."""
        try:
            yield
        except DeepsetError as error:
            self.wrong(name, str(error), 2 if isinstance(error, InvalidInputError) else 1)


def run_checks(place: Place, workspace: str | None, names: Sequence[str] | None, probe: bool) -> int:
    """Prints a line for each check; with `probe` those go to stderr, and stdout holds the report alone."""
    checks = _Checks(warn if probe else say)
    with checks.of("key"):
        client, found = open_client(place.block)
        with client:
            sources = _check_platform(checks, client, found, workspace, names or ())
            if probe:
                with checks.of("probe"):
                    _probe(checks, client, sources)
    if not place.names_archive:
        checks.note("skipped", "bucket", "none was named (--bucket or --block)")
    else:
        with checks.of("bucket"):
            archive = open_archive(place)
            archive.store.check()
            checks.ok("bucket", f"{archive.name} can be listed, written without overwriting, and read")
    return checks.exit_code


def _check_platform(checks: _Checks, client: DeepsetClient, found: str, workspace: str | None,
                    names: Sequence[str]) -> list[LogSource]:
    """Checks key, clock and names; the sources whose logs may be asked for, those named first."""
    seen = [known.name for known in client.workspaces()]
    checks.ok("key", f"{client.host} takes the key of {found}; it sees {', '.join(map(plain, seen)) or 'no workspace'}")
    skew = client.clock_skew
    if skew is not None:
        say_skew = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the API's"
        if abs(skew) > MOST_CLOCK_SKEW:
            checks.wrong("clock", f"this machine's clock is {say_skew}. Set it (NTP): nothing is archived before.")
        else:
            checks.ok("clock", f"this machine's is {say_skew}")
    if workspace is None and len(seen) != 1:
        checks.note("skipped", "names", "name a workspace with --workspace")
        return []
    chosen = workspace if workspace is not None else seen[0]
    listed: list[Pipeline] = []
    with checks.of("workspace"):
        listed = client.pipelines(chosen)
        checks.ok("workspace", f"{chosen} has {len(listed)} pipelines")
    for name in names:
        with checks.of("pipeline"):
            client.pipeline(chosen, name)
            _check_logs(checks, client, LogSource(chosen, name))
    return [LogSource(chosen, name) for name in (names or [found.name for found in listed])]


def _check_logs(checks: _Checks, client: DeepsetClient, source: LogSource) -> None:
    try:
        rows = client.logs_page(source, limit=1).rows
    except NoLogsError:
        rows = []
    age = f"its newest row is {_ago(time.time() - rows[0].logged_at / SECOND)} old" if rows else "it shows no logs"
    checks.ok("pipeline", f"{source.name} exists; {age}")


def _ago(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _probe(checks: _Checks, client: DeepsetClient, sources: list[LogSource]) -> None:
    from ..api.probe import MAX_REQUESTS, probe  # noqa: PLC0415 - only here

    if not sources:
        raise InvalidInputError("There is no pipeline to ask about.", "Name one with --workspace and --pipeline.")
    with working(f"Asking about {sources[0].name} ..."):
        tried = sources[:_PROBE_TRIES] if len(sources) > 1 else []
        source = next((found for found in tried if _shows_rows(client, found)), sources[0])
        report = probe(client, source, max_requests=MAX_REQUESTS - client.requests_sent)
    sys.stdout.write(report.to_markdown())
    sys.stdout.flush()
    if not report.ok:
        checks.wrong("probe", "under one of these answers reads stop with an error; please report it")


def _shows_rows(client: DeepsetClient, source: LogSource) -> bool:
    try:
        return bool(client.logs_page(source, limit=1).rows)
    except NoLogsError:
        return False
