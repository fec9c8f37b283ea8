"""A platform, a clock and an archive of one pipeline, for tests that archive days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import day_span, format_instant
from prefect_deepset.archive.chain import StoredManifest, latest, read_revision
from prefect_deepset.archive.day import DayResult, archive_day
from prefect_deepset.archive.manifest import Manifest
from prefect_deepset.archive.objects import ObjectStore
from prefect_deepset.archive.part_stream import decompress
from prefect_deepset.testing import FakeDeepset

from ..servers.ministack import S3Handle, no_sleep

DAY = date(2026, 3, 14)
SOURCE = LogSource("support", "chat")
Raw = bytes


def seconds(text: str) -> float:
    """Seconds since 1970 of RFC 3339."""
    return datetime.fromisoformat(text).timestamp()


def load_chain(store: ObjectStore, source: LogSource, day: date) -> list[StoredManifest]:
    """Every revision of the day, oldest first."""
    newest = latest(store, source, day)
    below = [read_revision(store, source, day, number) for number in range(1, newest.manifest.revision)] if newest else []
    assert all(below)
    return [stored for stored in (*below, newest) if stored]


class Clock:
    """The time, on the platform and here."""

    def __init__(self, text: str) -> None:
        self.time = seconds(text)

    def __call__(self) -> float:
        return self.time

    def set(self, text: str) -> None:
        """It is now then."""
        self.time = seconds(text)


@dataclass
class Runs:
    """What a run needs, and looks at what it left."""

    server: FakeDeepset
    clock: Clock
    store: ObjectStore
    spool: Path
    s3: S3Handle
    bucket: str
    source: LogSource = SOURCE
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def archive(self, day: date = DAY, *, store: ObjectStore | None = None, url: str | None = None,
                here: Callable[[], float] | None = None, api_key: str | None = None, **options: Any) -> DayResult:
        """One run over one day, in a client of its own."""
        clock = here or self.clock
        with DeepsetClient(api_key or self.server.api_key, url or self.server.url, clock=clock, sleep=no_sleep) as client:
            arguments: dict[str, Any] = {"max_concurrency": 2, "sleep": no_sleep, "spool_root": self.spool}
            return archive_day(client, store or self.store, self.source, day, now=clock, **arguments | self.options | options)

    def at(self, text: str, day: date = DAY, **options: Any) -> Manifest:
        """One run at that time; the newest manifest."""
        self.clock.set(text)
        return self.archive(day, **options).manifest

    def cost(self, text: str, day: date = DAY, **options: Any) -> tuple[Manifest, int, int]:
        """The same, with the requests for logs and the objects written."""
        self.server.reset()
        before = len(self.keys())
        manifest = self.at(text, day, **options)
        return manifest, self.log_requests(), len(self.keys()) - before

    def log_requests(self) -> int:
        """Requests for logs since the last reset."""
        return sum(request.route == "logs" for request in self.server.requests)

    def pages(self) -> int:
        """Pages of logs that were served since the last reset."""
        return sum(request.route == "logs" and request.status == 200 for request in self.server.requests)

    def keys(self) -> list[str]:
        """Every object of the archive."""
        return self.s3.keys(self.bucket)

    def manifests(self, day: date = DAY) -> list[Manifest]:
        """Every revision."""
        return [stored.manifest for stored in load_chain(self.store, self.source, day)]

    def archived(self, day: date = DAY) -> list[Raw]:
        """The lines of the day's parts, part after part."""
        files = self.manifests(day)[-1].files
        return [line for file in files if file.format == "jsonl"
                for line in decompress(file.key, [self.s3.read(self.bucket, file.key)])]

    def truth(self, day: date = DAY, *, shown_only: bool = False) -> list[Raw]:
        """The platform's own rows of the day, as lines."""
        start, end = (format_instant(at) for at in day_span(day))
        source = self.source
        rows = self.server.truth(source.workspace, source.name, start, end, shown_only=shown_only, kind=source.kind)
        return [self.line(row.raw) for row in rows]

    def line(self, raw: bytes) -> Raw:
        """The row as the server sends it now, each line break (between tokens) turned into a blank."""
        pretty = self.server.behaviour.pretty_json
        sent = b"{\n      " + raw.strip()[1:-1] + b"\r\n    }" if pretty else raw
        return sent.replace(b"\r", b" ").replace(b"\n", b" ")

    def assert_whole(self, day: date = DAY) -> Manifest:
        """The archive holds the platform's rows of the day, byte for byte, each once; the newest manifest."""
        manifest = self.manifests(day)[-1]
        assert manifest.gaps == []
        assert_same(self.archived(day), self.truth(day))
        assert manifest.rows == len(self.truth(day))
        return manifest


def assert_same(found: list[Raw], truth: list[Raw]) -> None:
    """The same lines, each as often."""
    mine, theirs = Counter(found), Counter(truth)
    lost, doubled = theirs - mine, mine - theirs
    assert (sum(lost.values()), sum(doubled.values())) == (0, 0), f"lost {list(lost)[:3]}, too many {list(doubled)[:3]}"


@contextmanager
def runs_at(s3: S3Handle, spool: Path, now: str = "2026-03-15T01:00:00Z", store: Callable[[str], ObjectStore] | None = None,
            **server: Any) -> Iterator[Runs]:
    """A platform whose clock is the runs' own, an empty bucket, and an empty spool."""
    clock = Clock(now)
    bucket = s3.bucket()
    with FakeDeepset(now=clock, **server) as fake:
        yield Runs(fake, clock, store(bucket) if store else s3.store(bucket, "logs"), spool, s3, bucket)
