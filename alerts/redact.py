"""Text from logs made fit for a message that leaves the archive: no secrets, no addresses, nothing that a chat acts upon."""

from __future__ import annotations

import re

from ..archive.redaction import NAMED_PATTERNS

MASK = "[redacted]"

# An archive may be kept as it came; what leaves it in an alert may not. Beyond the archive's own patterns a little more is
# taken out here, where a word too many costs nothing.
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]*@"), rf"\1{MASK}@"),
    (re.compile(NAMED_PATTERNS["token"], re.DOTALL), MASK),
    (re.compile(NAMED_PATTERNS["key"], re.DOTALL), MASK),
    (re.compile(r"\b(?:api|sk|pk|rk)[-_][\w.-]{12,}"), MASK),
    (re.compile(r"(?i)\b[\w.-]*(?:token|secret|password|cookie|credential|signature)s?[\"']?\s*[:=]\s*[^\s,;&}]+"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), MASK),
    (re.compile(NAMED_PATTERNS["email"]), "[e-mail]"),
    (re.compile(r"\b(?=[\w+-]*\d)(?=[\w+-]*[A-Za-z])[\w+-]{40,}={0,2}", re.ASCII), MASK),  # long, mixed: random
]

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_INERT = str.maketrans({"<": "\u2039", ">": "\u203a", "`": "'", "|": "\u00a6"})
_MENTION = re.compile(r"(?<![\w.\]])@(?=[A-Za-z])")


def redact(text: str) -> str:
    """The text without keys, tokens, passwords and e-mail addresses, as far as their form gives them away."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def inert(text: str, limit: int = 200) -> str:
    """The text on one line of at most `limit` characters, without what a chat or markdown acts upon (mentions, links, tags)."""
    text = _CONTROLS.sub(" ", text).strip()
    if len(text) > limit:
        text = text[: limit - 1].rstrip() + "…"
    return _MENTION.sub("@\u200a", text).translate(_INERT).replace("](", "] (")


def sample(text: str, limit: int = 300) -> str:
    """A log message as it may stand in an alert: redacted first, then shortened, so that no secret is cut in two and shown."""
    return inert(redact(text[:20_000]), limit)
