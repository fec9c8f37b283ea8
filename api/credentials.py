"""API keys: what a usable one looks like, when it expires, and how it is kept out of every text."""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, cast, runtime_checkable

from .errors import InvalidInputError

HIDDEN = "[hidden]"

_ADVICE = "Copy the key again from the platform: profile, API Keys."
_PREFIX = re.compile(r"(?i)bearer(?:\s+|$)")
_JWT = re.compile(r"eyJ[\w-]{6,}(?:\.[\w-]*){0,2}")
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?!token\b|api\b|key\b|realm\b|auth)[^\s\"',<>]{6,}")
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_PIECE = 8
"""So many characters in a row of the key give away a piece of it."""


@runtime_checkable
class Secret(Protocol):
    """A wrapper that shows its value on request only, such as pydantic's ``SecretStr``."""

    def get_secret_value(self) -> str:
        """The value."""
        ...


def clean_key(api_key: str | Secret) -> str:
    """The key without the blanks and line breaks that pasting adds, and without a leading ``Bearer``.

    Raises:
        InvalidInputError: when it is empty, or has control, blank or non-ASCII characters inside. The key is not shown
            (an HTTP library would show it in its own error, so it must not get that far).
    """
    key = api_key.get_secret_value() if isinstance(api_key, Secret) else api_key
    if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError("The API key is not text.", _ADVICE)
    key = key.strip()
    if prefix := _PREFIX.match(key):
        key = key[prefix.end() :]
    if not key:
        raise InvalidInputError("The API key is empty.", _ADVICE)
    if any(not "!" <= character <= "~" for character in key):
        raise InvalidInputError("The API key holds a blank, a control character or one that is not ASCII.", _ADVICE)
    return key


def expiry(api_key: str | Secret) -> datetime | None:
    """When the key expires: the ``exp`` claim of ``api_<JWT>``. None when it says nothing of it.

    Nothing is verified: that is the server's part.
    """
    key = clean_key(api_key)
    token = key.removeprefix("api_").split(".")
    if len(token) != 3:
        return None
    try:
        claims: object = json.loads(base64.urlsafe_b64decode(token[1] + "=" * (-len(token[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    exp = cast("dict[str, Any]", claims).get("exp") if isinstance(claims, dict) else None
    if isinstance(exp, bool) or not isinstance(exp, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(exp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def redactor(key: str) -> Callable[[str], str]:
    """A function that hides the key in a text, however much of it is there, and anything else that looks like a token.

    Letters' case does not matter: where the key stands for a host, libraries write it in lower case.
    """
    whole = re.compile(re.escape(key), re.IGNORECASE | re.ASCII)
    small = key.translate(_LOWER)
    pieces = {small[i : i + _PIECE] for i in range(len(small) - _PIECE + 1)} or {small}
    width = min(_PIECE, len(key))

    def redact(text: str) -> str:
        text = _BEARER.sub(rf"\1{HIDDEN}", _JWT.sub(HIDDEN, whole.sub(HIDDEN, text)))
        lower = text.translate(_LOWER)  # of the same length, unlike `lower()`
        kept: list[str] = []
        position = 0
        while position < len(text):
            if lower[position : position + width] not in pieces:
                kept.append(text[position])
                position += 1
                continue
            end = position + width
            while end < len(text) and lower[end - width + 1 : end + 1] in pieces:
                end += 1
            kept.append(HIDDEN)
            position = end
        return "".join(kept)

    return redact
