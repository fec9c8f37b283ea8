"""The archive's objects in an S3 bucket, or in a store that speaks S3."""

from __future__ import annotations

import base64
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar
from urllib.parse import urlencode

import tenacity
from botocore.config import Config
from botocore.exceptions import ClientError

from ..api.errors import DeepsetError, InvalidInputError
from .errors import ChecksumError, StoreError, StoreUnavailableError
from .manifest import sha256_hex
from .objects import ObjectInfo
from .s3_errors import (
    CONFLICT,
    EXPIRED,
    FAILURES,
    MISSING_KEY,
    PRECONDITION,
    Place,
    code_of,
    explain,
    not_s3,
    overwritten,
    status_of,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

CHUNK = 1024 * 1024
PUT_ATTEMPTS = 6
SPOILT_ATTEMPTS = 2
GET_ATTEMPTS = 3
WRITE_CHECK = ".write-check"
"""Below the prefix: the one object that is not part of the archive. `S3Store.check` and the first write put it there."""
WRITE_CHECK_BODY = b"prefect-deepset asks here whether this store refuses to overwrite.\n"

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]|arn:[\w:/.-]+")
_Answer = TypeVar("_Answer")


def s3_config(checksum_mode: Literal["when_required", "when_supported"] = "when_supported",
              addressing_style: Literal["auto", "path", "virtual"] = "auto", max_connections: int = 32) -> Config:
    """The botocore configuration for an `S3Store`'s client: bounded waits, and retries with backoff for what passes.

    Args:
        checksum_mode: ``when_required`` for stores that stumble over boto3's default checksums. The archive's own SHA-256 goes
            with every object either way.
        addressing_style: ``path`` for stores whose buckets have no host name of their own.
        max_connections: requests in flight at most.
    """
    return Config(request_checksum_calculation=checksum_mode, response_checksum_validation=checksum_mode,
                  s3={"addressing_style": addressing_style}, retries={"mode": "standard", "total_max_attempts": 5},
                  connect_timeout=10, read_timeout=60, max_pool_connections=max_connections, tcp_keepalive=True)


class S3Store:
    """An `ObjectStore` in a bucket. Safe to use from several threads.

    It writes with `If-None-Match: *` only, deletes nothing, and trusts neither ETags nor a PUT's reply. Before its first write
    it asks whether the store honours the condition (as `check` does), since one that ignores it would overwrite silently.

    Args:
        client: a boto3 S3 client, or a function that makes one (called once, and again when the store says that the credentials
            expired). Make it with `s3_config`.
        bucket: its name, or the ARN of an access point.
        prefix: the archive's folder in the bucket; slashes around it do not matter.
        sse_kms_key_id: encrypt with this KMS key; None leaves it to the bucket's default.
        storage_class: such as ``STANDARD_IA``; None leaves it to the store.
        tags: put on every object.
        expected_bucket_owner: the account id the bucket must belong to.
        sleep: waits that many seconds between attempts.

    Raises:
        InvalidInputError: `bucket` or `prefix` cannot be one.
    """

    def __init__(self, client: S3Client | Callable[[], S3Client], bucket: str, prefix: str = "", *,
                 sse_kms_key_id: str | None = None, storage_class: str | None = None, tags: Mapping[str, str] | None = None,
                 expected_bucket_owner: str | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        if not _BUCKET.fullmatch(bucket):
            raise InvalidInputError(f"{bucket!r} cannot be a bucket.", "Give its name alone, such as my-logs, not a URL.")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        if re.search(r"[\x00-\x1f\x7f\\]|//|(^|/)\.\.?(/|$)", self.prefix):
            raise InvalidInputError(f"{prefix!r} cannot be a prefix.", "Give a path such as deepset/logs.")
        self._factory: Callable[[], S3Client] | None = client if callable(client) else None
        self._made: S3Client | None = None if callable(client) else client
        self._making = threading.Lock()
        self._proving = threading.Lock()
        self._proven = False
        self._sleep = sleep
        self._owner: dict[str, Any] = {"ExpectedBucketOwner": expected_bucket_owner} if expected_bucket_owner else {}
        self._options: dict[str, Any] = dict(self._owner)
        if sse_kms_key_id:
            self._options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sse_kms_key_id}
        if storage_class:
            self._options["StorageClass"] = storage_class
        if tags:
            self._options["Tagging"] = urlencode(dict(tags))

    def __repr__(self) -> str:
        return f"S3Store({self.bucket!r}, {self.prefix!r})"

    def create(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        """Writes the object in one request if the key is free; False when it is taken.

        Args:
            key: the whole key, prefix included.
            body: the bytes, or a seekable file that is read from its start.
            sha256: hex, of the body. The store checks it.
            size: of the body, in bytes.
            content_type: such as ``application/json``.

        Raises:
            ConditionalWritesMissingError: the store cannot refuse to overwrite.
            StoreError: and its other kinds.
        """
        self.prove_writable()
        return self._put(key, body, sha256=sha256, size=size, content_type=content_type)

    def get(self, key: str) -> bytes | None:
        """The object's bytes (small objects), or None when there is none."""
        for attempt in range(1, GET_ATTEMPTS + 1):
            stream = self.open(key)
            if stream is None:
                return None
            try:
                with stream as chunks:
                    return b"".join(chunks)
            except (StoreUnavailableError, ChecksumError):
                # botocore repeats a request whose answer did not begin, never one whose body broke off.
                if attempt == GET_ATTEMPTS:
                    raise
                self._sleep(random.uniform(0, 0.5 * attempt))  # noqa: S311 - jitter
        raise AssertionError

    def open(self, key: str) -> AbstractContextManager[Iterator[bytes]] | None:
        """The object's bytes in chunks of at most 1 MiB, or None when there is none.

        Raises:
            StoreUnavailableError: also while reading, when the body ends before its announced length.
        """
        place = Place("s3:GetObject", self.bucket, key)
        try:
            answer = self._ask(place, lambda client: client.get_object(Bucket=self.bucket, Key=key, **self._owner), MISSING_KEY)
        except ClientError:
            return None
        return _chunks(answer, place)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, in key order, all pages."""
        for page in self._pages(prefix):
            for item in page.get("Contents", []):
                yield ObjectInfo(item["Key"], item["Size"])

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The common prefixes one level (`/`) below `prefix`, each with its closing slash."""
        for page in self._pages(prefix, Delimiter="/"):
            for item in page.get("CommonPrefixes", []):
                yield item["Prefix"]

    def check(self) -> None:
        """Tries what the archive needs: the bucket is there, can be listed, written without overwriting, and read back.

        Writes one small object, `WRITE_CHECK` below the prefix, the first time.

        Raises:
            StoreError: says what to fix.
        """
        next(self.list(self._check_key()), None)  # not HEAD, whose answers have no body that says what is wrong
        self._proven = False
        self.prove_writable()
        if self.get(self._check_key()) != WRITE_CHECK_BODY:
            raise ChecksumError("What was written was not read back.", "Check that nothing else writes there.",
                                str(Place("s3:GetObject", self.bucket, self._check_key())))

    def prove_writable(self) -> None:
        """Asks, once, whether the store takes a conditional write and refuses to overwrite. The first write asks by itself.

        Raises:
            ConditionalWritesMissingError: the store cannot refuse to overwrite.
            StoreError: it cannot be written, say.
        """
        with self._proving:
            if self._proven:
                return
            # Written once, the key was free, or the store overwrites: the second try tells.
            if self._put_check() and self._put_check():
                raise overwritten(Place("s3:PutObject", self.bucket, self._check_key()))
            self._proven = True

    def _check_key(self) -> str:
        return f"{self.prefix}/{WRITE_CHECK}" if self.prefix else WRITE_CHECK

    def _put_check(self) -> bool:
        return self._put(self._check_key(), WRITE_CHECK_BODY, sha256=sha256_hex(WRITE_CHECK_BODY), size=len(WRITE_CHECK_BODY),
                         content_type="text/plain")

    def _put(self, key: str, body: bytes | BinaryIO, *, sha256: str, size: int, content_type: str) -> bool:
        place = Place("s3:PutObject", self.bucket, key)
        held = len(body) if isinstance(body, bytes) else body.seek(0, 2)
        if held != size:
            # A file that is too short would leave the store waiting for the rest until it times out.
            raise ChecksumError(f"The body holds {held} bytes, not {size}.", "Run again.", str(place))
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()

        def put(client: S3Client) -> object:
            if not isinstance(body, bytes):
                body.seek(0)
            return client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentLength=size, ContentType=content_type,
                                     IfNoneMatch="*", ChecksumSHA256=checksum, Metadata={"sha256": sha256}, **self._options)

        attempts = tenacity.Retrying(
            retry=_worth_another_put, stop=tenacity.stop_after_attempt(PUT_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=3), sleep=self._sleep, reraise=True)
        try:
            attempts(self._ask, place, put, PRECONDITION | CONFLICT)
        except ClientError as error:
            if code_of(error) in PRECONDITION or status_of(error) == 412:
                return False
            raise explain(error, place) from None
        return True

    def _pages(self, prefix: str, **options: Any) -> Iterator[Any]:
        # Not botocore's paginator: it is bound to one client, whose credentials may expire between two pages.
        place, token = Place("s3:ListBucket", self.bucket), ""
        asked: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, **options, **self._owner}
        while True:
            after: dict[str, Any] = {"ContinuationToken": token} if token else {}
            page = self._ask(place, lambda client, after=after: client.list_objects_v2(**asked, **after))
            if "IsTruncated" not in page and "Name" not in page:
                raise not_s3(place)  # a well-formed HTML page would pass for an empty listing
            yield page
            if not page.get("IsTruncated"):
                return
            if page.get("NextContinuationToken", token) == token:
                raise StoreError("The store says that its listing goes on, and does not say where.",
                                 "Report it to the store's makers; what was listed cannot be trusted to be all.", str(place))
            token = page["NextContinuationToken"]

    def _client(self, place: Place, stale: S3Client | None = None) -> S3Client:
        """The client; a new one where `stale` is the one held and can be made anew."""
        with self._making:
            if self._factory is not None and (self._made is None or self._made is stale):
                try:
                    self._made = self._factory()
                except FAILURES as error:
                    raise explain(error, place) from None
                except ValueError as error:
                    if isinstance(error, DeepsetError):
                        raise
                    raise InvalidInputError("The store's endpoint is not valid.", "Give a URL such as https://s3.example.com.",
                                            str(place)) from None
            if self._made is None:
                raise AssertionError  # without a factory, a client was given
            return self._made

    def _ask(self, place: Place, call: Callable[[S3Client], _Answer], expected: frozenset[str] = frozenset()) -> _Answer:
        """What `call` gives. Answers whose code is in `expected` stay ClientErrors, all others become this project's.

        `from None`: the original's text comes from the server and may quote credentials.
        """
        client = self._client(place)
        try:
            try:
                return call(client)
            except ClientError as error:
                if code_of(error) not in EXPIRED or self._factory is None:
                    raise
                return call(self._client(place, stale=client))
        except FAILURES as error:
            if code_of(error) in expected:
                raise
            raise explain(error, place) from None


def _worth_another_put(state: tenacity.RetryCallState) -> bool:
    """409: another conditional write to the key was under way. A body spoilt on its way is sent once more: parts are large."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ChecksumError):
        return state.attempt_number < SPOILT_ATTEMPTS
    return isinstance(error, ClientError) and code_of(error) in CONFLICT


@contextmanager
def _chunks(answer: GetObjectOutputTypeDef, place: Place) -> Generator[Iterator[bytes]]:
    body = answer["Body"]

    def read() -> Iterator[bytes]:
        left = answer["ContentLength"]
        while True:
            try:
                chunk = body.read(CHUNK)
            except FAILURES as error:
                raise explain(error, place) from None
            if not chunk:
                break
            left -= len(chunk)
            yield chunk
        if left:
            raise StoreUnavailableError("The object's bytes broke off before their end.", "Run again.", str(place))

    try:
        yield read()
    finally:
        body.close()
