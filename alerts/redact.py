"""Text from logs made fit for a message that leaves the archive: no secrets, no addresses, nothing that a chat acts upon."""

from __future__ import annotations

import re

from ..archive.redaction import NAMED_PATTERNS

MASK = "[redacted]"

_NAMES = (r"pass(?:word|wd|phrase)|pwd|token|secret|cookie|credential|signature|sas"
          r"|(?:access|account|admin|api|client|encryption|functions|master|private|secret|service|shared|signing|storage"
          r"|subscription)[ _-]?key")
_VALUE = r"""(?:"[^"]+"|'[^']+'|[^\s,;&}]+)"""
_PLAIN = r"(?:not|wrong|incorrect|invalid|missing|required|expired|empty|too|no)"
_MIXED = r"""["']?(?=[^\s"']*\d)(?=[^\s"']*[A-Za-z])[^\s"',;]{6,}"""

# An archive may be kept as it came; what leaves it in an alert may not. Beyond the archive's own patterns (which manifests
# vouch for by their hash) more is taken out here, where a word too many costs nothing.
_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    # user:password@host, also where the password holds what it should not
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)(?:[^\s/:@]*:(?!\d{1,5}/)[^\s\"'<>]{0,500}|[^\s/]*)@"), rf"\1{MASK}@"),
    # who knows a webhook's address may post to it
    (re.compile(r"""(?i)(\bhttps?://[^\s"'<>]{0,200}?hook[\w.-]{0,100}/)[^\s"'<>]+"""), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(?:set-)?cookie[\"']?\s*[:=][^\r\n]+"), MASK),
    (re.compile(NAMED_PATTERNS["token"], re.DOTALL), MASK),
    (re.compile(NAMED_PATTERNS["key"], re.DOTALL), MASK),
    (re.compile(r"\b(?:api|sk|pk|rk)[-_][\w.-]{12,}"), MASK),
    (re.compile(r"\b[Bb]asic\s+(?=[\w+/]{8,})(?=[\w+/]*(?:\d|=|[a-z][A-Z]))[\w+/]+={0,2}", re.ASCII), MASK),
    (re.compile(rf"(?i)(?:{_NAMES})s?[\"']?\s*[:=]\s*(?!\d{{1,7}}(?![\w.-])){_VALUE}"), MASK),
    (re.compile(rf"(?i)\b(?:sig|key|code|auth|[\w-]{{1,40}}key)=(?!=){_VALUE}"), MASK),
    # in a sentence: "password is ...", "the API key abc123 ..."
    (re.compile(rf"(?i)\b(pass(?:word|wd|phrase)|pwd)\s+(?:is|was)\s+(?!{_PLAIN}\b){_VALUE}"), rf"\1 {MASK}"),
    (re.compile(rf"(?i)\b({_NAMES})(?:\s+(?:is|was|key|value))?\s+{_MIXED}"), rf"\1 {MASK}"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b"), MASK),
    (re.compile(NAMED_PATTERNS["email"]), "[e-mail]"),
    (re.compile(r"(?<![\w.%+\-])[\w.%+\-]+%40[\w\-]++(?:\.[\w\-]++)+"), "[e-mail]"),
    # long and mixed: random. With slashes in it, only what has an AWS secret's length or base64's end: else it is a path.
    (re.compile(r"(?<![\w+-])(?=[\w+-]*\d)(?=[\w+-]*[A-Za-z])[\w+-]{40,}={0,2}", re.ASCII), MASK),
    (re.compile(r"(?<![\w/+.-])(?=[a-zA-Z/+]*\d)(?=[\d/+A-Z]*[a-z])(?=[\d/+a-z]*[A-Z])[A-Za-z\d/+]{40}(?![\w/+.-])"), MASK),
    (re.compile(r"(?<![\w/+])[A-Za-z\d/+]{20,}={1,2}(?![\w=])"), MASK),
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
