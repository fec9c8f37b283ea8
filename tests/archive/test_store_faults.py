"""What the store does when the network or the server does not do as it should."""

from __future__ import annotations

import hashlib
import io
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest
from prefect_deepset.api.errors import DeepsetError
from prefect_deepset.archive.errors import (
    BucketMissingError,
    ChecksumError,
    ClockError,
    ConditionalWritesMissingError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
)
from prefect_deepset.archive.store import S3Store

from ..servers.ministack import S3Handle
from ..servers.s3_proxy import (
    Action,
    Answer,
    Corrupt,
    CutShort,
    HideYoung,
    IgnoreCondition,
    LoseAnswer,
    Reset,
    S3Proxy,
    S3Request,
)

BODY = b"some rows\n" * 100


def put(store: S3Store, key: str = "a/1", body: bytes = BODY) -> bool:
    return store.create(key, body, sha256=hashlib.sha256(body).hexdigest(), size=len(body), content_type="text/plain")


def on(method: str, action: Action, *, times: int = 10_000, key: str = "a/1") -> Callable[[S3Request], Action | None]:
    """A rule for the first `times` requests of this method to this key."""
    left = [times]

    def rule(request: S3Request) -> Action | None:
        if request.method != method or request.key != key or not left[0]:
            return None
        left[0] -= 1
        return action

    return rule


@pytest.mark.parametrize("fault", [Answer(500, "InternalError"), Answer(503, "SlowDown"), Answer(503), Reset()], ids=repr)
def test_a_put_that_fails_once_is_repeated(s3: S3Handle, s3_proxy: S3Proxy, fault: Action):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = on("PUT", fault, times=1)
    assert put(store)
    assert s3.read(store.bucket, "a/1") == BODY
    assert s3_proxy.count("PUT") == 2


def test_a_put_whose_answer_was_lost_is_repeated_and_then_says_taken(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = on("PUT", LoseAnswer(), times=1)
    assert put(store) is False
    assert store.get("a/1") == BODY


def test_a_file_is_sent_whole_when_it_is_sent_again(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = on("PUT", Answer(409, "ConditionalRequestConflict"), times=3)
    digest = hashlib.sha256(BODY).hexdigest()
    assert store.create("a/1", io.BytesIO(BODY), sha256=digest, size=len(BODY), content_type="text/plain")
    assert s3.read(store.bucket, "a/1") == BODY


def test_conflicts_without_end_are_given_up_as_passing(s3: S3Handle, s3_proxy: S3Proxy):
    waits: list[float] = []
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, sleep=waits.append)
    s3_proxy.rule = on("PUT", Answer(409, "ConditionalRequestConflict"))
    with pytest.raises(StoreUnavailableError) as caught:
        put(store)
    assert caught.value.transient
    assert len(waits) == s3_proxy.count("PUT") - 1 == 5
    assert max(waits) <= 3


def test_a_body_spoilt_on_its_way_is_refused_by_the_store_and_sent_again(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = on("PUT", Corrupt(), times=1)
    assert put(store)
    assert s3.read(store.bucket, "a/1") == BODY


def test_bodies_always_spoilt_are_a_checksum_error_and_nothing_is_stored(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = on("PUT", Corrupt())
    with pytest.raises(ChecksumError):
        put(store)
    assert s3.keys(store.bucket) == []


def test_a_hash_that_is_not_the_bodys_is_refused_by_the_store(s3: S3Handle):
    store = s3.store()
    with pytest.raises(ChecksumError):
        store.create("a/1", BODY, sha256=hashlib.sha256(b"other").hexdigest(), size=len(BODY), content_type="text/plain")
    assert s3.keys(store.bucket) == []


def test_a_file_of_another_size_than_told_is_not_sent(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    with pytest.raises(ChecksumError, match="1000 bytes, not 1001"):
        store.create("a/1", io.BytesIO(BODY), sha256=hashlib.sha256(BODY).hexdigest(), size=1001, content_type="text/plain")
    assert s3_proxy.count("PUT") == 0


@pytest.mark.parametrize("check", [True, False])
def test_a_store_that_answers_501_is_named_as_lacking_conditional_writes(s3: S3Handle, s3_proxy: S3Proxy, check: bool):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = lambda request: Answer(501, "NotImplemented") if "if-none-match" in request.headers else None
    with pytest.raises(ConditionalWritesMissingError, match=r"If-None-Match.*docs/s3-stores.md") as caught:
        store.check() if check else put(store)
    assert not caught.value.transient


@pytest.mark.parametrize("check", [True, False])
def test_a_store_that_ignores_the_condition_is_found_out_before_it_overwrites(s3: S3Handle, s3_proxy: S3Proxy, check: bool):
    s3_proxy.rule = lambda request: IgnoreCondition() if "if-none-match" in request.headers else None
    bucket = s3.bucket()
    for _ in range(2):  # a first time and a later one, when the check's own object is there already
        store = s3.store(bucket, endpoint_url=s3_proxy.endpoint_url)
        with pytest.raises(ConditionalWritesMissingError):
            store.check() if check else put(store)
    assert s3.keys(bucket) == []


def test_the_store_is_asked_about_conditions_once_and_only_when_it_writes(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(prefix="p", endpoint_url=s3_proxy.endpoint_url)
    assert store.get("p/none") is None
    assert list(store.list("p/")) == []
    assert {request.method for request in s3_proxy.requests} == {"GET"}
    put(store, "p/1")
    put(store, "p/2")
    checks = [request for request in s3_proxy.requests if request.key == "p/.write-check"]
    assert len(checks) == 2
    again = s3.store(store.bucket, "p", endpoint_url=s3_proxy.endpoint_url)
    put(again, "p/3")
    assert sum(request.key == "p/.write-check" for request in s3_proxy.requests) == 3


ANSWERS: list[tuple[Answer, type[DeepsetError], str]] = [
    (Answer(400, "ExpiredToken"), StoreAccessError, "expired"),
    (Answer(403, "InvalidAccessKeyId"), StoreAccessError, "does not accept these credentials"),
    (Answer(403, "SignatureDoesNotMatch"), StoreAccessError, "secret"),
    (Answer(403, "AccessDenied"), StoreAccessError, "Grant s3:PutObject"),
    (Answer(403, "AccessDenied", "User: arn:x is not authorized to perform: kms:GenerateDataKey"), StoreAccessError,
     "Grant kms:GenerateDataKey"),
    (Answer(400, "KMS.DisabledException"), StoreAccessError, "enabled"),
    (Answer(403, "RequestTimeTooSkewed"), ClockError, "clock"),
    (Answer(404, "NoSuchBucket"), BucketMissingError, "Create it"),
    (Answer(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-3"}), StoreAccessError, "eu-west-3.*region"),
    (Answer(400, "AuthorizationHeaderMalformed"), StoreAccessError, "region_name"),
    (Answer(400, "KeyTooLongError"), StoreError, "shorter prefix"),
    (Answer(400, "Whatever"), StoreError, "Whatever, HTTP 400"),
    (Answer(429, "TooManyRequests"), StoreUnavailableError, "now"),
    (Answer(503, "SlowDown"), StoreUnavailableError, "SlowDown"),
    (Answer(502), StoreUnavailableError, "502"),
    (Answer(507, "XMinioStorageFull"), StoreUnavailableError, "XMinioStorageFull"),
]


@pytest.mark.parametrize(("answer", "kind", "text"), ANSWERS, ids=lambda value: value.code if isinstance(value, Answer) else "")
def test_each_refusal_says_what_to_fix(s3: S3Handle, s3_proxy: S3Proxy, answer: Answer, kind: type[DeepsetError],
                                       text: str):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, attempts=1)
    store.check()
    s3_proxy.rule = on("PUT", answer)
    with pytest.raises(kind, match=f"(?s){text}") as caught:
        put(store)
    assert type(caught.value) is kind
    assert f"s3://{store.bucket}/a/1" in str(caught.value)
    assert caught.value.advice
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_a_server_says_of_keys_is_not_repeated(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, attempts=1)
    secrets = f"{s3.access_key} {s3.secret_key}"
    s3_proxy.rule = lambda request: Answer(403, "AccessDenied", f"{secrets} {request.headers['authorization']}")
    with pytest.raises(StoreAccessError) as caught:
        put(store)
    shown = f"{caught.value!r} {caught.value} {store!r} {caught.value.__cause__}"
    assert s3.access_key not in shown
    assert s3.secret_key not in shown
    assert caught.value.__suppress_context__


def test_a_read_cut_short_is_read_again(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    put(store)
    s3_proxy.rule = on("GET", CutShort(17), times=2)
    assert store.get("a/1") == BODY
    s3_proxy.rule = on("GET", CutShort(17))
    with pytest.raises(StoreUnavailableError):
        store.get("a/1")


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 17, len(BODY) - 1])
def test_a_stream_cut_short_never_looks_like_the_end(s3: S3Handle, s3_proxy: S3Proxy, after: int, reset: bool):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, attempts=1)
    put(store)
    s3_proxy.rule = on("GET", CutShort(after, reset))
    with pytest.raises(StoreUnavailableError):  # a reset may be noticed before the first byte
        read(store)


def read(store: S3Store) -> list[bytes]:
    stream = store.open("a/1")
    assert stream is not None
    with stream as chunks:
        return list(chunks)


def test_a_read_may_stop_early(s3: S3Handle):
    store = s3.store()
    put(store, body=b"x" * 5_000_000)
    stream = store.open("a/1")
    assert stream is not None
    with stream as chunks:
        assert len(next(chunks)) == 1024 * 1024


@pytest.mark.parametrize("ask", [lambda store: store.get("k"), lambda store: list(store.list("")), lambda store: store.check()],
                         ids=["get", "list", "check"])
def test_a_bucket_that_is_missing_is_named_by_every_request(s3: S3Handle, ask: Callable[[S3Store], Any]):
    with pytest.raises(BucketMissingError, match="no-such-bucket"):
        ask(s3.store("no-such-bucket"))


def test_no_server_at_all_is_an_outage(s3: S3Handle):
    with socket.socket() as held:  # bound, not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        store = s3.store("bucket", endpoint_url=f"http://127.0.0.1:{held.getsockname()[1]}", attempts=1)
        with pytest.raises(StoreUnavailableError, match="reachable") as caught:
            store.get("k")
    assert caught.value.transient


def test_a_listing_that_fails_on_its_second_page_is_not_taken_for_whole(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, attempts=1)
    client = s3.client()
    for number in range(1001):
        client.put_object(Bucket=store.bucket, Key=f"k{number:04d}", Body=b"")
    assert [info.key for info in store.list("k")] == [f"k{number:04d}" for number in range(1001)]
    s3_proxy.rule = lambda request: Answer(503, "SlowDown") if "continuation-token" in request.query else None
    with pytest.raises(StoreUnavailableError):
        list(store.list("k"))


def test_the_proxy_can_make_listings_lag(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    put(store, "d/1")
    s3_proxy.rule = lambda request: HideYoung(2) if request.lists else None
    assert [info.key for info in store.list("d/")] == []
    assert list(store.list_folders("")) == ["d/"]
    assert [info.key for info in store.list("d/")] == ["d/1"]


def test_a_listing_that_goes_on_without_saying_where_is_an_error(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = lambda request: Answer(200, body="<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")
    with pytest.raises(StoreError, match="goes on"):
        list(store.list("k"))


def test_bytes_spoilt_on_their_way_back_are_noticed_by_the_stores_checksum(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    put(store)
    s3_proxy.rule = on("GET", Corrupt(), times=1)
    assert store.get("a/1") == BODY
    s3_proxy.rule = on("GET", Corrupt())
    with pytest.raises(ChecksumError):
        store.get("a/1")


def test_a_check_object_that_someone_changed_is_found(s3: S3Handle):
    store = s3.store()
    s3.client().put_object(Bucket=store.bucket, Key=".write-check", Body=b"other")
    with pytest.raises(ChecksumError, match="not read back"):
        store.check()


@pytest.mark.parametrize("body", ["<html><body>Sign in</body></html>", "<html><br>", "<ListBucketResult>", "no XML", ""])
def test_an_answer_that_is_not_s3s_is_never_taken_for_an_empty_listing(s3: S3Handle, s3_proxy: S3Proxy, body: str):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url, attempts=1)
    s3_proxy.rule = lambda request: Answer(200, body=body) if request.lists else None
    with pytest.raises(StoreUnavailableError):
        list(store.list(""))


def test_a_web_server_that_says_200_to_everything_is_no_store(s3: S3Handle, s3_proxy: S3Proxy):
    store = s3.store(endpoint_url=s3_proxy.endpoint_url)
    s3_proxy.rule = lambda request: Answer(200, body="<html></html>")
    with pytest.raises(ConditionalWritesMissingError):
        put(store)
