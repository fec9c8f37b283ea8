"""Rows in the shapes that matter: even and skewed days, bursts, ties, dense milliseconds, and rows that break naive readers.

All of it is the same for the same seed. Rows made by number are rendered only when somebody asks for them, so that two
million of them take some tens of megabytes.
"""

# ruff: noqa: S311 - random numbers are repeatable here, on purpose
from __future__ import annotations

import json
import random
import uuid
from array import array
from base64 import urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from .instants import DAY, MICROSECOND, MILLISECOND, SECOND, Instant, second_bytes, second_text, text, to_ns

KINDS: Sequence[tuple[str, str]] = tuple(
    (level, origin)
    for level in ("info", "warning", "error", "debug")
    for origin in ("haystack", "querypipeline", "indexingpipeline", "unknown")
)
_WEIGHTS = [w * o for w in (86, 9, 3, 2) for o in (60, 25, 10, 5)]

_ID_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC9
_ID_MASK = 2**120 - 1
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_MESSAGES = (
    b"Will use search history type: SNS",
    b"Running component prompt_builder",
    b"Running component retriever with top_k=20 and filters=None",
    b"Query pipeline finished in 1843 ms; 20 documents, 4 answers",
    b"The component 'ranker' took longer than expected: 912 ms",
    b"Indexed 128 documents into the document store, 0 duplicates skipped",
)
_TRACE = (
    '[{"type":"OpenAIError","value":"Rate limit reached for requests","trace":[{"filename":"/app/main.py","line_number":88,'
    '"name":"haystack.core.pipeline"},{"filename":"/app/generators/openai.py","line_number":241,"name":"haystack.components.generators"}]}]'
)


class GeneratedRows:
    """Rows that are their number, a seed and a time; about 600 bytes each, as the platform's are.

    Args:
        times: nanoseconds, best in order.
        seed: other seeds give other ids, messages and levels.
        kinds: (level, origin) pairs to draw from; a mixture of the usual ones when left out.
        message_bytes: messages are filled up to at least this length.
    """

    def __init__(
        self, times: Sequence[int], seed: int = 0, kinds: Sequence[tuple[str, str]] | None = None, message_bytes: int = 0
    ) -> None:
        self.times: array[int] = times if isinstance(times, array) else array("q", times)
        self.kind_names = tuple(kinds or KINDS)
        rng = random.Random(f"kinds {seed}")
        count = len(self.kind_names)
        self.kinds: array[int] = array("H", rng.choices(range(count), None if kinds else _WEIGHTS, k=len(self.times)))
        unique = blake2b(f"{seed} {self.kind_names} {message_bytes}".encode(), digest_size=15)
        unique.update(self.times)
        self._first_id = int.from_bytes(unique.digest())
        filler = " " + "lorem ipsum dolor sit amet " * (message_bytes // 27 + 1) if message_bytes else ""
        self._templates = [_template(level, origin, filler, seed) for level, origin in self.kind_names]

    def __len__(self) -> int:
        return len(self.times)

    def log_id(self, index: int) -> str:
        """20 URL-safe characters."""
        return self._log_id(index).decode("ascii")

    def logged_at(self, index: int) -> str:
        """The row's time as its JSON has it."""
        return text(self.times[index])

    def raw(self, index: int) -> bytes:
        """The row's JSON."""
        second, fraction = divmod(self.times[index], SECOND)
        form, digits = (b"%s.%09d", fraction) if fraction % MICROSECOND else (b"%s.%06d", fraction // MICROSECOND)
        clock = form % (second_bytes(second), digits)
        message = _MESSAGES[index % len(_MESSAGES)]
        return self._templates[self.kinds[index]] % (self._log_id(index), message, index, clock, 10**19 + index * 7919)

    def _log_id(self, index: int) -> bytes:
        number = (self._first_id + index * _ID_STEP) & _ID_MASK  # an odd step: no two rows get the same
        return b2a_base64(number.to_bytes(15), newline=False).translate(_URL_SAFE)


def _template(level: str, origin: str, filler: str, seed: int) -> bytes:
    rng = random.Random(f"tenant {seed}")
    identity = [uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(4)]
    exceptions = _TRACE if level == "error" else "null"
    row = (
        '{"log_id":"\0","message":"\0 #\1' + json.dumps(filler)[1:-1] + '","logged_at":"\0Z","level":' + json.dumps(level)
        + ',"origin":' + json.dumps(origin) + ',"exceptions":' + exceptions + ',"extra_fields":{"_name":' + json.dumps(level)
        + ',"dd.env":"prod","dd.service":"dc-pipeline-query","dd.version":"2026.1","dd.trace_id":"\1","dd.span_id":"0"'
        + f',"organization_id":"{identity[0]}","organization_name":"agents-template","pipeline_id":"{identity[1]}"'
        + f',"token_origin":"API","user_id":"{identity[2]}","workspace_id":"{identity[3]}"}}}}'
    )  # fmt: skip
    return row.encode().replace(b"%", b"%%").replace(b"\0", b"%s").replace(b"\1", b"%d")


def even_day(day: Instant, count: int, seed: int = 0, **options: Any) -> GeneratedRows:
    """`count` rows spread over the 24 hours from `day` (such as ``"2026-01-31T00:00:00Z"``)."""
    return GeneratedRows(_spread(to_ns(day), DAY, count, seed), seed, **options)


def skewed_day(
    day: Instant, count: int, seed: int = 0, hour: float = 9.0, minutes: float = 10.0, share: float = 0.9, **options: Any
) -> GeneratedRows:
    """A day with `share` of its rows in the `minutes` from `hour` on."""
    crowded = round(count * share)
    start = to_ns(day) + round(hour * 3600) * SECOND
    times = _spread(to_ns(day), DAY, count - crowded, seed) + _spread(start, round(minutes * 60) * SECOND, crowded, seed + 1)
    return GeneratedRows(array("q", sorted(times)), seed, **options)


def bursts(day: Instant, count: int, seed: int = 0, number: int = 24, seconds: float = 5.0, **options: Any) -> GeneratedRows:
    """A day that is silent but for `number` bursts of some seconds each."""
    rng = random.Random(f"bursts {seed}")
    starts = sorted(rng.randrange(0, DAY - round(seconds * SECOND)) for _ in range(number))
    times: list[int] = []
    for place, start in enumerate(starts):
        size = count // number + (place < count % number)
        times += _spread(to_ns(day) + start, round(seconds * SECOND), size, seed + place)
    return GeneratedRows(array("q", sorted(times)), seed, **options)


def ties(at: Instant, count: int, seed: int = 0, **options: Any) -> GeneratedRows:
    """`count` rows of one instant; a mixture of levels and origins unless the option `kinds` says otherwise."""
    return GeneratedRows(array("q", [to_ns(at)]) * count, seed, **options)


def tied_day(day: Instant, count: int, seed: int = 0, size: int = 7, **options: Any) -> GeneratedRows:
    """An even day whose rows come in ties of about `size` (1 to twice that)."""
    rng = random.Random(f"ties {seed}")
    times: list[int] = []
    instants = _spread(to_ns(day), DAY, max(1, count // size) * 2, seed)
    for instant in instants:
        times += [instant] * min(rng.randint(1, 2 * size), count - len(times))
    times += [instants[-1]] * (count - len(times))
    return GeneratedRows(array("q", times), seed, **options)


def dense(at: Instant, milliseconds: int = 10, per_millisecond: int = 150, seed: int = 0, **options: Any) -> GeneratedRows:
    """Rows so dense that one millisecond holds more than a page, though no instant does."""
    step = MILLISECOND // per_millisecond
    step -= step % MICROSECOND if step >= MICROSECOND else 0
    start = to_ns(at)
    times = [start + ms * MILLISECOND + n * step for ms in range(milliseconds) for n in range(per_millisecond)]
    return GeneratedRows(times, seed, **options)


def _spread(start: int, length: int, count: int, seed: int) -> array[int]:
    """Instants in order, whole microseconds, one in each of `count` equal parts of the stretch."""
    draw = random.Random(f"spread {seed}").random
    step = length / max(1, count) / MICROSECOND
    base = start // MICROSECOND
    return array("q", [(base + int((n + draw()) * step)) * MICROSECOND for n in range(count)])


def row(
    logged_at: Instant,
    log_id: str | None = None,
    message: str = "a message",
    level: str = "info",
    origin: str = "haystack",
    **fields: Any,
) -> dict[str, Any]:
    """One row as an object; `fields` replace or add fields. Without an id it gets one made of its time and message."""
    instant = to_ns(logged_at)
    made = urlsafe_b64encode(blake2b(f"{instant} {message}".encode("utf-8", "replace"), digest_size=15).digest()).decode()
    logged = logged_at if isinstance(logged_at, str) else text(instant)
    return {
        "log_id": log_id or made, "message": message, "logged_at": logged, "level": level, "origin": origin,
        "exceptions": None, "extra_fields": {"_name": level, "dd.env": "prod"}, **fields,
    }  # fmt: skip


def nasty(at: Instant, step: float = 1.0) -> list[dict[str, Any] | bytes]:
    """Rows that naive readers lose, bend or trip over, `step` seconds apart from `at` on, oldest first."""
    start, gap = to_ns(at), round(step * SECOND)
    trace = [{"filename": "/app/main.py", "line_number": 3, "name": "main"}]
    rows: list[dict[str, Any]] = [
        {"message": "ünï\u00e7ødé 日本語 العربية 👩‍👩‍👧 e\u0301 \u200b \ufeff"},
        {"message": "line\u2028separator\u2029paragraph\u0085next\x0bvertical\x0cform"},
        {"message": 'quotes " and \\ and \t and \r\n and, commas; and \x00 and \x1f and \x7f'},
        {"message": ""},
        {"message": "=HYPERLINK(\"http://example.com\")"},
        {"message": "x" * 2**20},
        {"level": "CRITICAL"},
        {"level": "fatal", "origin": "unknown"},
        {"level": "trace", "origin": "a-new-origin"},
        {"level": "error", "exceptions": [{"type": "ValueError", "value": "with a trace", "trace": trace}]},
        {"level": "error", "exceptions": [{"type": "KeyError", "value": "without a trace"}]},
        {"exceptions": [], "extra_fields": None},
        {"extra_fields": {"big": 2**63, "bigger": 10**40, "negative": -(2**70), "deep": {"a": [{"b": [None, True]}]}}},
        {"extra_fields": {"logged_at": "not the time", "log_id": "not the id", "data": [], "has_more": True}},
        {"a_new_field": {"x": [1, 2]}},
    ]  # fmt: skip
    made: list[dict[str, Any] | bytes] = [row(start + n * gap, f"nasty-{n:014d}", **fields) for n, fields in enumerate(rows)]
    raw = [
        b'{"log_id":"%s","message":"a lone \\ud800 surrogate and \\udc00","logged_at":"%s","level":"info","origin":"haystack"}',
        b'{ "logged_at" : "%s" , "log_id" : "%s" , "message":"other order, spaces","origin":"haystack","level":"info" }',
        b'{"log_id":"%s","message":"exact","logged_at":"%s","level":"info","origin":"haystack","extra_fields":{"a":1.10,"b":1e400}}',
        b'{"log_id":"%s","message":"esc\\u0061ped \\/ slash","logged_at":"%s","level":"info","origin":"haystack"}',
        b'{"log_id":"%s","message":"broken\\nlines",\n"logged_at":"%s",\r\n"level":"info","origin":"haystack"}',
    ]
    for n, template in enumerate(raw, len(made)):
        identity, clock = f"nasty-{n:014d}".encode(), text(start + n * gap).encode()
        made.append(template % ((clock, identity) if template.startswith(b'{ "logged_at"') else (identity, clock)))
    for n, ending in enumerate((".5Z", "Z", ".123456789Z", ".12+00:00"), len(made)):
        second = (start + n * gap) // SECOND
        made.append(row(f"{second_text(second)}{ending}", f"nasty-{n:014d}", "another form of time"))
    return made
