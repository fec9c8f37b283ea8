"""Redaction: what must not reach the disk or the bucket is taken out of each row before it is kept.

Only what must change is rewritten; every other byte of the row stays as it came. A row's id, time, level and origin are
never touched: the archive is built on them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from ..api.rows import Row, decode_row
from .errors import RedactionError
from .json_slices import Member, json_string, split_array, split_object

NAMED_PATTERNS = {
    "email": r"(?<![\w.%+\-])[\w.%+\-]++@[\w\-]++(?:\.[\w\-]++)+",
    # `Bearer ...`, `Authorization: ...`, and JSON web tokens, also behind a prefix such as deepset's `api_`
    "token": r"(?i:\bbearer)\s+[\w.~+/\-]{8,}=*"
             r"""|(?i:\bauthorization["']?\s*[:=]\s*["']?(?:\w+\s+)?)[^\s"',;]+"""
             # It begins with the word, and `before` is put back: looking from each `eyJ` in it would be quadratic.
             r"|(?<![\w\-])(?=[\w\-]++\.[\w\-]{8})(?P<before>(?:(?!(?<![^\W_])eyJ[\w\-]{8})[\w\-])*+)"
             r"eyJ[\w\-]{8,}+\.[\w\-]{8,}+(?:\.[\w\-]*+)?",
    # well-known shapes of keys, PEM private keys, and `password=...`, `"api_key": "..."`
    "key": r"\b(?:sk|pk|rk|hf|gsk|xai|glpat)[-_][\w\-]{16,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
           r"|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bxox[a-z]-[\w\-]{10,}|\bAIza[\w\-]{35}"
           r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)"
           r"|(?i:api[_-]?key|access[_-]?key|secret|password|passwd|pwd|(?:access|auth|refresh|id)[_-]?token)"
           r"""["']?\s*[:=]\s*(?:"[^"]+"|'[^']+'|[^\s,;"'}&]+)""",
}
"""What a policy's `patterns` may name instead of writing a regular expression."""

_NEEDS = {
    "email": ("@",),
    "token": ("bearer", "authorization", "eyj"),
    "key": ("key", "secret", "passw", "pwd", "token", "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "hf-", "hf_", "xai-", "xai_",
            "glpat", "akia", "asia", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat", "xox", "aiza"),
}
"""In lower case, what a named pattern cannot match without. Looking for it first is ten times faster than the expression."""

_NAME = re.compile(r"[A-Za-z_\-]+")
_PLAIN = re.compile(r"[\w.:@ \-]+", re.ASCII)  # characters that JSON never has to escape
_HASH_LENGTH = 32  # hex digits: 128 bits
_HASHED = re.compile(rf'"hmac-sha256:[0-9a-f]{{{_HASH_LENGTH}}}"')


class _Mask(NamedTuple):
    pattern: re.Pattern[str]
    replacement: str
    needs: tuple[str, ...]
    """One of these is in every text that the pattern matches; empty when that is not known."""


class RedactionPolicy(BaseModel):
    """What to take out of rows.

    Raises:
        pydantic.ValidationError: for a pattern that is neither a name nor a regular expression, or one that matches nothing at
            all, and for `hash_fields` without a salt.
    """

    # The docstrings below are what the block's form says under each field.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

    drop_fields: list[str] = Field(default_factory=list[str])
    """Keys of `extra_fields` to leave out. Dots are part of the key: ``dd.trace_id``."""
    hash_fields: list[str] = Field(default_factory=list[str])
    """Keys of `extra_fields` whose value becomes ``hmac-sha256:<32 hex digits>``: equal values stay equal; null stays null."""
    patterns: list[str] = Field(default_factory=list[str])
    """``email``, ``token``, ``key``, or a regular expression; masked in every text inside `message` and `exceptions`."""
    salt: SecretStr | None = None
    """The key of the hashes. Without one an e-mail address or a user id could be guessed from its hash."""

    _masks: list[_Mask] = PrivateAttr(default_factory=list[_Mask])
    _signs: tuple[bytes, ...] | None = PrivateAttr(default=None)
    """In lower case: a row without any of them, and without escaped characters, needs no redaction. None: it always may."""

    @field_validator("patterns")
    @classmethod
    def _check_patterns(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if pattern not in NAMED_PATTERNS and _NAME.fullmatch(pattern):
                raise ValueError(f"there is no pattern named {pattern!r}: choose from {', '.join(NAMED_PATTERNS)}, or write "
                                 f"(?:{pattern}) for the word itself")
            try:
                empty = re.compile(NAMED_PATTERNS.get(pattern, pattern)).search("")
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
            if empty:
                raise ValueError(f"{pattern!r} matches the empty text, so it would put a mask everywhere")
        return patterns

    @model_validator(mode="after")
    def _check_salt(self) -> RedactionPolicy:
        if self.hash_fields and not (self.salt and self.salt.get_secret_value()):
            raise ValueError("hash_fields needs a salt: hashes without one can be guessed back")
        return self

    def model_post_init(self, context: Any, /) -> None:  # noqa: ARG002 - pydantic passes it
        """Compiles the patterns once."""
        for name in self.patterns:
            named = name in NAMED_PATTERNS
            expression = re.compile(NAMED_PATTERNS.get(name, name), re.DOTALL)
            kept = r"\g<before>" if named and "before" in expression.groupindex else ""
            mask = f"{kept}[redacted:{name}]" if named else "[redacted]"
            self._masks.append(_Mask(expression, mask, _NEEDS.get(name, ())))
        fields = [*self.drop_fields, *self.hash_fields]
        if all(mask.needs for mask in self._masks) and all(_PLAIN.fullmatch(field) for field in fields):
            self._signs = tuple({sign.lower().encode() for mask in self._masks for sign in mask.needs} | {
                field.lower().encode() for field in fields})

    @property
    def sha256(self) -> str:
        """Hex, of what the policy does: what manifests name. The salt is not in it; a named pattern's expression is."""
        content = {"drop_fields": sorted(set(self.drop_fields)), "hash_fields": sorted(set(self.hash_fields)),
                   "patterns": [[mask.replacement, mask.pattern.pattern] for mask in self._masks]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def keyed_sha256(self) -> str:
        """Hex, of what the policy does, salt included: for this machine alone, since a short salt could be guessed from it."""
        salt = self.salt.get_secret_value() if self.salt else ""
        return hmac.new(salt.encode(), self.sha256.encode(), hashlib.sha256).hexdigest()

    def redact(self, row: Row) -> Row:
        """The row after `apply`; the same object when nothing had to change.

        Raises:
            RedactionError: see `apply`.
        """
        raw = self.apply(row.raw)
        return row if raw == row.raw else decode_row(raw)

    def apply(self, raw: bytes) -> bytes:
        """The row's JSON after redaction; the same bytes when nothing had to change.

        Odd rows are redacted by the same words: a field that stands twice is treated twice, and a message or exceptions of
        another type than the contract's have every text inside them masked.

        Raises:
            RedactionError: when the row is no JSON object, and something in it might have to be taken out.
        """
        if self._signs is not None and b"\\u" not in raw:
            lower = raw.lower()
            if not any(sign in lower for sign in self._signs):
                return raw
        # Bytes that are no UTF-8 become lone surrogates here and the same bytes again below.
        text = raw.decode("utf-8", "surrogateescape")
        try:
            redacted = _rewrite_members(text, self._member)
        except (ValueError, RecursionError):
            # The cause is left out: it would quote the row.
            raise RedactionError("A row cannot be redacted, because it is no JSON object; it was not written.",
                                 "Report this: the platform sent a row that its contract does not allow.") from None
        return raw if redacted is text else redacted.encode("utf-8", "surrogateescape")

    def _member(self, member: Member) -> str | None:
        if member.name == "extra_fields" and member.value_text.startswith("{"):
            return _rewrite_members(member.value_text, self._extra_field)
        if member.name in {"message", "exceptions"} and self._masks:
            return self._mask(member.value_text)
        return member.value_text

    def _extra_field(self, member: Member) -> str | None:
        if member.name in self.drop_fields:
            return None
        if member.name in self.hash_fields and member.value_text != "null":
            return self._hash(member.value_text)
        return member.value_text

    def _hash(self, value_text: str) -> str:
        if _HASHED.fullmatch(value_text):
            return value_text  # so that a row that went through the policy goes through it unchanged
        value: object = cast("object", json.loads(value_text)) if value_text.startswith('"') else value_text
        salt = self.salt.get_secret_value() if self.salt else ""
        digest = hmac.new(salt.encode(), str(value).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f'"hmac-sha256:{digest[:_HASH_LENGTH]}"'

    def _mask(self, value_text: str) -> str:
        """JSON text with every string value in it masked; the very same text when nothing matched."""
        if value_text.startswith('"'):
            value = masked = cast("str", json.loads(value_text))
            lower = value.lower()
            for mask in self._masks:
                if not mask.needs or any(need in lower for need in mask.needs):
                    masked = mask.pattern.sub(mask.replacement, masked)
            return value_text if masked == value else json_string(masked)
        if value_text.startswith("{"):
            return _rewrite_members(value_text, lambda member: self._mask(member.value_text))
        if value_text.startswith("["):
            elements = split_array(value_text)
            masked_elements = [self._mask(element) for element in elements]
            return value_text if masked_elements == elements else f"[{', '.join(masked_elements)}]"
        return value_text


def _rewrite_members(text: str, rewrite: Callable[[Member], str | None]) -> str:
    """The object with each value as `rewrite` gives it, None leaving it out; the very same text when nothing changes."""
    members = split_object(text)
    values = [rewrite(member) for member in members]
    if all(value == member.value_text for member, value in zip(members, values, strict=True)):
        return text
    kept = [f"{member.name_text}: {value}" for member, value in zip(members, values, strict=True) if value is not None]
    return f"{{{', '.join(kept)}}}"
