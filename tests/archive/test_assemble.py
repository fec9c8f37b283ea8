"""From a read to parts: joined or merged, cut at a size, adopted or foreign."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect_deepset.api.rows import Row, decode_row
from prefect_deepset.api.times import SECOND, Span, day_span, format_instant
from prefect_deepset.api.walk import Increment
from prefect_deepset.archive.assemble import Assembled, Assembler
from prefect_deepset.archive.manifest import File, Manifest, Source, TimeSpan
from prefect_deepset.archive.part_stream import read_part_rows
from prefect_deepset.archive.spool import Spool
from prefect_deepset.archive.store import S3Store
from prefect_deepset.testing import even_day

from ..servers.ministack import S3Handle
from .day_runs import DAY, SOURCE, Runs, runs_at
from .test_day_status import MIDNIGHT
from .test_spool import KEY, PURPOSE

SPAN = day_span(DAY)


def log_row(second: int, name: str = "a", size: int = 0) -> Row:
    at = SPAN.start + second * SECOND
    message = "".join(random.Random(f"{second} {name}").choices("abcdefghijklmnop", k=size))
    return decode_row(json.dumps({"log_id": f"{second}-{name}", "logged_at": format_instant(at), "level": "info",
                                  "origin": "o", "message": message}).encode())


def spool_of(root: Path, rows: list[Row], loose: list[Row] | None = None, covered: Span = SPAN) -> Spool:
    """A spool with these rows in slices of three hours, and some that prove nothing."""
    spool = Spool(root, KEY, PURPOSE, SPAN, 0.0, 1.0)
    borders = [covered.start, *range(covered.start + 10_800 * SECOND, covered.end, 10_800 * SECOND), covered.end]
    for lo, hi in reversed(list(pairwise(borders))):
        inside = sorted((row for row in rows if lo <= row.logged_at < hi), reverse=True)
        spool.add(Increment(inside, lo, hi, SPAN.end / SECOND))
        spool.flush()
    spool.add_loose(list(loose or ()))
    return spool


def manifest(files: list[File]) -> Manifest:
    span = TimeSpan(start=format_instant(SPAN.start), end=format_instant(SPAN.end))
    return Manifest(source=Source(host="h", workspace="support", pipeline="chat"), dt=DAY.isoformat(), revision=1,
                    status="sealed", span=span, read_at="2026-03-15T01:00:00Z", files=files)


class Bench:
    """One bucket and assemblers over it."""

    def __init__(self, s3: S3Handle, folder: Path) -> None:
        self.store, self.folder, self.count = s3.store(prefix="logs"), folder, 0

    def run(self, rows: list[Row], latest: Manifest | None = None, loose: list[Row] | None = None, covered: Span = SPAN,
            shown: list[Row] | None = None, largest: int = 2**28) -> Assembled:
        self.count += 1
        ask = None if shown is None else lambda spans: [row for row in shown if any(a <= row.logged_at < b for a, b in spans)]
        with spool_of(self.folder / str(self.count), rows, loose, covered) as spool:
            return Assembler(self.store, SOURCE, DAY, spool, "gzip", largest, ask).run(latest)

    def rows(self, files: list[File]) -> list[Row]:
        return [row for file in files for row in read_part_rows(self.store, file.key, file.sha256)]


@pytest.fixture
def bench(s3: S3Handle, tmp_path: Path) -> Bench:
    return Bench(s3, tmp_path)


def test_rows_are_written_once_in_order_of_time_and_id(bench: Bench):
    rows = [log_row(second, name) for second in (5, 80_000, 43_200) for name in "ba"]
    made = bench.run(rows)
    assert bench.rows(made.files) == sorted(rows)
    assert (made.counts.rows, made.foreign, [file.rows for file in made.files]) == (6, [], [6])
    assert (made.files[0].first, made.files[0].last) == ("2026-03-14T00:00:05Z", "2026-03-14T22:13:20Z")


def test_no_rows_make_no_part(bench: Bench):
    assert bench.run([]).files == []


def test_a_day_larger_than_a_part_becomes_several_and_a_crash_between_them_is_taken_over(bench: Bench):
    rows = [log_row(second, size=2500) for second in range(0, 86_400, 60)]
    whole = bench.run(rows, largest=700_000)
    assert len(whole.files) >= 3
    assert all(file.bytes <= 700_000 for file in whole.files)
    assert bench.rows(whole.files) == rows
    again = bench.run(rows, largest=700_000)  # nothing was committed: the parts are a crashed run's
    assert again.files == whole.files
    assert again.counts == whole.counts


class CountingStore(S3Store):
    """Says which objects were there to be read."""

    opened: list[str]

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        found = super().open(key)
        self.opened += [key] if found else []
        return found


def test_parts_are_joined_one_after_another_without_reading_those_before(bench: Bench, s3: S3Handle):
    rows = [log_row(second, size=2500) for second in range(0, 86_400, 60)]
    store = bench.store = CountingStore(s3.client(), s3.bucket(), "logs")
    store.opened = []
    whole = bench.run(rows, largest=500_000)
    assert len(whole.files) >= 4
    assert store.opened == []
    assert bench.rows(whole.files) == rows
    store.opened.clear()
    rest = bench.run(rows, manifest(whole.files[:2]), largest=500_000)  # as after a crash: what is there is looked at
    assert [file.key for file in rest.files] == [file.key for file in whole.files[2:]]
    assert store.opened


def test_what_was_committed_is_not_written_again(bench: Bench):
    first = bench.run([log_row(1), log_row(50_000)])
    second = bench.run([log_row(1), log_row(2), log_row(50_000), log_row(60_000)], manifest(first.files))
    assert [row.log_id for row in bench.rows(second.files)] == ["2-a", "60000-a"]
    assert second.files[0].key.endswith("part-00002.jsonl.gz")
    assert bench.run([log_row(2)], manifest([*first.files, *second.files])).files == []


def test_loose_rows_are_merged_in_order_and_repeats_dropped(bench: Bench):
    loose = [log_row(second) for second in (30, 1, 50_000, 70_000, 30)]
    made = bench.run([log_row(1), log_row(50_000)], loose=loose)
    assert [row.log_id for row in bench.rows(made.files)] == ["1-a", "30-a", "50000-a", "70000-a"]


def test_a_part_with_rows_this_read_lacks_is_foreign_unless_the_platform_shows_them(bench: Bench):
    crashed = bench.run([log_row(1), log_row(2)])
    late = bench.run([log_row(1), log_row(3)], shown=[log_row(1), log_row(2), log_row(3)])
    assert late.files[0] == crashed.files[0]
    assert [row.log_id for row in bench.rows(late.files)] == ["1-a", "2-a", "3-a"]
    for shown in ([log_row(1)], None):
        foreign = bench.run([log_row(1), log_row(3)], shown=shown)
        assert foreign.foreign[0] == crashed.files[0].key


def test_a_part_with_thousands_of_late_rows_is_adopted_where_the_platform_shows_them(bench: Bench):
    rows = [log_row(second) for second in range(0, 86_400, 30)]
    crashed = bench.run(rows)
    late = bench.run(rows[:1], shown=rows)
    assert (late.files, late.foreign, late.counts.rows) == (crashed.files, [], len(rows))
    assert bench.run(rows[:1], shown=rows[:-1]).foreign == [crashed.files[0].key]


def test_a_part_with_rows_of_a_tie_that_nobody_could_read_whole_is_adopted(bench: Bench, tmp_path: Path):
    tie = [log_row(43_200, name) for name in "abcdef"]
    crashed = bench.run([log_row(1), *tie[:4]])
    with spool_of(tmp_path / "tie", [log_row(1), *tie[2:]]) as spool:
        spool.add_doubt(Span(tie[0].logged_at - 1000, tie[0].logged_at + 1000), 4)
        made = Assembler(bench.store, SOURCE, DAY, spool, "gzip", ask=lambda _: []).run(None)
    assert (made.foreign, made.files[0]) == ([], crashed.files[0])
    assert sorted(bench.rows(made.files)) == sorted([log_row(1), *tie])


def test_a_part_with_rows_of_where_this_read_could_not_look_is_adopted(bench: Bench):
    crashed = bench.run([log_row(1), log_row(50_000)])
    partly = bench.run([log_row(50_000)], covered=Span(SPAN.start + 40_000 * SECOND, SPAN.end))
    assert (partly.files, partly.foreign) == (crashed.files, [])


def test_a_part_whose_rows_are_archived_already_is_foreign(bench: Bench):
    first = bench.run([log_row(1)])
    beside = bench.run([log_row(1), log_row(2)], manifest([]))  # adopts part 1 and writes part 2
    moved = beside.files[1].model_copy(update={"key": beside.files[1].key.replace("00002", "00000")})
    bench.store.create(moved.key, bench.store.get(beside.files[1].key) or b"", sha256=moved.sha256,
                       size=moved.bytes, content_type="application/gzip")
    again = bench.run([log_row(1), log_row(2)], manifest([moved]))
    assert again.foreign == [beside.files[1].key]
    assert again.files == first.files


_seconds = st.sets(st.tuples(st.integers(0, 86_399), st.sampled_from("abc")), max_size=25)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=st.lists(st.tuples(_seconds, _seconds, st.booleans()), min_size=1, max_size=4))
def test_any_series_of_reads_commits_and_crashes_archives_each_row_once(s3: S3Handle, tmp_path_factory, reads):
    bench = Bench(s3, tmp_path_factory.mktemp("bench"))
    committed: list[File] = []
    expected: set[Row] = set()
    shown: dict[tuple[int, str], Row] = {}
    for seen, loose, commits in reads:
        shown |= {key: log_row(*key) for key in seen | loose}  # what was shown once is shown later, too
        made = bench.run([shown[key] for key in shown], manifest(committed) if committed else None,
                         [log_row(*key) for key in loose], shown=list(shown.values()))
        assert made.foreign == []
        if commits:
            committed += made.files
            expected = {(row.logged_at, row.log_id) for row in shown.values()}
            assert made.counts.rows == sum(file.rows for file in made.files)
    found = [(row.logged_at, row.log_id) for row in bench.rows(committed)]
    assert sorted(found) == sorted(expected)


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 3000))
        yield made


def test_a_read_that_is_broken_off_stops_asking(runs: Runs):
    def stop(_progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.archive(max_concurrency=4, progress=stop)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("walk-")]
    assert runs.pages() < 15


def test_progress_grows_to_the_whole_day(runs: Runs):
    seen = []
    runs.archive(max_concurrency=4, progress=seen.append)
    assert seen[-1].rows == 3000
    assert seen[-1].covered == 1.0
    assert [progress.covered for progress in seen] == sorted(progress.covered for progress in seen)
    assert seen[-1].requests >= 30
