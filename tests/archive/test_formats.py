"""The tables beside jsonl hold every row exactly, and open where people open them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.rows import Row, decode_row
from prefect_deepset.api.times import format_instant, parse_instant
from prefect_deepset.archive.errors import PartError
from prefect_deepset.archive.formats import Record, compression_of, read_table, require_formats, to_record, write_table

from .log_rows import ODD_ROWS, plain_rows

FILES = {"csv": "part-00001.csv.gz", "parquet": "part-00001.parquet"}
INSTANT = "2026-03-14T10:33:04.157182Z"

odd = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def row_of(**fields: Any) -> Row:
    body = {"log_id": "UHG0_JYBbpf1V-YKI8YQ", "logged_at": INSTANT, "level": "info", "origin": "haystack", "message": "m"}
    return decode_row(json.dumps(body | fields).encode())


def row_like(text: bytes) -> Row:
    return decode_row(b'{"log_id": "a", "logged_at":"%s", "level": "info",  "origin": "o"%s}' % (INSTANT.encode(), text))


def parse(text: str | bytes) -> Any:
    return json.loads(text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text)


def restored(record: Record) -> dict[str, Any]:
    """The row's fields from a line of a table, by docs/archive-format.md alone."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in ("log_id", "level", "origin", "message")}
    fields["logged_at"] = format_instant(record.logged_at)
    for name in ("exceptions", "extra_fields"):
        text = getattr(record, name)
        fields[name] = None if text is None else parse(text)
    return fields | ({} if record.unknown_fields is None else parse(record.unknown_fields))


def expected(row: Row) -> dict[str, Any]:
    """The same from the row's own bytes; null and absent are one."""
    fields: dict[str, Any] = dict.fromkeys(("level", "origin", "message", "exceptions", "extra_fields"))
    return fields | parse(row.raw)


@odd
@given(ODD_ROWS)
def test_a_line_of_a_table_gives_the_row_back(row: Row):
    given_back, original = restored(to_record(row)), expected(row)
    assert parse_instant(given_back.pop("logged_at")) == parse_instant(original.pop("logged_at")) == row.logged_at
    assert given_back == original


@odd
@given(ODD_ROWS)
def test_every_cell_of_a_table_can_be_stored(row: Row):
    for cell in to_record(row):
        assert isinstance(cell, int) or cell is None or cell.encode().decode() == cell


@pytest.mark.parametrize("name", FILES)
@odd
@given(rows=st.lists(ODD_ROWS, max_size=8))
def test_what_is_written_is_read_back(name: str, rows: list[Row], tmp_path: Path):
    path = tmp_path / FILES[name]
    write_table(name, iter(rows), path)
    assert list(read_table(name, path)) == list(map(to_record, rows))


@pytest.mark.parametrize("name", FILES)
def test_the_same_rows_give_the_same_bytes(name: str, tmp_path: Path):
    rows = plain_rows(300)
    paths = [tmp_path / folder / FILES[name] for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        write_table(name, rows, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_written_and_read_in_bounded_memory(name: str, tmp_path: Path):
    rows = plain_rows(4)
    random = Random(0)
    path = tmp_path / FILES[name]
    write_table(name, rows, path)  # whatever is imported on first use is not counted
    tracemalloc.start()
    write_table(name, (row_of(message=random.randbytes(10_000).hex()) for _ in range(3_200)), path)
    assert sum(1 for _ in read_table(name, path)) == 3_200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45 << 20  # of 64 MiB of rows; a row group of Parquet is the largest piece


def test_a_contract_row_has_no_unknown_fields():
    record = to_record(row_of(exceptions=None, extra_fields={"dd.trace_id": "1"}))
    assert record == Record("UHG0_JYBbpf1V-YKI8YQ", parse_instant(INSTANT), "info", "haystack", "m", None,
                            '{"dd.trace_id": "1"}', None)


@pytest.mark.parametrize(("fields", "column", "shown", "unknown"), [
    ({"message": None}, "message", "", '{"message": null}'),
    ({"message": {"a": 1}}, "message", '{"a": 1}', '{"message": {"a": 1}}'),
    ({"message": "half \ud83d"}, "message", r"half \ud83d", r'{"message": "half \ud83d"}'),
    ({"level": 40}, "level", "40", '{"level": 40}'),
    ({"origin": None}, "origin", "", '{"origin": null}'),
    ({"exceptions": "none"}, "exceptions", '"none"', None),
    ({"extra_fields": {"n": 2**70}}, "extra_fields", '{"n": 1180591620717411303424}', None),
    ({"tenant": "t", "shard": 3}, "message", "m", '{"tenant": "t", "shard": 3}'),
    ({"logged_at": "2026-03-14T10:33:04.157182999Z"}, "logged_at", parse_instant(INSTANT),
     '{"logged_at": "2026-03-14T10:33:04.157182999Z"}'),
])
def test_what_a_column_cannot_hold_is_shown_and_carried(fields: dict[str, Any], column: str, shown: object, unknown: object):
    record = to_record(row_of(**fields))
    assert getattr(record, column) == shown
    assert record.unknown_fields == unknown


def test_an_absent_text_is_carried_as_null():
    record = to_record(row_like(b""))
    assert (record.message, record.unknown_fields) == ("", '{"message": null}')


def test_bytes_that_are_no_utf8_are_replaced_in_the_tables_only():
    assert to_record(row_like(b', "message": "\xff!"')).message == "\ufffd!"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "'"])
def test_a_cell_like_a_formula_is_guarded_by_an_apostrophe(text: str, tmp_path: Path):
    path = tmp_path / "part-00001.csv.gz"
    write_table("csv", [row_of(message=text, origin=text)], path)
    header, line = csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode("utf-8-sig"), newline=""))
    assert header == list(Record._fields)
    assert (line[4], line[3]) == (f"'{text}", f"'{text}")
    assert [record.message for record in read_table("csv", path)] == [text]


def test_csv_is_what_spreadsheets_and_duckdb_read(tmp_path: Path):
    path = tmp_path / "part-00001.csv.gz"
    write_table("csv", [row_of(message='a "quoted", two-\nline message ü'), row_of(message="")], path)
    body = gzip.decompress(path.read_bytes())
    assert body.startswith(b"\xef\xbb\xbflog_id,logged_at,")
    assert body.count(b"\r\n") == 3
    query = f"SELECT logged_at AT TIME ZONE 'UTC', message FROM read_csv('{path}', header = true, quote = '\"', escape = '\"')"
    assert [(str(at), message or "") for at, message in duckdb.sql(query).fetchall()] == [
        ("2026-03-14 10:33:04.157182", 'a "quoted", two-\nline message ü'), ("2026-03-14 10:33:04.157182", "")]


def test_a_message_longer_than_pythons_csv_limit_is_read(tmp_path: Path):
    path = tmp_path / "part-00001.csv.gz"
    write_table("csv", [row_of(message="x" * 300_000)], path)
    assert [len(record.message) for record in read_table("csv", path)] == [300_000]


def test_parquet_has_typed_sorted_zstd_columns_with_statistics(tmp_path: Path):
    path = tmp_path / "part-00001.parquet"
    write_table("parquet", plain_rows(70_000), path)
    with pq.ParquetFile(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        assert schema.field("logged_at").type == pa.timestamp("us", tz="UTC")
        assert {str(schema.field(name).type) for name in schema.names} == {"string", "timestamp[us, tz=UTC]"}
        assert metadata.num_row_groups > 2
        times = [metadata.row_group(group).column(1) for group in range(metadata.num_row_groups)]
        assert {column.compression for column in times} == {"ZSTD"}
        ranges = [(column.statistics.min, column.statistics.max) for column in times]
        assert ranges == sorted(ranges)
        assert [(key.column_index, key.descending) for key in metadata.row_group(0).sorting_columns] == [(1, False)]


def test_an_empty_parquet_table_has_the_columns(tmp_path: Path):
    path = tmp_path / "part-00001.parquet"
    write_table("parquet", [], path)
    assert pq.read_table(path).schema.names == list(Record._fields)


HEADER = ",".join(Record._fields).encode() + b"\r\n"


@pytest.mark.parametrize(("name", "body"), [
    ("csv", b""), ("csv", b"a,b\r\n1,2\r\n"), ("csv", HEADER + b"x\r\n"),
    ("csv", HEADER + b'"x'), ("csv", HEADER + b"\xff,,,,,,,\r\n"), ("parquet", b"PAR1"), ("parquet", b""),
])
def test_what_is_no_table_is_named(name: str, body: bytes, tmp_path: Path):
    path = tmp_path / "some-part"
    path.write_bytes(body)
    with pytest.raises(PartError, match="some-part"):
        list(read_table(name, path))


def test_foreign_columns_are_refused(tmp_path: Path):
    pq.write_table(pa.table({"log_id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(PartError, match="columns"):
        list(read_table("parquet", tmp_path / "x.parquet"))


def test_a_missing_pyarrow_is_named():
    code = ("import sys; sys.modules['pyarrow'] = None\nfrom prefect_deepset.archive.formats import require_formats\n"
            "require_formats(['jsonl', 'csv'])\nrequire_formats(['parquet'])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install pyarrow" in done.stderr


def test_an_unknown_format_is_named():
    with pytest.raises(InvalidInputError, match=r"'xlsx'.*jsonl, csv, parquet"):
        require_formats(["jsonl", "xlsx"])
    with pytest.raises(InvalidInputError, match=r"'xlsx'.*csv, parquet"):
        write_table("xlsx", [], Path("nowhere"))


def test_csv_is_gzip_and_parquet_unwrapped_in_any_archive():
    assert [compression_of(name, "zstd") for name in ("jsonl", "csv", "parquet")] == ["zstd", "gzip", None]
