"""check: the key, the names, the clock, the bucket, and the probe."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prefect_deepset.api.probe import MAX_REQUESTS
from prefect_deepset.testing import Behaviour, FakeDeepset, even_day

from ..servers.ministack import S3Handle
from .conftest import Run


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDeepset]:
    with FakeDeepset(api_key="api_a-secret-key-of-ours") as server:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        server.add_pipeline("support", "empty")
        server.add_pipeline("support", "chat", even_day(f"{yesterday}T00:00:00Z", 1_000))
        monkeypatch.setenv("DEEPSET_API_KEY", server.api_key)
        monkeypatch.setenv("DEEPSET_API_URL", server.url)
        yield server


def test_everything_is_checked_and_said_in_a_line_each(run: Run, platform: FakeDeepset, s3: S3Handle):
    bucket = s3.bucket()
    ran = run("check", "--pipeline", "chat", "--pipeline", "empty", "--bucket", bucket, "--prefix", "logs")
    assert ran.code == 0
    assert ran.err == ""
    host = platform.url.removeprefix("http://")
    key, clock, workspace, chat, empty, stored = ran.out.splitlines()
    assert key == f"ok      key: {host} takes the key of DEEPSET_API_KEY; it sees support"
    assert clock.startswith("ok      clock: this machine's is ")
    assert workspace == "ok      workspace: support has 2 pipelines"
    assert chat.startswith("ok      pipeline: chat exists; its newest row is ")
    assert empty == "ok      pipeline: empty exists; it shows no logs"
    assert stored == f"ok      bucket: s3://{bucket}/logs can be listed, written without overwriting, and read"


def test_what_was_not_asked_for_is_said_to_be_skipped(run: Run, platform: FakeDeepset):
    platform.add_workspace("sales")
    ran = run("check")
    assert ran.code == 0
    assert "skipped names: name a workspace with --workspace" in ran.out
    assert "skipped bucket: none was named (--bucket or --block)" in ran.out


def test_a_wrong_key_ends_with_1_and_the_bucket_is_checked_all_the_same(
        run: Run, platform: FakeDeepset, s3: S3Handle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEEPSET_API_KEY", "api_another-secret-key")
    ran = run("check", "--bucket", s3.bucket())
    assert ran.code == 1
    assert "WRONG   key: " in ran.out
    assert "ok      bucket" in ran.out
    assert "another-secret" not in ran.out + ran.err


def test_no_key_is_a_setting(run: Run, monkeypatch: pytest.MonkeyPatch):
    ran = run("check")
    assert ran.code == 2
    assert "WRONG   key: The environment holds no API key. Set DEEPSET_API_KEY" in ran.out


def test_wrong_names_are_named_each(run: Run, platform: FakeDeepset):
    ran = run("check", "--pipeline", "chatt", "--pipeline", "chat")
    assert ran.code == 1
    assert "WRONG   pipeline: There is no pipeline of this name." in ran.out
    assert "ok      pipeline: chat exists" in ran.out
    ran = run("check", "--workspace", "supprt")
    assert ran.code == 1
    assert "WRONG   workspace: There is no such workspace" in ran.out


def test_a_clock_that_is_off_is_wrong(run: Run, platform: FakeDeepset):
    platform.now = lambda: time.time() - 5000
    ran = run("check")
    assert ran.code == 1
    assert re.search(r"WRONG   clock: this machine's clock is (4999|5000|5001) s ahead of the API's\. Set it \(NTP\)", ran.out)


def test_a_bucket_that_does_not_exist_is_wrong(run: Run, platform: FakeDeepset):
    ran = run("check", "--bucket", "no-such-bucket-here")
    assert ran.code == 1
    assert "WRONG   bucket: " in ran.out


def test_the_probe_puts_the_report_alone_on_stdout_and_keeps_secrets_and_the_limit(run: Run, platform: FakeDeepset):
    """Without a name, the first pipeline that shows rows is asked about."""
    ran = run("check", "--probe")
    assert ran.code == 0
    assert ran.out.startswith("# What this deepset API answers\n")
    assert "| direction | Under DESC, where does `after` continue? | to older rows | as usual |" in ran.out
    assert "ok      key: " in ran.err
    for secret in (platform.api_key, "support", "chat", platform.url.removeprefix("http://")):
        assert secret not in ran.out
    assert platform.counters["requests"] <= MAX_REQUESTS


def test_the_probe_ends_with_1_where_reads_would_stop(run: Run, platform: FakeDeepset):
    platform.behaviour = Behaviour(after_honoured=False)
    ran = run("check", "--probe", "--pipeline", "chat")
    assert ran.code == 1
    assert "**reads stop**" in ran.out


def test_a_probe_without_a_pipeline_is_a_usage_error(run: Run, platform: FakeDeepset):
    platform.add_workspace("sales")
    ran = run("check", "--probe")
    assert ran.code == 2
    assert ran.out == ""
    assert "WRONG   probe: There is no pipeline to ask about." in ran.err
