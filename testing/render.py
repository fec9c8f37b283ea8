"""Answers as bytes: pages in JSON, rows in CSV, errors."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .behaviour import Behaviour


@dataclass
class Answer:
    """One HTTP answer before it is sent."""

    status: int
    body: bytes | Iterator[bytes]
    """An iterator is sent in chunks."""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    rows: int = 0


def json_answer(value: object, status: int = 200) -> Answer:
    """Any value as JSON."""
    return Answer(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def error(status: int, *messages: str) -> Answer:
    """An error in the platform's form."""
    return json_answer({"errors": list(messages)}, status)


def unprocessable(name: str, message: str, kind: str, given: object, context: Mapping[str, object] | None = None) -> Answer:
    """422 as FastAPI words it."""
    detail: dict[str, Any] = {"type": kind, "loc": ["query", name], "msg": message, "input": given}
    if context:
        detail["ctx"] = dict(context)
    return json_answer({"detail": [detail]}, 422)


def page(raws: list[bytes], has_more: bool, total: int | None, behaviour: Behaviour) -> bytes:
    """A page in JSON, its rows as they are."""
    more = b"true" if has_more else b"false"
    count = b"null" if total is None else b"%d" % total
    if behaviour.pretty_json:
        rows = b",\n".join(b"    {\n      " + raw.strip()[1:-1] + b"\r\n    }" for raw in raws)
        return b'{\n  "data": [\n' + rows + b'\n  ],\n  "has_more": ' + more + b',\n  "total": ' + count + b"\n}\n"
    return b'{"data":[' + b",".join(raws) + b'],"has_more":' + more + b',"total":' + count + b"}"


def csv_chunks(raws: Iterable[bytes], behaviour: Behaviour) -> Iterator[bytes]:
    """The header, then the rows (RFC 4180), some hundred kB at a time; objects and lists as JSON text."""
    buffer = io.StringIO(newline="")
    write = csv.writer(buffer, lineterminator="\r\n").writerow
    if behaviour.csv_bom:
        buffer.write("\ufeff")
    write(behaviour.csv_header or behaviour.csv_columns)
    for raw in raws:
        row = json.loads(raw)
        write([_cell(row.get(column)) for column in behaviour.csv_columns])
        if buffer.tell() > 200_000:
            yield _encoded(buffer)
            buffer.seek(0)
            buffer.truncate()
    yield _encoded(buffer)


def _encoded(buffer: io.StringIO) -> bytes:
    return buffer.getvalue().encode("utf-8", "replace")  # CSV has no escape for a lone surrogate


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
