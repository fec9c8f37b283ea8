"""An archive in a bucket, and every way to damage it that verification names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.keys import manifest_key, part_key
from prefect_deepset.archive.manifest import sha256_hex
from prefect_deepset.archive.verify import ArchiveVerdict, verify_archive

from ..servers.ministack import S3Handle
from .built_archive import PIPELINE, put_day
from .log_rows import DAY, plain_row, plain_rows

INDEX = LogSource("my space", "docs", "index")
NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SECOND_DAY, THIRD_DAY, FOURTH_DAY = (DAY + timedelta(days=n) for n in (1, 2, 3))
PREFIX = "logs"


def manifest(revision: int, day: date = DAY) -> str:
    return manifest_key(PREFIX, PIPELINE, day, revision)


def part(number: int, day: date = DAY, format: str = "jsonl") -> str:  # noqa: A002
    return part_key(PREFIX, format, PIPELINE, day, number, None if format == "parquet" else "gzip")


def folder(day: date) -> str:
    return manifest(1, day).rpartition("r")[0]


class Bucket:
    """An archive in a bucket of its own, and hands that damage it."""

    def __init__(self, s3: S3Handle) -> None:
        self.s3, self.name, self.client = s3, s3.bucket(), s3.client()
        self.store = s3.store(self.name, PREFIX)
        self.touched: set[str] = set()

    def __getitem__(self, key: str) -> bytes:
        return self.s3.read(self.name, key)

    def __setitem__(self, key: str, body: bytes) -> None:
        self.touched.add(key)
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def __delitem__(self, key: str) -> None:
        assert key in self.listed()
        self.touched.add(key)
        self.client.delete_object(Bucket=self.name, Key=key)

    def restore(self, objects: dict[str, bytes]) -> None:
        """Undoes all damage: `objects` is what there was."""
        for key in list(self.touched):
            if key in objects:
                self[key] = objects[key]
            else:
                self.client.delete_object(Bucket=self.name, Key=key)
        self.touched.clear()

    def listed(self) -> list[str]:
        return self.s3.keys(self.name)

    def move(self, key: str, to: str) -> None:
        self[to] = self[key]
        del self[key]

    def edit(self, key: str, **fields: Any) -> None:
        """Rewrites a manifest with other values; ``files__0__rows`` reaches inside."""
        found = json.loads(self[key])
        for name, value in fields.items():
            *steps, last = [int(step) if step.isdigit() else step for step in name.split("__")]
            place = found
            for step in steps:
                place = place[step]
            place[last] = value
        self[key] = (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode()

    def manifest(self, revision: int) -> dict[str, Any]:
        return json.loads(self[manifest(revision)])

    def verify(self, **asked: Any) -> ArchiveVerdict:
        return verify_archive(self.store, "my space", **{"pipelines": None, "start": None, "end": None, "now": NOW, **asked})

    def found(self, **asked: Any) -> list[tuple[str, str]]:
        return sorted((finding.kind, finding.key) for finding in self.verify(**asked).all_findings)


def build(store: Any) -> None:
    """Four days of a pipeline, the last one its end, and one of an index."""
    rows = plain_rows(90)
    late = [plain_row(500 + n, row.logged_at + 7) for n, row in enumerate(rows[::30])]
    put_day(store, PIPELINE, DAY, [[rows[:40], rows[40:]], [late], []])
    put_day(store, PIPELINE, SECOND_DAY, [[plain_rows(30, SECOND_DAY, 1000)]], formats=("jsonl", "csv", "parquet"))
    put_day(store, PIPELINE, THIRD_DAY, [[]])
    put_day(store, PIPELINE, FOURTH_DAY, [[plain_rows(5, FOURTH_DAY, 2000)]], ended=True)
    put_day(store, INDEX, FOURTH_DAY, [[plain_rows(4, FOURTH_DAY, 3000)]], ended=True)


def name_twice(bucket: Bucket, key: str) -> None:
    """A manifest names each of its files twice, and all of its counts are doubled to match."""
    found = json.loads(bucket[key])
    numbers = {name: found[name] * 2 for name in ("files", "rows", "errors")}
    by_value = {name: {value: 2 * rows for value, rows in found[name].items()} for name in ("rows_by_level", "rows_by_origin")}
    by_hour = {name: [2 * rows for rows in found[name]] for name in ("rows_by_hour", "errors_by_hour")}
    bucket.edit(key, **numbers, **by_value, **by_hour)


def flip(bucket: Bucket, key: str) -> None:
    body = bytearray(bucket[key])
    body[len(body) // 2] ^= 1
    bucket[key] = bytes(body)


def again(bucket: Bucket, key: str, old: bytes = b"", new: bytes = b"") -> None:
    bucket[key] = gzip.compress(gzip.decompress(bucket[key]).replace(old, new, 1))


def respace(bucket: Bucket, key: str) -> None:
    bucket[key] = bucket[key].replace(b'"requests": 0', b'"requests":  0')


def repack(bucket: Bucket, key: str, change: Callable[[list[bytes]], list[bytes]], manifest_key: str) -> None:
    """Rewrites a part's lines and makes the manifest's entry fit its bytes: what a faulty tool could have written."""
    body = gzip.compress(b"".join(line + b"\n" for line in change(gzip.decompress(bucket[key]).splitlines())), mtime=0)
    bucket[key] = body
    files = json.loads(bucket[manifest_key])["files"]
    number = next(number for number, file in enumerate(files) if file["key"] == key)
    bucket.edit(manifest_key, **{f"files__{number}__sha256": sha256_hex(body), f"files__{number}__bytes": len(body)})


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


def twice(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[:-1]]


def day_before(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b"03-17", b"03-16") for line in lines]


def no_row(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], b"{}"]


def other_id(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b"took", b"lost"), *lines[4:]]


def exchange(bucket: Bucket, one: str, other: str) -> None:
    bucket[one], bucket[other] = bucket[other], bucket[one]


Damage = Callable[[Bucket], object]
MODIFIED, MISSING, MOVED, LINK, FOREIGN = "modified", "missing", "moved", "broken-link", "foreign"
ELSEWHERE = f"{PREFIX}/old/part.gz"
NEW_PART = part(9)
LONE, LONE_PART = manifest(1, FOURTH_DAY), part(1, FOURTH_DAY)
SOLE = manifest(1, SECOND_DAY)
CSV, PARQUET = part(1, SECOND_DAY, "csv"), part(1, SECOND_DAY, "parquet")
DAMAGES: dict[str, tuple[Damage, list[tuple[str, str]]]] = {
    "a bit of a part flipped": (lambda b: flip(b, part(2)), [(MODIFIED, part(2))]),
    "a part cut short": (lambda b: b.__setitem__(part(1), b[part(1)][:-9]), [(MODIFIED, part(1))]),
    "a part emptied": (lambda b: b.__setitem__(part(1), b""), [(MODIFIED, part(1))]),
    "a part's row changed": (lambda b: again(b, part(1), b"ms", b"us"), [(MODIFIED, part(1))]),
    "a part compressed again": (lambda b: again(b, part(3)), [(MODIFIED, part(3))]),
    "a part with bytes after its end": (lambda b: b.__setitem__(part(1), b[part(1)] + b"x"), [(MODIFIED, part(1))]),
    "a part deleted": (lambda b: b.__delitem__(part(3)), [(MISSING, part(3))]),
    "a part moved in its day": (lambda b: b.move(part(2), NEW_PART), [(MOVED, part(2))]),
    "a part moved to another day": (lambda b: b.move(part(2), part(2, THIRD_DAY)), [(MOVED, part(2))]),
    "a part moved out of the tables": (lambda b: b.move(part(2), ELSEWHERE), [(MOVED, part(2))]),
    "a part copied": (lambda b: b.__setitem__(NEW_PART, b[part(2)]), [(FOREIGN, NEW_PART)]),
    "two parts exchanged": (lambda b: exchange(b, part(1), part(2)), [(MODIFIED, part(1)), (MODIFIED, part(2))]),
    "a stranger beside parts": (lambda b: b.__setitem__(f"{part(1)}.bak", b"x"), [(FOREIGN, f"{part(1)}.bak")]),
    "a stranger beside manifests": (lambda b: b.__setitem__(f"{manifest(1)}.bak", b"x"), [(FOREIGN, f"{manifest(1)}.bak")]),
    "a stranger in a table": (lambda b: b.__setitem__("logs/csv/notes.txt", b"x"), [(FOREIGN, "logs/csv/notes.txt")]),
    "a stranger above the days": (lambda b: b.__setitem__(f"{part(1).partition('dt=')[0]}x", b"x"),
                                  [(FOREIGN, f"{part(1).partition('dt=')[0]}x")]),
    "a stranger in a day that is none": (lambda b: b.__setitem__(part(1).replace("2026-03-14", "20260314"), b"x"),
                                         [(FOREIGN, part(1).replace("2026-03-14", "20260314"))]),
    "parts of a pipeline without manifests": (lambda b: b.__setitem__(part(1).replace("rag%2Fprod", "x"), b"x"),
                                              [(FOREIGN, part(1).replace("rag%2Fprod", "x"))]),
    "an older revision's counts": (lambda b: b.edit(manifest(1), rows=91), [(MODIFIED, manifest(1))]),
    "an older revision's bytes": (lambda b: respace(b, manifest(1)), [(LINK, manifest(2))]),
    "a link's hash": (lambda b: b.edit(manifest(3), previous__sha256="0" * 64), [(LINK, manifest(3))]),
    "a link's key": (lambda b: b.edit(manifest(3), previous__key=manifest(1)), [(LINK, manifest(3))]),
    "a link cut": (lambda b: b.edit(manifest(3), previous=None), [(LINK, manifest(3))]),
    "a link where none can be": (lambda b: b.edit(LONE, previous={"key": manifest(1), "sha256": "0" * 64}), [(LINK, LONE)]),
    "a manifest that is none": (lambda b: b.__setitem__(manifest(2), b"{}"), [(MODIFIED, manifest(2))]),
    "the newest manifest emptied": (lambda b: b.__setitem__(manifest(3), b""), [(MODIFIED, manifest(3))]),
    "a manifest in the middle deleted": (lambda b: b.__delitem__(manifest(2)), [(MISSING, manifest(2))]),
    "the first manifest deleted": (lambda b: b.__delitem__(manifest(1)), [(MISSING, manifest(1))]),
    "a manifest moved up": (lambda b: b.move(manifest(3), manifest(9)), [(MOVED, manifest(3))]),
    "a manifest in the middle moved": (lambda b: b.move(manifest(2), manifest(9)), [(MOVED, manifest(2))]),
    "a day's manifest moved to another day": (lambda b: b.move(manifest(1, SECOND_DAY), manifest(2, THIRD_DAY)),
                                              [(MOVED, manifest(1, SECOND_DAY))]),
    "a manifest overwritten by the next": (lambda b: b.__setitem__(manifest(1), b[manifest(2)]), [(MODIFIED, manifest(1))]),
    "two revisions exchanged": (lambda b: exchange(b, manifest(1), manifest(2)), [(MOVED, manifest(1)), (MOVED, manifest(2))]),
    "the manifests of two days exchanged": (lambda b: exchange(b, SOLE, manifest(1, THIRD_DAY)),
                                            [(MOVED, SOLE), (MOVED, manifest(1, THIRD_DAY))]),
    "the newest revision's number": (lambda b: b.edit(manifest(3), revision=4), [(MODIFIED, manifest(3))]),
    "a revision's number": (lambda b: b.edit(manifest(2), revision=1), [(MODIFIED, manifest(2))]),
    "an older revision's status": (lambda b: b.edit(manifest(1), status="open"), [(LINK, manifest(2))]),
    "a manifest copied": (lambda b: b.__setitem__(manifest(2, THIRD_DAY), b[manifest(2)]), [(FOREIGN, manifest(2, THIRD_DAY))]),
    "a day's manifests deleted": (lambda b: b.__delitem__(manifest(1, SECOND_DAY)),
                                  [(MISSING, folder(SECOND_DAY))]),
    "the only manifest emptied": (lambda b: b.__setitem__(SOLE, b""), [(MODIFIED, SOLE)]),
    "the only manifest's day": (lambda b: b.edit(SOLE, dt="2026-01-01"), [(MODIFIED, SOLE)]),
    "the only manifest's workspace": (lambda b: b.edit(SOLE, source__workspace="other"), [(MODIFIED, SOLE)]),
    "the only manifest's pipeline": (lambda b: b.edit(SOLE, source__pipeline="other"), [(MODIFIED, SOLE)]),
    "the only manifest's number": (lambda b: b.edit(SOLE, revision=2), [(MODIFIED, SOLE)]),
    "a day deleted": (lambda b: b.__delitem__(manifest(1, THIRD_DAY)), [(MISSING, folder(THIRD_DAY))]),
    "an entry dropped": (lambda b: b.edit(manifest(3), files=b.manifest(3)["files"][:2]), [(MODIFIED, manifest(3))]),
    "an entry's number": (lambda b: b.edit(LONE, files__0__rows=6), [(MODIFIED, LONE)]),
    "an entry's hash in one revision": (lambda b: b.edit(manifest(3), files__0__sha256="0" * 64), [(MODIFIED, manifest(3))]),
    "an entry outside of the day": (lambda b: b.edit(LONE, files__0__key=part(1)),
                                    [(FOREIGN, LONE_PART), (MODIFIED, LONE)]),
    "an entry twice, counted twice": (lambda b: name_twice(b, LONE), [(MODIFIED, LONE)]),
    "another host": (lambda b: b.edit(manifest(3), source__host="elsewhere"), [(MODIFIED, manifest(3))]),
    "a csv copy changed": (lambda b: flip(b, CSV), [(MODIFIED, CSV)]),
    "a parquet copy changed": (lambda b: flip(b, PARQUET), [(MODIFIED, PARQUET)]),
    "a parquet copy deleted": (lambda b: b.__delitem__(PARQUET), [(MISSING, PARQUET)]),
    "a csv copy moved": (lambda b: b.move(CSV, NEW_PART), [(MOVED, CSV)]),
    "a copy of other rows": (lambda b: repack(b, CSV, other_id, manifest(1, SECOND_DAY)),
                             [(MODIFIED, CSV)]),
    "rows out of order": (lambda b: repack(b, LONE_PART, swap, LONE), [(MODIFIED, LONE_PART)]),
    "a row twice": (lambda b: repack(b, LONE_PART, twice, LONE), [(MODIFIED, LONE_PART)]),
    "a row of another day": (lambda b: repack(b, LONE_PART, day_before, LONE), [(MODIFIED, LONE_PART)]),
    "rows that are none": (lambda b: repack(b, LONE_PART, no_row, LONE), [(MODIFIED, LONE_PART)]),
}
