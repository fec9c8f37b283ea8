"""What owners of a bucket ask for: permissions, keys, classes, tags, locks, roles."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import CredentialResolver, RefreshableCredentials
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.archive.errors import StoreAccessError
from prefect_deepset.archive.store import S3Store, s3_config
from prefect_deepset.testing.s3_server import EVERYTHING, AccessKey

from ..servers.ministack import S3Handle
from ..servers.s3_proxy import Answer, Rule, S3Proxy

POLICY = Path(__file__).parents[2] / "deployments" / "iam-policy.json"


def put(store: S3Store, key: str, body: bytes = b"rows") -> bool:
    return store.create(key, body, sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="text/plain")


def head(s3: S3Handle, store: S3Store, key: str) -> Mapping[str, Any]:
    return s3.client().head_object(Bucket=store.bucket, Key=key, ChecksumMode="ENABLED")


def expired(key: AccessKey) -> Rule:
    return lambda request: Answer(400, "ExpiredToken") if key.access_key in request.headers["authorization"] else None


def policy(bucket: str, prefix: str) -> dict[str, Any]:
    return json.loads(POLICY.read_text().replace("YOUR-BUCKET", bucket).replace("YOUR-PREFIX", prefix))


def test_the_least_privilege_policy_is_enough_for_everything_but_deleting(s3: S3Handle):
    bucket = s3.bucket()
    key = s3.user(policy(bucket, "logs"))
    store = s3.store(bucket, "logs", key=key, tags={"team": "search"})
    store.check()
    assert put(store, "logs/a/1")
    assert not put(store, "logs/a/1")
    assert store.get("logs/a/1") == b"rows"
    assert store.get("logs/a/2") is None
    assert [info.key for info in store.list("logs/a/")] == ["logs/a/1"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client(key).delete_object(Bucket=bucket, Key="logs/a/1")
    with pytest.raises(StoreAccessError, match="s3:PutObject"):
        put(store, "elsewhere/1")


@pytest.mark.parametrize("check", [True, False])
def test_a_bucket_that_may_only_be_read_says_which_permission_is_missing(s3: S3Handle, check: bool):
    bucket = s3.bucket()
    only_read = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::*"]}]}
    store = s3.store(bucket, key=s3.user(only_read))
    with pytest.raises(StoreAccessError, match="Grant s3:PutObject to these credentials"):
        store.check() if check else put(store, "a")


def test_a_bucket_that_may_not_be_listed_says_so(s3: S3Handle):
    only_objects = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::*"]}]}
    store = s3.store(key=s3.user(only_objects))
    with pytest.raises(StoreAccessError, match="s3:ListBucket"):
        store.check()
    with pytest.raises(StoreAccessError, match="s3:ListBucket"):
        list(store.list("a"))


def test_a_wrong_secret_and_an_unknown_key_are_refused_without_being_shown(s3: S3Handle):
    for key in (AccessKey(s3.access_key, "not-the-secret"), AccessKey("AKIANOTAKEY", "not-the-secret")):
        with pytest.raises(StoreAccessError, match="does not accept these credentials") as caught:
            s3.store(key=key).get("a")
        assert key.access_key not in str(caught.value)
        assert key.secret_key not in str(caught.value)


def test_no_credentials_at_all_are_named(s3: S3Handle):
    core = botocore.session.get_session()
    core.register_component("credential_provider", CredentialResolver([]))
    client = boto3.session.Session(botocore_session=core).client("s3", endpoint_url=s3.endpoint_url, region_name="us-east-1")
    with pytest.raises(StoreAccessError, match="no usable credentials"):
        S3Store(client, "some-bucket").get("a")


@pytest.mark.parametrize("bucket", ["", "s3://my-logs", "my logs", "my-logs/", "a"])
def test_what_cannot_be_a_bucket_is_refused_at_once(s3: S3Handle, bucket: str):
    with pytest.raises(InvalidInputError, match="my-logs, not a URL"):
        S3Store(s3.client(), bucket)


@pytest.mark.parametrize("prefix", ["a//b", "../a", "a/./b", "a\nb", "a\\b"])
def test_what_cannot_be_a_prefix_is_refused_at_once(s3: S3Handle, prefix: str):
    with pytest.raises(InvalidInputError, match="cannot be a prefix"):
        S3Store(s3.client(), "my-logs", prefix)


def test_slashes_around_the_prefix_do_not_matter(s3: S3Handle):
    assert S3Store(s3.client(), "my-logs", "/a/b/").prefix == "a/b"


def test_an_endpoint_that_is_none_is_refused():
    store = S3Store(lambda: boto3.session.Session().client("s3", endpoint_url="not a url", region_name="us-east-1"), "my-logs")
    with pytest.raises(InvalidInputError, match="URL"):
        store.get("a")


def test_the_objects_checksum_type_and_hash_are_kept_by_the_store(s3: S3Handle):
    store = s3.store()
    put(store, "a")
    kept = head(s3, store, "a")
    assert kept["ContentType"] == "text/plain"
    assert kept["ChecksumSHA256"]
    assert kept["Metadata"] == {"sha256": hashlib.sha256(b"rows").hexdigest()}
    assert "ContentEncoding" not in kept


def test_objects_are_encrypted_classed_and_tagged_as_asked(s3: S3Handle):
    key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    store = s3.store(sse_kms_key_id=key, storage_class="STANDARD_IA", tags={"team": "search & find", "cost": "a=b"})
    put(store, "a")
    kept = head(s3, store, "a")
    assert (kept["ServerSideEncryption"], kept["SSEKMSKeyId"], kept["StorageClass"]) == ("aws:kms", key, "STANDARD_IA")
    tags = s3.client().get_object_tagging(Bucket=store.bucket, Key="a")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "search & find", "cost": "a=b"}


def test_a_bucket_under_object_lock_is_written_and_every_object_is_kept(s3: S3Handle):
    bucket = s3.bucket(ObjectLockEnabledForBucket=True)
    s3.client().put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={
        "ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}})
    store = s3.store(bucket)
    store.check()
    assert put(store, "a")
    assert not put(store, "a", b"other")
    assert head(s3, store, "a")["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=29)


def test_the_expected_owner_goes_with_every_request(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, expected_bucket_owner="000000000000")
    store.check()
    put(store, "a")
    store.get("a")
    list(store.list_folders(""))
    assert {request.headers.get("x-amz-expected-bucket-owner") for request in s3_proxy.requests} == {"000000000000"}
    s3_proxy.rule = lambda request: Answer(403, "AccessDenied")
    with pytest.raises(StoreAccessError, match="expected bucket owner"):
        store.get("a")


def test_expired_credentials_are_made_anew_and_the_request_repeated(s3: S3Handle, s3_proxy: S3Proxy):
    keys = [s3.user(EVERYTHING), s3.user(EVERYTHING)]
    made: list[AccessKey] = []

    def factory() -> Any:
        made.append(keys[len(made)])
        return s3.client(made[-1], endpoint_url=s3_proxy.endpoint_url)

    store = S3Store(factory, s3.bucket())
    assert put(store, "a")
    s3_proxy.rule = expired(keys[0])
    assert put(store, "b")
    assert made == keys
    assert [info.key for info in store.list("b")] == ["b"]
    s3_proxy.rule = lambda request: Answer(400, "ExpiredToken")
    made.clear()
    with pytest.raises(StoreAccessError, match="expired"):
        store.get("b")


def test_a_listing_goes_on_with_new_credentials(s3: S3Handle, s3_proxy: S3Proxy):
    key = s3.user(EVERYTHING)
    made: list[AccessKey] = []

    def factory() -> Any:
        made.append(AccessKey(s3.access_key, s3.secret_key) if made else key)
        return s3.client(made[-1], endpoint_url=s3_proxy.endpoint_url)

    store = S3Store(factory, s3.bucket())
    put(store, "a")
    s3_proxy.rule = expired(key)
    assert [info.key for info in store.list("a")] == ["a"]


def test_credentials_that_refresh_themselves_are_refreshed_within_a_run(s3: S3Handle):
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    refreshed: list[str] = []

    def refresh() -> dict[str, str]:
        name = "A" if not refreshed else "B"
        refreshed.append(name)
        key = s3.user(EVERYTHING)
        return {"access_key": key.access_key, "secret_key": key.secret_key, "token": None,  # type: ignore[dict-item]
                "expiry_time": (clock[0] + timedelta(hours=1)).isoformat()}

    core = botocore.session.get_session()
    first = refresh()
    core._credentials = RefreshableCredentials(first["access_key"], first["secret_key"], first["token"],
                                               datetime.fromisoformat(first["expiry_time"]), refresh, "test",
                                               time_fetcher=lambda: clock[0])
    client = boto3.session.Session(botocore_session=core).client(
        "s3", endpoint_url=s3.endpoint_url, region_name="us-east-1", config=s3_config(addressing_style="path"))
    store = S3Store(client, s3.bucket())
    assert put(store, "a")
    clock[0] += timedelta(hours=2)
    assert put(store, "b")
    assert refreshed == ["A", "B"]


@pytest.mark.parametrize(("style", "host", "path"), [("path", "s3.example.com", "/my-logs/k"),
                                                     ("virtual", "my-logs.s3.example.com", "/k")])
def test_the_bucket_is_named_in_the_path_or_in_the_host(style: Any, host: str, path: str):
    client = boto3.session.Session().client("s3", endpoint_url="https://s3.example.com", region_name="us-east-1",
                                            aws_access_key_id="a", aws_secret_access_key="b",
                                            config=s3_config(addressing_style=style))
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": "my-logs", "Key": "k"}))
    assert (url.netloc, url.path) == (host, path)


@pytest.mark.parametrize("mode", ["when_required", "when_supported"])
def test_every_put_carries_our_sha256_and_no_other_checksum(s3: S3Handle, s3_proxy: S3Proxy, mode: Any):
    client = s3.client(endpoint_url=s3_proxy.endpoint_url, base=s3_config(checksum_mode=mode))
    put(S3Store(client, s3.bucket()), "a")
    for request in s3_proxy.requests:
        sums = {name for name in request.headers if name.startswith("x-amz-checksum-")}
        assert sums == {"x-amz-checksum-sha256"}
        assert "x-amz-trailer" not in request.headers


def test_of_many_writers_one_wins(s3: S3Handle):
    store, won = s3.store(), []
    put(store, "warm")

    def write(number: int) -> None:
        if put(store, "a", f"{number}".encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("a") == f"{won[0]}".encode()


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40).filter(
    lambda key: "//" not in key and not key.startswith("/") and not {".", ".."} & set(key.split("/")))


@given(keys=st.sets(KEYS, min_size=1, max_size=4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_key_that_is_written_is_listed_and_read_as_it_was(s3: S3Handle, keys: set[str]):
    store = s3.store()
    for key in keys:
        assert put(store, f"p/{key}", key.encode())
    assert [info.key for info in store.list("p/")] == sorted((f"p/{key}" for key in keys), key=str.encode)
    assert {key: store.get(f"p/{key}") for key in keys} == {key: key.encode() for key in keys}


def test_the_configuration_bounds_waits_and_retries():
    config: Config = s3_config()
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}  # type: ignore[attr-defined]
    assert (config.connect_timeout, config.read_timeout) == (10, 60)  # type: ignore[attr-defined]
