"""Addresses: the base URL in the shapes people hold it, and names that may stand in a path."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from .errors import InvalidInputError

DEFAULT_BASE_URL = "https://api.cloud.deepset.ai"
"""The European platform; the one in the United States is ``https://api.us.deepset.ai``."""

_ADVICE = f"Give the API's address, such as {DEFAULT_BASE_URL} (EU) or https://api.us.deepset.ai (US)."
_NAME_ADVICE = "Give the name as the platform shows it."
_API_SUFFIX = re.compile(r"/api(?:/v1)?$")
_VERSION_END = re.compile(r"(?:^|/)v\d+$")
_KEY = re.compile(r"(?i)^(?:https?:/+)?api_|(?:^|[/_.])eyj[\w-]{6,}")
_LABEL = re.compile(r"[a-z0-9-]{1,63}")


class ApiUrl(NamedTuple):
    """Where the API lives."""

    root: str
    """Scheme, host and path up to and including ``/api/v1``, without a trailing slash."""
    host: str
    """Host, lower case, with the port where one was given that is not the scheme's own: ``127.0.0.1:8123``."""
    hostname: str
    """The host without port."""
    scheme: str


def parse_base_url(base_url: str) -> ApiUrl:
    """The address behind any of the four shapes: bare host, ``/api``, ``/api/v1``, each with or without a trailing slash.

    Without a scheme it is https, and then a host of one word must be this machine. The URL itself is not shown in errors:
    people paste keys into the wrong field.

    Raises:
        InvalidInputError: no URL, an API key, plain http to a host that is not this machine, user and password in it, a query.
    """
    text = _cleaned(base_url)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        hostname, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise InvalidInputError("The base URL's host or port cannot be read.", _ADVICE) from error
    if parts.scheme not in {"http", "https"}:
        raise InvalidInputError(f"The base URL's scheme is {parts.scheme[:20]!r}, not https.", _ADVICE)
    if "@" in parts.netloc:
        raise InvalidInputError("The base URL holds a user name or password.", "Leave them out; the API takes a key.")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise InvalidInputError("The base URL holds a query or a fragment.", _ADVICE)
    if not _is_host(hostname) or ("://" not in text and "." not in hostname and not is_loopback(hostname)):
        # An intranet's host may be one word; a word alone is as likely a key that went into the wrong field.
        raise InvalidInputError("The base URL has no usable host.", f"{_ADVICE} A host of one word needs its https://.")
    if parts.scheme == "http" and not is_loopback(hostname):
        raise InvalidInputError("The base URL is plain http: the key would travel unencrypted.",
                                "Write https:// instead. (Plain http is taken for this machine only, for tests.)")
    path = re.sub(r"/{2,}", "/", parts.path).rstrip("/")
    prefix = _API_SUFFIX.sub("", path)
    if _VERSION_END.search(prefix) or any(part in {".", ".."} for part in prefix.split("/")):
        raise InvalidInputError("The base URL's path does not end in /api/v1, /api or the host.", _ADVICE)
    shown = f"[{hostname}]" if ":" in hostname else hostname
    own_port = {"http": 80, "https": 443}[parts.scheme]
    host = shown if port is None or port == own_port else f"{shown}:{port}"
    return ApiUrl(f"{parts.scheme}://{host}{prefix}/api/v1", host, hostname, parts.scheme)


def _cleaned(base_url: str) -> str:
    """The URL without blanks around it, when it can be one at all and does not look like a key."""
    if not isinstance(base_url, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError("The base URL is not text.", _ADVICE)
    text = base_url.strip()
    if not text or not text.isascii() or any(character.isspace() or not character.isprintable() for character in text):
        raise InvalidInputError("The base URL is empty or holds characters that no URL has.", _ADVICE)
    if _KEY.search(text):
        raise InvalidInputError("The base URL looks like an API key.", f"{_ADVICE} The key goes into `api_key`.")
    return text


def _is_host(hostname: str) -> bool:
    """Whether it is an IP address, or a name that DNS can hold. No such name has an underscore; keys do."""
    try:
        return bool(ip_address(hostname))
    except ValueError:
        return len(hostname) <= 253 and all(map(_LABEL.fullmatch, hostname.split(".")))


def is_loopback(hostname: str) -> bool:
    """Whether a host name can only mean this machine."""
    if hostname == "localhost":
        return True
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return False


def check_name(name: str, what: str) -> str:
    """The name as it came, when it can stand in a path (percent-encoded).

    Raises:
        InvalidInputError: when it is empty, ``.`` or ``..`` (a path would swallow them), or no text that can be encoded.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users call without a type checker
        raise InvalidInputError(f"The {what}'s name is not text but {type(name).__name__}.", _NAME_ADVICE)
    if not name.strip() or name in {".", ".."}:
        raise InvalidInputError(f"The {what}'s name is {name!r}, which no {what} can have.", _NAME_ADVICE)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"The {what}'s name holds half of a character (a lone surrogate).", _NAME_ADVICE) from error
    return name
