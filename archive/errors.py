"""Errors of the archive.

::

    ArchiveError
    ├── StoreError                         the S3 store
    │   ├── StoreUnavailableError        ↻ no answer, 500, 503 SlowDown, a reset
    │   ├── StoreAccessError               wrong key, expired token, a permission that is missing, bucket read-only
    │   ├── BucketMissingError             no such bucket, or it belongs to another account
    │   ├── ConditionalWritesMissingError  the store cannot do `If-None-Match: *`, which the archive rests on
    │   └── ChecksumError                ↻ what arrived is not what was sent
    ├── IdentityError                      the archive belongs to another host or workspace
    ├── ClockError                         this machine's clock and the API's differ by more than five minutes
    ├── ManifestError                      a manifest that cannot be read, or is listed and not there
    ├── PartError                          a part that is missing, cut short, or does not hold rows
    ├── RedactionError                     a row that cannot be redacted is not written
    ├── SpoolError                         the local spool
    │   └── DiskFullError                  the spool is kept; free space and run again
    └── VerificationError                  verify_archive found something wrong

↻ marks ``transient = True``.
"""

from __future__ import annotations

from ..api.errors import ArchiveError

__all__ = ["ArchiveError", "BucketMissingError", "ChecksumError", "ClockError", "ConditionalWritesMissingError",
           "DiskFullError", "IdentityError", "ManifestError", "PartError", "RedactionError", "SpoolError", "StoreAccessError",
           "StoreError", "StoreUnavailableError", "VerificationError"]


class StoreError(ArchiveError):
    """The S3 store refused or failed."""


class StoreUnavailableError(StoreError):
    """No answer, or one that says "later"."""

    transient = True


class StoreAccessError(StoreError):
    """The store knows who asks and says no, or does not accept who asks."""


class BucketMissingError(StoreError):
    """No such bucket, or it belongs to another account."""


class ConditionalWritesMissingError(StoreError):
    """The store cannot write with `If-None-Match: *`."""


class ChecksumError(StoreError):
    """What arrived is not what was sent."""

    transient = True


class IdentityError(ArchiveError):
    """The archive belongs to another host or workspace."""


class ClockError(ArchiveError):
    """This machine's clock cannot be trusted against the API's."""


class ManifestError(ArchiveError):
    """A manifest cannot be read, or is listed and not there."""


class PartError(ArchiveError):
    """A part is missing, cut short, or does not hold rows."""


class RedactionError(ArchiveError):
    """A row cannot be redacted, so it is not written."""


class SpoolError(ArchiveError):
    """The local spool cannot be used."""


class DiskFullError(SpoolError):
    """No space for the spool; what it holds is kept."""


class VerificationError(ArchiveError):
    """The archive is not whole or not unchanged."""
