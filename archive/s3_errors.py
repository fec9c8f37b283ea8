"""What botocore raises, as this project's errors. The one place that says which S3 answer means what.

Text from a server is never passed on: some stores quote the access key in it. What is shown is the error's code, the HTTP status,
the request id and, where the answer names one, the missing permission.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

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


PRECONDITION = frozenset({"PreconditionFailed", "412"})
CONFLICT = frozenset({"ConditionalRequestConflict", "OperationAborted"})
MISSING_KEY = frozenset({"NoSuchKey", "404", "NotFound"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_DIGEST = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_KEY_PAIR = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "UnrecognizedClientException",
                       "InvalidToken", "AuthFailure", "NotSignedUp", "InvalidSecurity", "MissingSecurityHeader", "401"})
_REGION = frozenset({"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
                     "301", "307"})
_SLOW = frozenset({"SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "Throttling", "ThrottlingException", "TooManyRequests",
                   "RequestLimitExceeded", "BandwidthLimitExceeded", "InternalError", "ServiceUnavailable", "Busy"})
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError, boto.TokenRetrievalError,
                   boto.SSOError, boto.UnauthorizedSSOTokenError, boto.ProfileNotFound, boto.NoAuthTokenError,
                   boto.RefreshWithMFAUnsupportedError, boto.InvalidConfigError, boto.ConfigNotFound)
_SETTINGS = (boto.ParamValidationError, boto.NoRegionError, boto.InvalidRegionError, boto.UnknownEndpointError,
             boto.EndpointProviderError, boto.UnsupportedS3ConfigurationError, boto.UnsupportedS3ArnError)
_LATER = "The run goes on where it stopped when it is started again."


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


def explain(error: ClientError | BotoCoreError, place: Place) -> DeepsetError:
    """The error to raise for what botocore raised at `place`; its ``transient`` says whether to try again."""
    return _explain_answer(error, place) if isinstance(error, ClientError) else _explain_client(error, place)


def _explain_answer(error: ClientError, place: Place) -> DeepsetError:
    code, status, where = code_of(error), status_of(error), f"{place}, {_details(error)}"
    if code == "NoSuchBucket" or (code in MISSING_KEY and not place.key):
        return BucketMissingError(f"There is no bucket {place.bucket!r} at this store.",
                                  "Create it, or correct the bucket's name and the endpoint.", where)
    if status == 501 or code == "NotImplemented":
        return not_implemented(place, where)
    if code in _DIGEST:
        return ChecksumError("The store received other bytes than were sent.", "Look at the network or proxy between, and run again.", where)
    if code in _CLOCK:
        return ClockError("The store refuses requests because this machine's clock is wrong.", "Set the clock (NTP) and run again.", where)
    if code in _SLOW or status in {408, 429} or status >= 500 or code in CONFLICT:
        return StoreUnavailableError("The store could not do it now.", _LATER, where)
    if code in _REGION:
        return _wrong_region(error, place, where)
    return _refused(error, place, code, where) or StoreError(
        f"The store refused {place.action}.", "Look the code up in the store's documentation.", where)


def _refused(error: ClientError, place: Place, code: str, where: str) -> DeepsetError | None:
    """The answers that are about who asks and what they may do."""
    if code in EXPIRED:
        return StoreAccessError("The store's credentials have expired.", "Renew them in the credentials block, or use ones that refresh "
                                "themselves (a role).", where)
    if code in _KEY_PAIR:
        return StoreAccessError("The store does not accept these credentials.", "Check the access key, its secret, and that the endpoint "
                                "is the one they belong to.", where)
    if code.startswith("KMS."):
        return StoreAccessError("The KMS key cannot be used.", "Check that it exists, is enabled, is in the bucket's region, and that its "
                                "policy grants kms:GenerateDataKey and kms:Decrypt.", where)
    if code == "InvalidObjectState":
        return StoreError("The object lies in an archive storage class and cannot be read at once.", "Restore it first, and let lifecycle "
                          "rules move only what is no longer read.", where)
    if status_of(error) == 403:
        needed = _permissions(error, place)
        return StoreAccessError(f"The store does not allow {needed}.", f"Grant {needed} to these credentials (IAM policy, bucket policy, "
                                "KMS key policy), and check the expected bucket owner if one is set.", where)
    return None


def not_implemented(place: Place, where: str = "") -> ConditionalWritesMissingError:
    """The store said 501, or overwrote what it was told not to overwrite."""
    return ConditionalWritesMissingError(
        "This store lacks conditional writes (PUT with `If-None-Match: *`), without which two runs could overwrite each other's rows.",
        "Use a store that has them; docs/s3-stores.md lists which do, and what to do otherwise. If KMS, tags or a storage class are "
        "set on the archive, try without them first: a store may lack those instead.", where or str(place))


def _wrong_region(error: ClientError, place: Place, where: str) -> StoreError:
    headers: dict[str, str] = dict(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))
    region = re.sub(r"[^\w-]", "", headers.get("x-amz-bucket-region", ""))[:40]
    named = f" It is in {region}." if region else ""
    return StoreAccessError(f"The bucket {place.bucket!r} is in another region than the credentials' settings say.{named}",
                            "Set region_name in the credentials block.", where)


def _permissions(error: ClientError, place: Place) -> str:
    """``kms:GenerateDataKey`` where the answer names it, else the action that was tried."""
    answer: dict[str, Any] = dict(error.response.get("Error", {}))
    named = re.search(r"\b(?:s3|s3-object-lambda|kms):[A-Z]\w{2,60}", str(answer.get("Message", "")))
    if named:
        return named[0]
    # Without s3:ListBucket, S3 answers 403 instead of 404 for a key that does not exist.
    return "s3:GetObject and s3:ListBucket" if place.action == "s3:GetObject" else place.action


def _details(error: ClientError) -> str:
    request = re.sub(r"[^\w+/=-]", "", str(error.response.get("ResponseMetadata", {}).get("RequestId", "")))[:60]
    return f"{code_of(error) or 'no code'}, HTTP {status_of(error)}" + (f", request id {request}" if request else "")


def _explain_client(error: BotoCoreError, place: Place) -> DeepsetError:
    kind = type(error).__name__
    where = f"{place}, {kind}"
    if isinstance(error, _NO_CREDENTIALS):
        return StoreAccessError("There are no usable credentials for the store.", "Fill in the access key and secret of the credentials "
                                "block, or give the worker a role or profile.", where)
    if isinstance(error, _SETTINGS):
        return InvalidInputError("The store's settings are not valid.", "Check the bucket's name, the endpoint URL and region_name; "
                                 "a bucket is a name such as my-logs, not a URL.", where)
    if isinstance(error, boto.FlexibleChecksumError):
        return ChecksumError("The bytes read do not have the checksum the store keeps for them.", "Run again; if it stays, verify "
                             "the archive.", where)
    if isinstance(error, boto.SSLError):
        return StoreError("The store's TLS certificate was not accepted.", "Check the endpoint's name, and the CA bundle or `verify` in "
                          "the credentials block's client parameters.", where)
    return StoreUnavailableError("The store did not answer, or the connection broke.", f"Check that the endpoint is reachable. {_LATER}", where)
