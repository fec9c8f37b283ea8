"""What a manifest says of a day's rows, slice by slice and revision by revision."""

from __future__ import annotations

from prefect_deepset.api.rows import Row
from prefect_deepset.api.times import day_span
from prefect_deepset.archive.counts import Counts, total
from prefect_deepset.archive.manifest import Manifest, Source, TimeSpan

from .log_rows import DAY, plain_row

START = day_span(DAY).start


def row(number: int, level: str = "error", kind: str = "") -> Row:
    exceptions = [{"type": kind, "value": "v", "trace": None}] if kind else None
    return plain_row(number, START + number, level=level, exceptions=exceptions)


def manifest(counts: Counts) -> Manifest:
    span = TimeSpan(start=f"{DAY}T00:00:00Z", end=f"{DAY}T23:59:59Z")
    fields = {**counts.fields(), "source": Source(host="h", workspace="w", pipeline="p"), "dt": str(DAY), "revision": 1,
              "status": "sealed", "span": span, "read_at": span.end}
    return Manifest.model_validate(fields)


def test_error_rows_without_an_exception_are_counted_by_level_with_one_of_them():
    slices = [[row(1), row(2, "ERROR"), row(3, kind="KeyError"), row(4, "info")], [row(5, "Fatal"), row(6)]]
    found = manifest(total(Counts.of(rows, START) for rows in slices))
    plain = [(one.level, one.count, one.log_id[:8]) for one in found.plain_errors]
    assert plain == [("error", 3, "00000001"), ("fatal", 1, "00000005")]
    again = Counts.of_manifest(found, None, None)
    again.add(Counts.of([row(7, "fatal")] * 9, START))
    assert [(one.level, one.count) for one in manifest(again).plain_errors] == [("fatal", 10), ("error", 3)]


def test_exceptions_beyond_the_hundred_kinds_are_counted_in_every_revision():
    many = [row(number, kind=f"E{number % 150:03d}") for number in range(400)]
    first = manifest(Counts.of(many, START))
    assert len(first.exceptions) == 100
    assert sum(one.count for one in first.exceptions) + first.other_exceptions == 400
    assert not first.knows_all_kinds
    later = Counts.of_manifest(first, None, None)
    later.add(Counts.of([row(number, kind=f"F{number}") for number in range(20)], START))
    second = manifest(later)
    assert sum(one.count for one in second.exceptions) + second.other_exceptions == 420


def test_a_manifest_has_the_optional_fields_only_where_they_say_something():
    plain = manifest(Counts.of([row(1, "info"), row(2, kind="KeyError")], START))
    assert b"plain_errors" not in plain.to_bytes()
    assert b"other_exceptions" not in plain.to_bytes()
    full = manifest(Counts.of([row(1)], START))
    assert Manifest.from_bytes(full.to_bytes(), "key") == full
