"""What the archiving code writes, verification accepts: with every format, redaction and signatures, odd rows included."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import pytest
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.rows import Row
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.compression import Compression
from prefect_deepset.archive.day import archive_day
from prefect_deepset.archive.fill import fill_format
from prefect_deepset.archive.options import ArchiveOptions
from prefect_deepset.archive.read_back import as_arrow, as_models, read_rows
from prefect_deepset.archive.redaction import RedactionPolicy
from prefect_deepset.archive.verify import verify_archive
from prefect_deepset.testing import FakeDeepset, Fault, even_day, nasty
from pydantic import SecretStr

from ..servers.ministack import S3Handle, no_sleep

DAY = date(2026, 3, 14)
SOURCE = LogSource("support", "chat")
KEY = b"a long random signing key"
MORNING_AFTER, NOON_AFTER = "2026-03-15T02:00:00Z", "2026-03-15T12:00:00Z"
POLICY = RedactionPolicy(drop_fields=["organization_name"], hash_fields=["user_id"], patterns=["email", "token", "key"],
                         salt=SecretStr("salt"))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_an_archived_day_is_valid_signed_redacted_and_readable(compression: Compression, s3: S3Handle, tmp_path: Path):
    bucket = s3.bucket()
    store = s3.store(bucket, "logs")
    secret = {"log_id": "secret", "logged_at": "2026-03-14T08:00:00.5Z", "message": "mail ann@example.org", "level": "info",
              "origin": "o", "exceptions": None, "extra_fields": {"organization_name": "ACME", "user_id": "u-1"}}
    options = ArchiveOptions(compression=compression, formats=("jsonl", "csv"), redaction=POLICY, signing_key=KEY)
    clock = [seconds(MORNING_AFTER)]
    with (FakeDeepset(now=lambda: clock[0]) as server,
          DeepsetClient(server.api_key, server.url, clock=lambda: clock[0]) as client):
        server.add_pipeline("support", "chat", [*given(400), *nasty("2026-03-14T09:00:00Z"), secret])
        truth = {row.log_id for row in server.truth("support", "chat")}
        for now in (MORNING_AFTER, NOON_AFTER):
            clock[0] = seconds(now)
            result = archive_day(client, store, SOURCE, DAY, options=options, now=lambda: clock[0], spool_root=tmp_path)
    assert (result.manifest.status, result.manifest.revision) == ("settled", 2)
    fill_format(store, SOURCE, DAY, "parquet", signing_key=KEY)
    verdict = verify_archive(store, "support", None, None, None, datetime.fromisoformat(NOON_AFTER), signing_key=KEY)
    assert verdict.all_findings == []
    assert verdict.summary == f"3/3 manifests valid, 3/3 parts valid, 1 days, {len(truth):,} rows"
    rows = list(read_rows(store, "support", DAY, DAY))
    assert {row.log_id for row in rows} == truth
    assert as_arrow(rows).num_rows == len(list(as_models(rows))) == len(truth)
    found = only(rows, "secret")
    assert found["message"] == "mail [redacted:email]"
    assert list(found["extra_fields"]) == ["user_id"]
    assert found["extra_fields"]["user_id"].startswith("hmac-sha256:")
    assert result.manifest.redaction == POLICY.sha256


def nested(log_id: str, extra: str, exceptions: str = "null") -> bytes:
    return (f'{{"log_id": "{log_id}", "logged_at": "2026-03-14T10:00:00.5Z", "message": "mail ann@example.org", '
            f'"level": "error", "origin": "o", "exceptions": {exceptions}, "extra_fields": {extra}}}').encode()


@pytest.mark.parametrize("policy", [None, POLICY])
def test_rows_nested_deeper_than_any_decoder_goes_are_kept_and_valid(
    policy: RedactionPolicy | None, s3: S3Handle, tmp_path: Path
):
    deep = "[" * 20_000 + '"]"' + "]" * 20_000
    odd = [nested("a", f'{{"user_id": "u-1", "deep": {deep}}}'),
           nested("b", "null", "[" * 500 + '"bob@example.org"' + "]" * 500), nested("c", f'{{"user_id": {deep}}}', deep)]
    body = b'{"data": [%s], "has_more": false, "total": 3}' % b", ".join(reversed(odd))
    nothing = b'{"data": [], "has_more": false, "total": 0}'
    store, now = s3.store(s3.bucket(), "logs"), seconds(MORNING_AFTER)
    options = ArchiveOptions(formats=("jsonl", "csv", "parquet"), redaction=policy)
    with FakeDeepset(now=MORNING_AFTER) as server, DeepsetClient(server.api_key, server.url, clock=lambda: now) as client:
        server.add_pipeline("support", "chat", [])
        server.on_request = lambda request: None if request.route != "logs" else Fault(
            200, body if request.params["after"] > "2026-03-14T10:00:00.5" else nothing, "application/json")
        result = archive_day(client, store, SOURCE, DAY, options=options, now=lambda: now, spool_root=tmp_path, sleep=no_sleep)
    assert (result.manifest.status, result.manifest.rows, result.manifest.errors) == ("sealed", 3, 3)
    assert verify_archive(store, "support", None, None, None, datetime.fromisoformat(NOON_AFTER)).all_findings == []
    rows = list(read_rows(store, "support", DAY, DAY))
    assert as_arrow(rows).num_rows == len(list(as_models(rows))) == 3
    if policy is None:
        assert [row.raw for row in rows] == odd
    else:
        assert b"@" not in b"".join(row.raw for row in rows)
        assert rows[0].raw.endswith(odd[0].partition(b'"deep": ')[2])


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def given(count: int) -> list[bytes]:
    rows = even_day("2026-03-14T00:00:00Z", count)
    return [rows.raw(index) for index in range(count)]


def only(rows: list[Row], log_id: str) -> dict[str, object]:
    return json.loads(next(row.raw for row in rows if row.log_id == log_id))
