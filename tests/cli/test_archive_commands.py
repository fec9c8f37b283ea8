"""status, verify and cat on an archive in a real bucket."""

from __future__ import annotations

import json

import pytest
from prefect_deepset.archive.manifest import Gap, sha256_hex
from prefect_deepset.archive.store import S3Store

from ..archive.built_archive import put_day
from ..archive.log_rows import plain_rows
from ..servers.ministack import S3Handle
from .conftest import CHAT, DOCUMENTS, WORKSPACE, Run, days_ago


def test_status_shows_a_calendar_with_rows_and_errors_and_marks_what_is_incomplete(run: Run, place: list[str]):
    ran = run("status", *place)
    assert ran.code == 1
    assert ran.err == ""
    assert "chat" in [line.strip() for line in ran.out.splitlines()]
    assert "documents (index)" in ran.out
    assert "Mon" in ran.out
    assert f"{days_ago(1):%d %b}" in ran.out
    assert "101" in ran.out
    assert "20 err" in ran.out
    assert f"INCOMPLETE chat {days_ago(3)}: Not archived: {days_ago(3)} 10:00 to 11:00 UTC (gateway-timeout)." in ran.out
    assert f"MISSING search/prod {days_ago(3)}: The day has no manifest." in ran.out
    assert ran.out.rstrip().endswith("3 sources, 8 days, 445 rows, 87 errors, 2 incomplete")


def test_status_of_days_that_are_whole_is_fine(run: Run, place: list[str]):
    ran = run("status", *place, "--pipeline", "chat", "--days", "3")
    assert ran.code == 0
    assert "search" not in ran.out
    assert "not yet" in ran.out  # today
    assert "INCOMPLETE" not in ran.out


def test_status_says_when_nothing_was_archived_for_too_long(run: Run, s3: S3Handle):
    store = s3.store()
    day = days_ago(2)
    put_day(store, CHAT, day, [[plain_rows(3, day)]], status="open",
            gaps=[Gap(start=f"{day}T00:00:00Z", end=f"{day}T01:00:00Z", reason="not-over")])
    ran = run("status", "--bucket", store.bucket, "--days", "4")
    assert ran.code == 1
    assert f"INCOMPLETE chat: Not archived since {day} 00:00 UTC" in ran.out


@pytest.mark.parametrize("shown", ["1", "2", "14"])
def test_an_archive_that_stopped_days_ago_is_not_fine_however_few_days_are_shown(run: Run, s3: S3Handle, shown: str):
    store = s3.store()
    put_day(store, CHAT, days_ago(6), [[plain_rows(3, days_ago(6))]])
    ran = run("status", "--bucket", store.bucket, "--days", shown)
    assert ran.code == 1
    assert str(days_ago(5)) in ran.out


def test_rows_of_an_archive_of_indexes_alone_are_asked_for_by_name(run: Run, s3: S3Handle):
    store = s3.store()
    put_day(store, DOCUMENTS, days_ago(2), [[plain_rows(3, days_ago(2))]])
    ran = run("cat", str(days_ago(2)), "--bucket", store.bucket)
    assert ran.code == 2
    assert "Name one with --pipeline" in ran.err
    assert run("cat", str(days_ago(2)), "--bucket", store.bucket, "--pipeline", "documents").code == 0


def test_days_before_the_first_and_after_the_end_are_not_missed(run: Run, place: list[str]):
    ran = run("status", *place, "--pipeline", "documents", "--days", "30")
    assert ran.code == 0
    assert "MISSING" not in ran.out


def test_a_manifest_that_cannot_be_read_is_told_and_the_others_are_shown(run: Run, s3: S3Handle):
    store = s3.store()
    put_day(store, CHAT, days_ago(2), [[plain_rows(3, days_ago(2))]])
    (key,) = put_day(store, CHAT, days_ago(1), [[plain_rows(4, days_ago(1))]])
    s3.client().put_object(Bucket=store.bucket, Key=key, Body=b"{}")
    ran = run("status", "--bucket", store.bucket)
    assert ran.code == 1
    assert f"UNREADABLE chat {days_ago(1)}: {key} is not a manifest" in ran.out
    assert "1 day, 3 rows" in ran.out


def test_verify_passes_an_archive_whose_only_fault_is_a_gap_it_tells_of(run: Run, place: list[str]):
    ran = run("verify", *place, "--pipeline", "chat")
    assert ran.code == 0
    assert f"pipeline chat: valid, {days_ago(4)} to {days_ago(1)}, 4 days, 410 rows" in ran.out
    assert f"  {days_ago(3)} gap: " in ran.out
    assert "4/4 manifests valid, 4/4 parts valid, 4 days, 410 rows, 1 gap: valid" in ran.out


def test_verify_names_a_day_that_is_missing(run: Run, place: list[str]):
    ran = run("verify", *place)
    assert ran.code == 1
    assert "pipeline search/prod: WRONG" in ran.out
    assert "missing: logs/manifests/workspace=my%20workspace/pipeline=search%2Fprod/" in ran.out


def test_verify_takes_a_range_of_days(run: Run, place: list[str]):
    day = str(days_ago(2))
    ran = run("verify", *place, "--start", day, "--end", day)
    assert ran.code == 0
    assert "3/3 parts valid, 3 days, 117 rows: valid" in ran.out


def test_verify_finds_a_part_that_was_changed(run: Run, s3: S3Handle):
    store = s3.store()
    put_day(store, CHAT, days_ago(1), [[plain_rows(9, days_ago(1))]])
    key = s3.keys(store.bucket, "jsonl/")[0]
    s3.client().put_object(Bucket=store.bucket, Key=key, Body=s3.read(store.bucket, key)[:-1])
    ran = run("verify", "--bucket", store.bucket)
    assert ran.code == 1
    assert f"modified: {key}" in ran.out


def test_cat_writes_the_rows_byte_for_byte(run: Run, place: list[str]):
    day = days_ago(1)
    ran = run("cat", str(day), *place, "--pipeline", "chat")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.encode() == b"".join(row.raw + b"\n" for row in plain_rows(101, day))


def test_cat_of_a_range_filters_by_level_and_says_what_is_lacking(run: Run, place: list[str]):
    ran = run("cat", str(days_ago(4)), str(days_ago(1)), *place, "--level", "error")
    assert ran.code == 1
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert {row["level"] for row in rows} == {"error"}
    assert len(rows) == 86  # the index has a row of that level too, and is no pipeline
    assert f"warning: INCOMPLETE chat {days_ago(3)}: Not archived: " in ran.err
    assert f"warning: MISSING search/prod {days_ago(3)}: " in ran.err


def test_cat_of_an_index_by_its_name(run: Run, place: list[str]):
    ran = run("cat", str(days_ago(2)), *place, "--pipeline", "documents")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 5


def test_cat_of_a_day_that_was_never_archived_says_so(run: Run, place: list[str]):
    ran = run("cat", "2020-01-01", *place, "--pipeline", "chat")
    assert (ran.code, ran.out) == (1, "")
    assert "warning: chat: nothing is archived from 2020-01-01 to 2020-01-01." in ran.err


def test_cat_stops_at_a_part_that_was_changed(run: Run, s3: S3Handle):
    store = s3.store()
    put_day(store, CHAT, days_ago(1), [[plain_rows(9, days_ago(1))]])
    key = s3.keys(store.bucket, "jsonl/")[0]
    s3.client().put_object(Bucket=store.bucket, Key=key, Body=b"no part")
    ran = run("cat", str(days_ago(1)), "--bucket", store.bucket)
    assert ran.code == 1
    assert ran.err.startswith("prefect-deepset: ")
    assert key in ran.err


def test_the_workspace_comes_from_the_environment_or_is_asked_for_when_there_are_several(
        run: Run, s3: S3Handle, monkeypatch: pytest.MonkeyPatch):
    store = s3.store()
    for workspace in ("one", "two"):
        put_day(store, CHAT._replace(workspace=workspace), days_ago(1), [[plain_rows(3, days_ago(1))]])
    ran = run("verify", "--bucket", store.bucket)
    assert ran.code == 2
    assert "several workspaces: 'one', 'two'" in ran.err
    assert run("verify", "--bucket", store.bucket, "--workspace", "two").code == 0
    monkeypatch.setenv("DEEPSET_WORKSPACE", "one")
    assert "workspace one" in run("verify", "--bucket", store.bucket).out


def test_the_archive_comes_from_the_environment_and_its_prefix_goes_with_its_bucket_only(
        run: Run, archive: S3Store, s3: S3Handle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSET_ARCHIVE_BUCKET", archive.bucket)
    monkeypatch.setenv("DEEPSET_ARCHIVE_PREFIX", "logs")
    assert f"s3://{archive.bucket}/logs, " in run("status", "--pipeline", "chat", "--days", "3").out
    store = s3.store()
    put_day(store, CHAT, days_ago(1), [[plain_rows(3, days_ago(1))]])
    assert f"s3://{store.bucket}, " in run("status", "--bucket", store.bucket).out


def test_names_cannot_command_the_terminal(run: Run, s3: S3Handle):
    store = s3.store()
    put_day(store, CHAT._replace(name="\x1b[31mred\x07 [bold]"), days_ago(1), [[plain_rows(3, days_ago(1))]])
    ran = run("status", "--bucket", store.bucket)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out
    assert "[31mred" in ran.out
    assert "[bold]" in ran.out


@pytest.mark.parametrize(("words", "said"), [
    (["status"], "No archive is named."),
    (["status", "--bucket", "s3://x/"], "cannot be a bucket"),
    (["status", "--block", "x", "--bucket", "y"], "--block already says where the archive is; --bucket does too."),
    (["cat", "--bucket", "b-b-b"], "FIRST"),
    (["cat", "31.1.2026", "--bucket", "b-b-b"], "31.1.2026"),
    (["status", "--bucket", "b-b-b", "--days", "0"], "--days"),
    (["nonsense"], "nonsense"),
    (["verify", "--bucket", "b-b-b", "--nonsense"], "--nonsense"),
])
def test_usage_and_settings_that_are_wrong_end_with_2_and_one_line(run: Run, words: list[str], said: str):
    ran = run(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("words", [["status"], ["verify"], ["cat", "2026-01-31"]])
def test_an_empty_bucket_and_an_unknown_pipeline_are_usage_errors(run: Run, s3: S3Handle, place: list[str], words: list[str]):
    assert run(*words, "--bucket", s3.bucket()).err.startswith("prefect-deepset: There is no archive here.")
    ran = run(*words, *place, "--pipeline", "chatt")
    assert ran.code == 2
    assert "Nothing is archived of 'chatt'." in ran.err
    assert "'chat'" in ran.err
    assert run(*words, *place, "--workspace", "other").code in {1, 2}


def test_the_first_day_after_the_last_is_a_usage_error(run: Run, place: list[str]):
    ran = run("cat", "2026-02-02", "2026-02-01", *place)
    assert ran.code == 2
    assert "is after the last" in ran.err


def test_a_bucket_that_does_not_exist_and_a_wrong_secret_end_with_1_and_say_what_to_do(
        run: Run, place: list[str], monkeypatch: pytest.MonkeyPatch):
    assert run("status", "--bucket", "no-such-bucket-here").code == 1
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-secret-key")
    ran = run("status", *place)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "a-wrong-secret-key" not in ran.err


def test_an_aws_profile_that_does_not_exist_is_a_setting(run: Run, place: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    ran = run("status", *place)
    assert ran.code == 2
    assert "no-such-profile" in ran.err


def test_the_archive_is_only_read(run: Run, place: list[str], s3: S3Handle, archive: S3Store):
    before = {key: sha256_hex(s3.read(archive.bucket, key)) for key in s3.keys(archive.bucket)}
    for words in (["status"], ["verify"], ["cat", str(days_ago(1))]):
        run(*words, *place, "--workspace", WORKSPACE)
    assert {key: sha256_hex(s3.read(archive.bucket, key)) for key in s3.keys(archive.bucket)} == before
