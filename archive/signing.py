"""Signed manifests: HMAC-SHA256 over the manifest's bytes as they are with ``"signature": null``.

The check works on the stored bytes, so that a manifest of another version, or one laid out by another tool, checks alike.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import date
from typing import NamedTuple

from ..api.errors import InvalidInputError
from .manifest import Manifest

_SIGNATURE = re.compile(rb'("signature"\s*:\s*)"([0-9a-f]{64})"')


class Trust(NamedTuple):
    """What manifests must be signed with. It comes from outside of the bucket: who may write there could otherwise lower it."""

    keys: tuple[str | bytes, ...]
    """One of these: the key in use, and older ones."""
    since: date | None = None
    """Days before this UTC day are not held against signatures; None for none."""

    def __repr__(self) -> str:
        # A key must not show, not even where a log prints what a call was given.
        return f"Trust(keys={('**********',) * len(self.keys)!r}, since={self.since!r})"

    @classmethod
    def of(cls, key: str | bytes | Trust) -> Trust:
        """One key alone, for all days; what is a `Trust` already stays."""
        return key if isinstance(key, Trust) else cls((key,))

    def covers(self, day: date) -> bool:
        """Whether the day's manifests must be signed."""
        return self.since is None or day >= self.since

    def signed(self, body: bytes) -> bool:
        """Whether a stored manifest's bytes carry the signature of one of the keys.

        Raises:
            InvalidInputError: for an empty key.
        """
        return any(check_signature(body, key) for key in self.keys)


def sign(manifest: Manifest, key: str | bytes) -> Manifest:
    """The same manifest with its signature. Nothing may be changed in it afterwards.

    Args:
        key: the secret, from outside the bucket; text counts as UTF-8.

    Raises:
        InvalidInputError: for an empty key.
    """
    unsigned = manifest.model_copy(update={"signature": None})
    return unsigned.model_copy(update={"signature": _mac(unsigned.to_bytes(), _secret(key))})


def check_signature(body: bytes, key: str | bytes) -> bool:
    """Whether a stored manifest's bytes carry the signature of this key; False when they carry none.

    Raises:
        InvalidInputError: for an empty key.
    """
    secret = _secret(key)
    found = list(_SIGNATURE.finditer(body))
    if len(found) != 1:
        return False  # unsigned, or doctored so that two readers could see two signatures
    start, end = found[0].span()
    unsigned = body[:start] + found[0][1] + b"null" + body[end:]
    return hmac.compare_digest(_mac(unsigned, secret), found[0][2].decode())


def _mac(body: bytes, secret: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def _secret(key: str | bytes) -> bytes:
    secret = key.encode() if isinstance(key, str) else key
    if not secret:
        raise InvalidInputError("The signing key is empty.", "Put a long random text into the secret block.")
    return secret
