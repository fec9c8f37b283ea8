"""The blocks: what a form takes, what it refuses, and what it never shows."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from prefect_aws import AwsCredentials, MinIOCredentials
from prefect_deepset.api.errors import DeepsetError
from prefect_deepset.archive.errors import BucketMissingError, StoreAccessError
from prefect_deepset.archive.signing import Trust
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from pydantic import SecretStr, ValidationError

from ..servers.ministack import S3Handle
from .conftest import make_archive, s3_credentials

CANARY = "api_canary-8f31"


@pytest.mark.parametrize("block", [DeepsetCredentials, LogArchive])
class TestBlockStandards(BlockStandardTestSuite):
    """Prefect's own suite."""

    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own fetches the picture from the network where Pillow is installed; tests stay on this machine."""
        assert str(block._logo_url).startswith("https://")


def key_expiring(moment: datetime) -> str:
    """A key as the platform makes them: `api_` and a JWT with an `exp` claim."""
    parts = [{"alg": "HS256"}, {"exp": int(moment.timestamp())}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return f"api_{'.'.join(encoded)}.c2lnbmF0dXJl"


def test_a_pasted_key_is_stripped():
    assert DeepsetCredentials(api_key=f"  {CANARY}\n").api_key.get_secret_value() == CANARY


@pytest.mark.parametrize("key", [f"{CANARY}\x00x", f"{CANARY}\r\nx", f"{CANARY}ä", f"{CANARY}\u200b", f"{CANARY} x", ""])
def test_an_unusable_key_is_refused_without_being_shown(key: str):
    with pytest.raises(ValidationError) as caught:
        DeepsetCredentials(api_key=key)
    assert "API key" in str(caught.value)
    shown = f"{caught.value} {caught.value!r} {caught.value.errors()}"
    assert CANARY not in shown


@pytest.mark.parametrize("wrong", [{"base_url": "http://api.cloud.deepset.ai"}, {"base_url": None}, {"base_url": ["x"]}])
def test_a_good_key_is_not_shown_when_another_field_is_wrong(wrong: dict[str, object]):
    with pytest.raises(ValidationError) as caught:
        DeepsetCredentials(api_key=CANARY, **wrong)
    assert CANARY not in f"{caught.value} {caught.value.errors()}"


def test_the_key_in_the_field_of_the_url_is_refused_without_being_shown():
    with pytest.raises(ValidationError, match="looks like an API key") as caught:
        DeepsetCredentials(api_key=CANARY, base_url=f"api_eyJ{CANARY}")
    assert CANARY.lower() not in f"{caught.value} {caught.value!r}".lower()


def test_plain_http_is_refused_except_for_this_machine():
    with pytest.raises(ValidationError, match="unencrypted"):
        DeepsetCredentials(api_key=CANARY, base_url="http://api.us.deepset.ai")
    assert DeepsetCredentials(api_key=CANARY, base_url="http://127.0.0.1:8000").base_url == "http://127.0.0.1:8000"


def test_no_repr_shows_a_secret(s3: S3Handle):
    credentials = DeepsetCredentials(api_key=CANARY)
    archive = LogArchive(bucket="logs", credentials=AwsCredentials(aws_secret_access_key=CANARY, aws_session_token=CANARY))
    shown = f"{credentials!r} {credentials} {credentials.get_client()!r} {archive!r} {archive} {archive.get_store()!r}"
    assert CANARY not in shown


@pytest.mark.parametrize(("left", "said"), [
    (timedelta(days=-1), "expired on"), (timedelta(hours=1, minutes=30), "1 hour"), (timedelta(minutes=5), "less than an hour"),
    (timedelta(days=1, hours=1), "1 day,"), (timedelta(days=6, hours=23), "6 days"),
])
def test_an_expired_or_expiring_key_is_warned_of(left: timedelta, said: str):
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    warning = DeepsetCredentials(api_key=key_expiring(now + left)).expiry_warning(now)
    assert warning is not None
    assert said in warning


def test_a_key_with_a_week_left_or_without_a_date_is_not_warned_of():
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert DeepsetCredentials(api_key=key_expiring(now + timedelta(days=7))).expiry_warning(now) is None
    assert DeepsetCredentials(api_key=CANARY).expiry_warning(now) is None


@pytest.mark.parametrize("wrong", [
    {"bucket": "s3://logs"}, {"bucket": "my logs"}, {"bucket": ""}, {"bucket": "logs", "prefix": "a//b"},
    {"bucket": "logs", "prefix": "../x"}, {"bucket": "logs", "compression": "bz2"}, {"bucket": "logs", "formats": ["xml"]},
    {"bucket": "logs", "storage_class": "DEEP_ARCHIVE"}, {"bucket": "logs", "tags": {str(n): "x" for n in range(11)}},
])
def test_what_cannot_be_an_archive_is_refused_in_the_form(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        LogArchive(**wrong)


@pytest.mark.parametrize(("block", "field"), [
    (DeepsetCredentials, "concurrency_limit"), (LogArchive, "sse_kms_key_id"), (LogArchive, "storage_class"),
    (LogArchive, "expected_bucket_owner"),
])
def test_a_text_that_may_stay_empty_is_one_plain_field_of_the_form(block: type[Block], field: str):
    shown = block.model_json_schema()["properties"][field]
    assert shown["type"] == "string"
    assert "anyOf" not in shown


def test_json_lines_are_always_kept():
    assert LogArchive(bucket="logs", formats=["parquet"]).formats == ["jsonl", "parquet"]
    assert LogArchive(bucket="logs", formats=[]).formats == ["jsonl"]


def test_blocks_pickle(archive: LogArchive):
    copy = pickle.loads(pickle.dumps((archive, DeepsetCredentials(api_key=CANARY))))
    assert copy[0].bucket == archive.bucket
    assert copy[1].api_key.get_secret_value() == CANARY


@pytest.mark.parametrize("kind", [str, SecretStr, lambda key: Secret(value=key)], ids=["text", "SecretStr", "Secret block"])
def test_a_signing_key_is_the_same_however_it_came_and_never_empty(kind: Callable[[str], Any]):
    """From a file or a form, with a line break at its end; signatures made in one way must hold in the other."""
    archive = LogArchive(bucket="logs", signing_key=kind(f" {CANARY}\n"), older_signing_keys={"2025": f"{CANARY}-old\n"})
    assert archive.get_options().signing_key == CANARY.encode()
    assert archive.get_trust() == Trust((CANARY, f"{CANARY}-old"))
    assert CANARY not in f"{archive.get_options()!r} {archive.get_trust()!r}"
    with pytest.raises(ValidationError, match="signing_key is empty"):
        LogArchive(bucket="logs", signing_key=kind(" \n"))


@pytest.mark.parametrize("empty", ["", " ", SecretStr(" "), None])
def test_an_older_key_that_is_empty_is_refused_by_its_name(empty: Any):
    with pytest.raises(ValidationError, match="'2025' of older_signing_keys is empty"):
        LogArchive(bucket="logs", signing_key=CANARY, older_signing_keys={"2025": empty})


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("credentials", [
    AwsCredentials(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-central-1"),
    MinIOCredentials(minio_root_user="a", minio_root_password="b"),
], ids=["aws", "minio"])
def test_an_archive_comes_back_from_the_server_as_it_was_saved(credentials: AwsCredentials | MinIOCredentials):
    saved = LogArchive(bucket="logs", prefix="/deepset/", credentials=credentials, tags={"team": "ml"}, compression="zstd",
                       signing_key=CANARY, older_signing_keys={"2025": f"{CANARY}-old"}, signed_since="2026-01-01")
    saved.save("round-trip", overwrite=True)
    with get_client(sync_client=True) as client:
        shown = client._client.post("/block_documents/filter", json={"include_secrets": False}).raise_for_status().text
    assert "2026-01-01" in shown
    assert CANARY not in shown + repr(saved) + saved.model_dump_json()
    loaded = Block.load("deepset-log-archive/round-trip")
    assert isinstance(loaded, LogArchive)
    assert type(loaded.credentials) is type(credentials)
    assert _settings(loaded) == _settings(saved)
    assert loaded.get_trust() == Trust((CANARY, f"{CANARY}-old"), date(2026, 1, 1))
    assert _settings(loaded.credentials) == _settings(credentials)


def _settings(block: Block) -> dict[str, object]:
    """All fields, secrets in clear; without what Prefect adds on saving."""
    return {name: getattr(block, name) for name in type(block).model_fields if name != "credentials"}


@pytest.mark.usefixtures("prefect_server")
def test_a_nested_saved_credentials_block_is_referenced_not_copied(s3: S3Handle):
    credentials = s3_credentials(s3)
    credentials.save("archive-store", overwrite=True)
    LogArchive(bucket=s3.bucket(), credentials=credentials, addressing_style="path").save("nested", overwrite=True)
    loaded = LogArchive.load("nested")
    loaded.check()
    assert loaded.credentials._block_document_name == "archive-store"


def test_the_check_says_which_bucket_is_missing(s3: S3Handle):
    with pytest.raises(BucketMissingError, match="nowhere-to-be-found"):
        make_archive(s3, "nowhere-to-be-found").check()


def test_the_check_says_what_a_read_only_key_may_not_do(s3: S3Handle):
    bucket = s3.bucket()
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    key = s3.user({"Version": "2012-10-17", "Statement": [reading]})
    archive = make_archive(s3, bucket, key=key)
    with pytest.raises(StoreAccessError, match="PutObject"):
        archive.check()


def test_the_check_of_a_good_archive_can_be_repeated(archive: LogArchive):
    archive.check()
    archive.check()


def test_the_check_names_a_host_that_does_not_answer():
    with pytest.raises(DeepsetError, match=r"127\.0\.0\.1"):
        DeepsetCredentials(api_key=CANARY, base_url="http://127.0.0.1:9").check()
