"""The spool: what a run leaves on disk, what the next one believes of it, and what is never believed."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect_deepset.api.rows import Row, decode_row
from prefect_deepset.api.times import SECOND, Span, day_span, format_instant
from prefect_deepset.api.walk import Increment
from prefect_deepset.archive.errors import DiskFullError, SpoolError
from prefect_deepset.archive.fill import fill_format
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.archive.spans import subtract_spans
from prefect_deepset.archive.spool import Spool, SpoolKey
from prefect_deepset.archive.spool_folder import default_root
from prefect_deepset.archive.spool_index import Purpose
from prefect_deepset.testing import Fault, even_day
from pydantic import SecretStr

from ..servers.ministack import S3Handle
from .day_runs import DAY, SOURCE, Runs, runs_at
from .test_day_status import MIDNIGHT

KEY = SpoolKey("host", "keyhash", "bucket", "prefix", "workspace 'w', pipeline 'p'", "2026-03-14")
PURPOSE = Purpose(1, "gzip", None)
SPAN = day_span(DAY)
SLICES = 8


def log_row(at: int, size: int = 0) -> Row:
    fields = {"log_id": f"r{at}", "logged_at": format_instant(at), "level": "info", "origin": "o", "message": "x" * size}
    return decode_row(json.dumps(fields).encode())


def increments(count: int = SLICES, size: int = 9000) -> list[Increment]:
    """Stretches of three hours, newest first, ten rows in each; each is large enough to be a slice of its own."""
    hours = 3 * 3600 * SECOND
    made = []
    for number in range(count):
        hi = SPAN.end - number * hours
        rows = [log_row(hi - (n + 1) * 60 * SECOND, size) for n in range(10)]
        made.append(Increment(rows, hi - hours, hi, SPAN.end / SECOND + 3600))
    return made


def opened(root: Path, **changes) -> Spool:
    values = {"key": KEY, "purpose": PURPOSE, "day": SPAN, "started_at": 1000.0, "not_before": 0.0, **changes}
    return Spool(root, **values)


def rows_in(spool: Spool) -> list[Row]:
    return [row for found in spool.ordered for row in spool.rows_of(found)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A root whose spool holds eight slices: the whole day."""
    with opened(tmp_path) as spool:
        for increment in increments():
            spool.add(increment)
        spool.flush()
        assert len(spool.slices) == SLICES
        assert spool.covered == [SPAN]
    return tmp_path


def test_what_was_read_is_found_again_in_order(filled: Path):
    with opened(filled, started_at=2000.0) as spool:
        assert (spool.resumed, spool.started_at) == (True, 1000.0)
        assert spool.covered == [SPAN]
        rows = rows_in(spool)
        assert rows == sorted(row for increment in increments() for row in increment.rows)


@pytest.mark.parametrize("changes", [{"purpose": Purpose(1, "zstd", None)}, {"purpose": Purpose(1, "gzip", "policy")}],
                         ids=["another compression", "another redaction"])
def test_a_spool_whose_rows_look_otherwise_is_forgotten(filled: Path, changes):
    with opened(filled, **changes) as spool:
        assert (spool.resumed, spool.slices) == (False, [])


@pytest.mark.parametrize("changes", [{"purpose": Purpose(2, "gzip", None)}, {"not_before": 1000.5}],
                         ids=["another revision", "too old"])
def test_rows_that_were_read_for_something_else_or_too_long_ago_stay_and_prove_nothing(filled: Path, changes):
    anew = increments()[0]
    with opened(filled, started_at=2000.0, **changes) as spool:
        assert (spool.started_at, spool.covered, spool.read, len(spool.slices)) == (2000.0, [], [], SLICES)
        spool.add(anew)
        spool.flush()
    with opened(filled, started_at=3000.0, **changes) as spool:
        assert (spool.started_at, spool.covered) == (2000.0, [Span(anew.lo, anew.hi)])
        assert rows_in(spool) == sorted(anew.rows)
        loose = [row for found in spool.slices if found.loose for row in spool.rows_of(found)]
        assert sorted(loose) == sorted(row for increment in increments() for row in increment.rows)


@pytest.mark.parametrize("field", SpoolKey.__struct_fields__)
def test_a_spool_of_another_key_platform_bucket_or_day_is_never_looked_at(filled: Path, field):
    other = SpoolKey(**{name: getattr(KEY, name) for name in SpoolKey.__struct_fields__} | {field: "another"})
    with opened(filled, key=other) as spool:
        assert (spool.resumed, spool.covered) == (False, [])
    assert not any("keyhash" in str(path) for path in filled.rglob("*"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), kind=st.sampled_from(["flip", "cut", "insert"]),
       name=st.sampled_from(["index", "rows.bin"]))
def test_whatever_is_damaged_is_not_believed_and_the_rest_is(tmp_path_factory, place, kind, name):
    root = tmp_path_factory.mktemp("spool")
    with opened(root) as spool:
        for increment in increments():
            spool.add(increment)
        spool.flush()
    path = root / KEY.folder / name
    body = bytearray(path.read_bytes())
    at = int(place * len(body))
    if kind == "flip":
        body[at] ^= 0x10
    elif kind == "cut":
        del body[at:]
    else:
        body[at:at] = b"7"
    path.write_bytes(body)
    truth = sorted(row for increment in increments() for row in increment.rows)
    with opened(root) as spool:
        rows = rows_in(spool)
        covered = spool.covered
        assert rows == [row for row in truth if any(span.start <= row.logged_at < span.end for span in covered)]
        if kind == "flip" and covered:
            assert len(spool.slices) >= SLICES - 1
        for increment in increments():  # what is missing is read again
            if subtract_spans([Span(increment.lo, increment.hi)], covered):
                spool.add(increment)
        spool.flush()
        assert rows_in(spool) == truth
    with opened(root) as spool:
        assert spool.covered == [SPAN]
        assert rows_in(spool) == truth


def test_a_slice_that_changes_while_it_is_used_is_an_error(filled: Path):
    with opened(filled) as spool:
        path = spool.folder / "rows.bin"
        path.write_bytes(b"\0" * path.stat().st_size)
        with pytest.raises(SpoolError, match="changed on disk"):
            rows_in(spool)


def test_a_stretch_answered_after_its_retention_is_read_but_proves_nothing_there(tmp_path: Path):
    late = SPAN.start / SECOND + 48 * 3600 - 600 + 7200.5  # two hours and a half second of the day count as gone
    with opened(tmp_path) as spool:
        for increment in increments():
            spool.add(increment._replace(answered_at=late))
        spool.flush()
        assert spool.read == [SPAN]
        assert spool.covered == [Span(SPAN.start + 7200 * SECOND + SECOND // 2, SPAN.end)]


def test_stretches_of_several_walks_come_in_any_order(tmp_path: Path):
    with opened(tmp_path) as spool:
        stretches = increments(size=10)
        for increment in [*stretches[4:], *stretches[:4]]:
            spool.add(increment)
        spool.flush()
        assert len(spool.slices) < SLICES
        assert spool.covered == [SPAN]
        assert len(rows_in(spool)) == 80


def test_loose_rows_cover_nothing_and_outlive_a_crash(tmp_path: Path):
    with opened(tmp_path) as spool:
        spool.add_loose([log_row(SPAN.start + SECOND), log_row(SPAN.start)])
        assert (spool.covered, spool.has_loose_rows) == ([], True)
    with opened(tmp_path) as spool:
        assert (spool.covered, spool.read, spool.has_loose_rows) == ([], [], True)


def test_a_doubt_is_remembered_as_long_as_something_over_it_is(tmp_path: Path):
    tie = Span(SPAN.end - SECOND, SPAN.end - SECOND // 2)
    with opened(tmp_path) as spool:
        spool.add_doubt(tie, 100)
        spool.add_doubt(tie, 100)
        spool.add(increments()[0])
        spool.flush()
    with opened(tmp_path) as spool:
        assert [(doubt.span, doubt.rows) for doubt in spool.doubts] == [(tie, 100)]
        (spool.folder / "rows.bin").write_bytes(b"")
    with opened(tmp_path) as spool:
        assert (spool.doubts, spool.covered) == ([], [])


def test_only_its_user_can_look_inside(filled: Path):
    root = filled / "new" / "root"
    with opened(root, redaction=None) as spool:
        spool.add(increments()[0])
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
        spool.folder.chmod(0o755)
    with opened(root) as spool:
        assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(f"{spool.folder}.lock").stat().st_mode) == 0o600


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / KEY.folder).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolError, match="another user"):
        opened(tmp_path)


def test_while_one_run_holds_the_spool_another_has_one_of_its_own_that_goes_with_it(filled: Path):
    with opened(filled) as first, opened(filled) as second:
        assert (first.resumed, second.resumed) == (True, False)
        assert second.folder.name.startswith("private-")
        assert stat.S_IMODE(second.folder.stat().st_mode) == 0o700
        second.add(increments()[0])
    assert not second.folder.exists()
    with opened(filled) as again:
        assert again.resumed


def test_what_was_committed_leaves_nothing_but_the_lock(filled: Path):
    with opened(filled) as spool:
        spool.discard()
    assert [path.suffix for path in filled.iterdir()] == [".lock"]


def test_what_dead_runs_left_goes_after_a_week_and_nothing_else(filled: Path):
    week_ago = time.time() - 8 * 86_400
    old = filled / ("a" * 32)
    private = filled / "private-x1"
    for folder in (old, private, filled / "somebody-elses"):
        folder.mkdir()
        (folder / "index").write_text("")
        os.utime(folder / "index", (week_ago, week_ago))
        os.utime(folder, (week_ago, week_ago))
    lock = filled / f"{'a' * 32}.lock"
    lock.touch()
    os.utime(lock, (week_ago, week_ago))
    with opened(filled, key=SpoolKey("h", "k", "b", "p", "s", "d")):
        assert not old.exists()
        assert not private.exists()
        assert not lock.exists()
        assert (filled / "somebody-elses").exists()
    with opened(filled) as spool:
        assert spool.resumed


def test_redacted_rows_are_all_that_reaches_the_disk(tmp_path: Path):
    policy = RedactionPolicy(patterns=["email"])
    fields = {"log_id": "r", "logged_at": format_instant(SPAN.start), "level": "error", "origin": "o",
              "message": "ann@example.org", "exceptions": [{"type": "UnknownUser ann@example.org",
                                                            "trace": [{"name": "ann@example.org", "line_number": 3}]}]}
    secret = decode_row(json.dumps(fields).encode())
    with opened(tmp_path, redaction=policy) as spool:
        spool.add(Increment([secret], SPAN.start, SPAN.end, SPAN.end / SECOND))
        spool.flush()
        spool.add_loose([secret])
        assert b"ann@" not in b"".join(row.raw for row in rows_in(spool))
        assert list(spool.slices[0].counts.exceptions) == ["UnknownUser [redacted:email]\x00[redacted:email]:3"]
    assert b"ann@" not in b"".join(path.read_bytes() for path in spool.folder.iterdir())


def test_rows_hashed_with_another_salt_are_not_used_again(runs: Runs):
    def policy(salt: str) -> ArchiveOptions:
        return ArchiveOptions(redaction=RedactionPolicy(hash_fields=["user_id"], salt=SecretStr(salt)))

    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T12" else None
    pages = []
    for salt in ("old", "new", "new"):
        runs.server.reset()
        with pytest.raises(Exception, match="500"):
            runs.archive(max_concurrency=1, commit_partial=False, options=policy(salt))
        pages.append(runs.pages())
    assert pages[1] == pages[0] >= 8
    assert pages[2] <= 2


def test_the_place_can_be_named_and_is_the_users_cache_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PREFECT_DEEPSET_SPOOL", str(tmp_path / "named"))
    assert default_root() == tmp_path / "named"
    monkeypatch.delenv("PREFECT_DEEPSET_SPOOL")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "prefect-deepset" / "spool"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_root() == tmp_path / "home" / ".cache" / "prefect-deepset" / "spool"


# -- with a whole run --------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 2000))
        yield made


@pytest.fixture
def file_limit() -> Iterator[int]:
    """No file of this process grows beyond 100,000 bytes: to who writes it, that is a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_a_clear_error_and_what_was_read_is_used_by_the_next_run(runs: Runs, request):
    request.getfixturevalue("file_limit")
    with pytest.raises(DiskFullError, match="What was read is kept"):
        runs.archive()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before[1], before[1]))
    read = runs.pages()
    assert read >= 8
    runs.server.reset()
    assert runs.archive().manifest.status == "sealed"
    assert runs.pages() <= 22 - read // 2
    runs.assert_whole()
    assert [path.suffix for path in runs.spool.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_disk_that_is_full_while_a_copy_is_made_is_the_same_error(runs: Runs, name: str, monkeypatch, request):
    monkeypatch.setenv("PREFECT_DEEPSET_SPOOL", str(runs.spool / "copies"))
    runs.archive()
    request.getfixturevalue("file_limit")
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(DiskFullError, match="copies"):
        fill_format(runs.store, SOURCE, DAY, name)
    assert not list((runs.spool / "copies").iterdir())


def test_a_spool_that_a_resumed_run_finds_damaged_costs_only_what_is_damaged(runs: Runs):
    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T04" else None
    with pytest.raises(Exception, match="500"):
        runs.archive(max_concurrency=1, commit_partial=False)
    runs.server.on_request = None
    folder = next(path for path in runs.spool.iterdir() if path.is_dir())
    rows = folder / "rows.bin"
    body = bytearray(rows.read_bytes())
    body[len(body) // 2] ^= 1
    rows.write_bytes(body)
    runs.server.reset()
    runs.archive(max_concurrency=1)
    assert runs.pages() <= 9
    runs.assert_whole()


def test_another_api_key_begins_anew(runs: Runs):
    broken = Fault(500, b"{}")
    runs.server.on_request = lambda r: broken if r.route == "logs" and r.params["after"] < "2026-03-14T04" else None
    with pytest.raises(Exception, match="500"):
        runs.archive(commit_partial=False)
    runs.server.on_request = None
    runs.server.reset()
    runs.server.api_key = "api_another"
    runs.archive()
    assert runs.pages() >= 20
    runs.assert_whole()


def test_spools_of_processes_that_were_killed_are_taken_over(tmp_path: Path):
    code = ("import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
            "from tests.archive.test_spool import opened, increments\n"
            "spool = opened(Path(sys.argv[1])); spool.add(increments()[0]); spool.add(increments()[1])\n"
            "os.kill(os.getpid(), 9)")
    root = Path(__file__).resolve().parents[2]
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(root)], cwd=root, check=False)
    assert child.returncode == -signal.SIGKILL
    with opened(tmp_path) as spool:
        assert spool.resumed
        assert spool.covered == [Span(increments()[1].lo, SPAN.end)]
