"""What botocore raises, as this project's errors. The one place that says which S3 answer means what.

Text from a server is never passed on: some stores quote the access key in it. What is shown is the error's code, the HTTP
status, the request id and, where the answer names one, the missing permission.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from ..api.errors import DeepsetError, InvalidInputError
from .errors import (
    BucketMissingError,
    ChecksumError,
    ClockError,
    ConditionalWritesMissingError,
    StoreAccessError,
    StoreError,
    StoreUnavailableError,
)


class Place(NamedTuple):
    """Where in the store something was tried, for an error's text."""

    action: str
    """The IAM action it needs, such as ``s3:PutObject``."""
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"


class _Meaning(NamedTuple):
    kind: type[DeepsetError]
    problem: str
    advice: str


S3Failure = ClientError | BotoCoreError | ResponseParserError | HTTPError
"""All that a call to botocore raises: an error's answer, no answer, an answer that is not S3's, a body that breaks off."""
FAILURES = (ClientError, BotoCoreError, ResponseParserError, HTTPError)

PRECONDITION = frozenset({"PreconditionFailed", "412"})
CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted"})
MISSING_KEY = frozenset({"NoSuchKey", "404", "NotFound"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})

_UNAVAILABLE = _Meaning(StoreUnavailableError, "The store could not do it now.",
                        "The run goes on where it stopped when it is started again.")
_REFUSED = _Meaning(StoreError, "The store refused {action}.", "Look the code up in the store's documentation.")
_NO_BUCKET = _Meaning(BucketMissingError, "There is no bucket {bucket!r} at this store.",
                      "Create it, or correct the bucket's name and the endpoint.")
_NOT_IMPLEMENTED = _Meaning(
    ConditionalWritesMissingError,
    "This store lacks conditional writes (PUT with `If-None-Match: *`), so two runs could overwrite each other.",
    "Use a store that has them; docs/s3-stores.md says which do, and what to do otherwise. If KMS, tags or a storage class are "
    "set on the archive, try without them first: a store may lack those instead.")
_WRONG_REGION = _Meaning(StoreAccessError, "The bucket {bucket!r} is in another region than the settings say.",
                         "Set region_name in the credentials block.")
_NOT_ALLOWED = _Meaning(StoreAccessError, "The store does not allow {action}.",
                        "Grant {action} to these credentials (IAM policy, bucket policy, KMS key policy), and check the "
                        "expected bucket owner if one is set.")
_KMS = _Meaning(StoreAccessError, "The KMS key cannot be used.",
                "Check that it exists, is enabled, is in the bucket's region, and that its policy grants "
                "kms:GenerateDataKey and kms:Decrypt.")

_BY_CODE: dict[frozenset[str], _Meaning] = {
    frozenset({"NoSuchBucket"}): _NO_BUCKET,
    frozenset({"NotImplemented", "501"}): _NOT_IMPLEMENTED,
    frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}): _Meaning(
        ChecksumError, "The store received other bytes than were sent.",
        "Look at the network or proxy between, and run again."),
    frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"}): _Meaning(
        ClockError, "The store refuses requests because this machine's clock is wrong.", "Set the clock (NTP) and run again."),
    EXPIRED: _Meaning(
        StoreAccessError, "The store's credentials have expired.",
        "Renew them in the credentials block, or use ones that refresh themselves (a role)."),
    frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "UnrecognizedClientException",
               "AuthFailure", "InvalidToken", "NotSignedUp", "InvalidSecurity", "MissingSecurityHeader", "401"}): _Meaning(
        StoreAccessError, "The store does not accept these credentials.",
        "Check the access key, its secret, and that the endpoint is the one they belong to."),
    frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
               "301", "307"}): _WRONG_REGION,
    frozenset({"InvalidObjectState"}): _Meaning(
        StoreError, "The object lies in an archive storage class and cannot be read at once.",
        "Restore it first, and let lifecycle rules move only what is no longer read."),
    frozenset({"KeyTooLongError"}): _Meaning(
        StoreError, "The names of workspace and pipeline make a key that is too long for S3 (1,024 bytes).",
        "Use a shorter prefix."),
    CONFLICT | {"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded",
                "BandwidthLimitExceeded", "InternalError", "ServiceUnavailable"}: _UNAVAILABLE,
}

_NO_CREDENTIALS = _Meaning(
    StoreAccessError, "There are no usable credentials for the store.",
    "Fill in the access key and secret of the credentials block, or give the worker a role or profile.")
_BAD_SETTINGS = _Meaning(
    InvalidInputError, "The store's settings are not valid.",
    "Check the bucket's name, the endpoint URL and region_name; a bucket is a name such as my-logs, not a URL.")
_SPOILT = _Meaning(
    ChecksumError, "The bytes read do not have the checksum the store keeps for them.",
    "Run again; if it stays, verify the archive.")
_TLS = _Meaning(
    StoreError, "The store's TLS certificate was not accepted.",
    "Check the endpoint's name, and the CA bundle or `verify` in the credentials block's client parameters.")
_NO_ANSWER = _Meaning(
    StoreUnavailableError, "The store did not answer, or the connection broke.",
    "Check that the endpoint is reachable. The run goes on where it stopped when it is started again.")

_CLIENT_FAILED = _Meaning(StoreError, "The S3 client could not do {action}.", "Look the error up in botocore's documentation.")

_NOT_S3 = _Meaning(
    StoreUnavailableError, "What answered does not speak S3, or its answer was cut short.",
    "Check the endpoint URL: it must be the S3 API's, not a web console's or a proxy's.")

_BY_CLASS: dict[tuple[type[Exception], ...], _Meaning] = {
    (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError, boto.TokenRetrievalError,
     boto.SSOError, boto.UnauthorizedSSOTokenError, boto.ProfileNotFound, boto.NoAuthTokenError,
     boto.RefreshWithMFAUnsupportedError, boto.InvalidConfigError, boto.ConfigNotFound,
     getattr(boto, "LoginError", boto.NoCredentialsError)): _NO_CREDENTIALS,
    (boto.ParamValidationError, boto.NoRegionError, boto.InvalidRegionError, boto.UnknownEndpointError,
     boto.EndpointProviderError, boto.UnsupportedS3ConfigurationError, boto.UnsupportedS3ArnError): _BAD_SETTINGS,
    (boto.FlexibleChecksumError,): _SPOILT,
    (boto.SSLError,): _TLS,  # before its base class
    (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, boto.MetadataRetrievalError,
     HTTPError): _NO_ANSWER,
    (ResponseParserError,): _NOT_S3,
}


def code_of(error: Exception) -> str:
    """S3's error code (``NoSuchKey``), the HTTP status as text where there was no body (HEAD), or ``""``."""
    if not isinstance(error, ClientError):
        return ""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    return re.sub(r"[^\w.-]", "", str(answer.get("Code", "")))[:60]


def status_of(error: Exception) -> int:
    """The HTTP status, or 0 where there was none."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def explain(error: S3Failure, place: Place) -> DeepsetError:
    """The error to raise for what botocore raised at `place`; its ``transient`` says whether to try again."""
    if isinstance(error, ClientError):
        return _error(_meaning_of_answer(error, place), place, _details(error), _permissions(error, place))
    meaning = next((meaning for classes, meaning in _BY_CLASS.items() if isinstance(error, classes)), _CLIENT_FAILED)
    return _error(meaning, place, type(error).__name__)


def overwritten(place: Place) -> DeepsetError:
    """The error for a store that accepted what it was told to refuse."""
    return _error(_NOT_IMPLEMENTED, place, "it overwrote an object")


def not_s3(place: Place) -> DeepsetError:
    """The error for an answer that has nothing of what S3 always says."""
    return _error(_NOT_S3, place, "the answer is another server's")


def _error(meaning: _Meaning, place: Place, details: str, action: str = "") -> DeepsetError:
    given = {"action": action or place.action, "bucket": place.bucket}
    return meaning.kind(meaning.problem.format(**given), meaning.advice.format(**given), f"{place}: {details}")


def _meaning_of_answer(error: ClientError, place: Place) -> _Meaning:
    code, status = code_of(error), status_of(error)
    known = next((meaning for codes, meaning in _BY_CODE.items() if code in codes), None)
    if known is not None:
        return known
    if code in MISSING_KEY and not place.key:
        return _NO_BUCKET
    if code.startswith("KMS."):
        return _KMS
    if status == 403:
        return _NOT_ALLOWED
    if status == 501:
        return _NOT_IMPLEMENTED
    return _UNAVAILABLE if status in {408, 429} or status >= 500 else _REFUSED


def _permissions(error: ClientError, place: Place) -> str:
    """``kms:GenerateDataKey`` where the answer names it, else the action that was tried."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    named = re.search(r"\b(?:s3|kms|sts):[A-Z][A-Za-z]{2,60}", str(answer.get("Message", "")))
    if named:
        return named[0]
    # Without s3:ListBucket, S3 answers 403 instead of 404 for a key that does not exist.
    return "s3:GetObject and s3:ListBucket" if place.action == "s3:GetObject" else place.action


def _details(error: ClientError) -> str:
    answer: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
    headers: dict[str, str] = dict(answer.get("HTTPHeaders", {}))
    region = re.sub(r"[^\w-]", "", headers.get("x-amz-bucket-region", ""))[:40]
    request = re.sub(r"[^\w+/=-]", "", str(answer.get("RequestId", "")))[:60]
    return (f"{code_of(error) or 'no code'}, HTTP {status_of(error)}" + (f", request id {request}" if request else "")
            + (f", the bucket's region is {region}" if region else ""))
