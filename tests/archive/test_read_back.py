"""What was archived is read back: with Python, and with the tools that know the layout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.times import to_datetime
from prefect_deepset.archive.chain import latest
from prefect_deepset.archive.errors import ManifestError, PartError
from prefect_deepset.archive.fill import fill_format
from prefect_deepset.archive.formats import Record
from prefect_deepset.archive.read_back import as_arrow, as_models, as_pandas, read_rows
from prefect_deepset.archive.signing import check_signature
from prefect_deepset.archive.verify import verify_day

from ..servers.ministack import S3Handle
from .built_archive import PIPELINE, put, put_day
from .damages import FOURTH_DAY, INDEX, LONE_PART, NEW_PART, SECOND_DAY, Bucket, build, flip, manifest, name_twice, part
from .day_runs import load_chain
from .log_rows import DAY, plain_row, plain_rows

ROWS = plain_rows(90)
LATE = [plain_row(500 + n, row.logged_at + 7) for n, row in enumerate(ROWS[::30])]


@pytest.fixture(scope="module")
def archive(s3: S3Handle) -> Bucket:
    bucket = Bucket(s3)
    build(bucket.store)
    return bucket


def test_a_days_parts_are_one_series_in_order(archive: Bucket):
    assert list(read_rows(archive.store, "my space", DAY, DAY)) == sorted(ROWS + LATE)


def test_rows_are_chosen_by_pipeline_day_and_level(archive: Bucket):
    rows = list(read_rows(archive.store, "my space", DAY, FOURTH_DAY))
    assert [row.logged_at for row in rows] == sorted(row.logged_at for row in rows)
    assert len(rows) == 93 + 30 + 5
    assert len(list(read_rows(archive.store, "my space", SECOND_DAY, FOURTH_DAY, ["rag/prod"]))) == 35
    assert len(list(read_rows(archive.store, "my space", DAY, FOURTH_DAY, [INDEX]))) == 4
    assert {row.level for row in read_rows(archive.store, "my space", DAY, DAY, levels=["INFO"])} == {"info", "INFO"}
    assert list(read_rows(archive.store, "my space", DAY, DAY, levels=["fatal"])) == []


def test_one_name_or_level_or_day_may_come_as_plain_text(archive: Bucket):
    assert {row.level for row in read_rows(archive.store, "my space", DAY, DAY, levels="info")} == {"info", "INFO"}
    rows = list(read_rows(archive.store, "my space", SECOND_DAY.isoformat(), FOURTH_DAY, "rag/prod"))  # pyright: ignore[reportArgumentType]
    assert len(rows) == 35
    assert len(list(read_rows(archive.store, "my space", DAY, FOURTH_DAY, INDEX))) == 4  # pyright: ignore[reportArgumentType]


def test_a_part_that_no_manifest_names_is_not_read(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(4)]])
    bucket[NEW_PART] = bucket[part(1)]
    assert len(list(read_rows(bucket.store, "my space", DAY, DAY))) == 4


def test_a_damaged_part_is_not_read_silently(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(4)]])
    flip(bucket, part(1))
    with pytest.raises(PartError):
        list(read_rows(bucket.store, "my space", DAY, DAY))


def test_a_manifest_that_names_a_part_twice_does_not_double_rows(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(4)]])
    name_twice(bucket, manifest(1))
    with pytest.raises(ManifestError, match="more than once"):
        list(read_rows(bucket.store, "my space", DAY, DAY))
    assert verify_day(bucket.store, PIPELINE, DAY).rows == 4


def test_wrong_questions_are_refused_at_once(archive: Bucket):
    with pytest.raises(InvalidInputError, match="`start`"):
        read_rows(archive.store, "my space", SECOND_DAY, DAY)
    with pytest.raises(InvalidInputError, match="pipeline 'typo'"):
        read_rows(archive.store, "my space", DAY, DAY, ["typo"])
    with pytest.raises(InvalidInputError, match="workspace 'my spice'"):
        read_rows(archive.store, "my spice", DAY, DAY)
    with pytest.raises(InvalidInputError, match="`pipelines` is empty"):
        read_rows(archive.store, "my space", DAY, DAY, [])
    with pytest.raises(InvalidInputError, match="`levels`"):
        read_rows(archive.store, "my space", DAY, DAY, levels=[None])  # pyright: ignore[reportArgumentType]


def test_rows_are_read_in_bounded_memory(s3: S3Handle):
    bucket = Bucket(s3)
    rows = plain_rows(40_000)
    put_day(bucket.store, PIPELINE, DAY, [[rows[0::2], rows[1::2]]])
    del rows
    list(read_rows(bucket.store, "my space", SECOND_DAY, SECOND_DAY))
    tracemalloc.start()
    assert sum(1 for _ in read_rows(bucket.store, "my space", DAY, DAY)) == 40_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_rows_become_models_arrow_and_pandas(archive: Bucket):
    rows = list(read_rows(archive.store, "my space", FOURTH_DAY, FOURTH_DAY))
    models = list(as_models(rows))
    assert [(model.log_id, model.logged_at) for model in models] == [(row.log_id, to_datetime(row.logged_at)) for row in rows]
    table = as_arrow(rows)
    assert table.schema.names == list(Record._fields)
    assert table.column("logged_at").to_pylist() == [to_datetime(row.logged_at) for row in rows]
    frame = as_pandas(rows)
    assert list(frame["log_id"]) == [row.log_id for row in rows]
    assert str(frame["logged_at"].dtype) == "datetime64[us, UTC]"
    assert as_arrow([]).schema == table.schema


def test_a_missing_pandas_is_named():
    code = "import sys; sys.modules['pandas'] = None\nfrom prefect_deepset.archive.read_back import as_pandas\nas_pandas([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install pandas" in done.stderr


@pytest.fixture(scope="module")
def folder(archive: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bucket as files, as `aws s3 sync` would bring it."""
    root = tmp_path_factory.mktemp("bucket")
    for key in archive.listed():
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive[key])
    return root


def test_duckdb_reads_jsonl_over_the_layout(folder: Path):
    query = f"""
        SELECT dt, pipeline, level, count(*) AS rows, count(DISTINCT log_id), min(logged_at)
        FROM read_json('{folder}/logs/jsonl/workspace=*/pipeline=*/dt=*/*.jsonl.gz', format = 'newline_delimited',
                       hive_partitioning = true, columns = {{log_id: 'VARCHAR', logged_at: 'TIMESTAMPTZ', level: 'VARCHAR',
                       origin: 'VARCHAR', message: 'VARCHAR', exceptions: 'JSON', extra_fields: 'JSON'}})
        WHERE dt = '{DAY}' GROUP BY ALL ORDER BY level"""
    found = duckdb.sql(query).fetchall()
    counts = {(level, rows, ids) for _, _, level, rows, ids, _ in found}
    assert counts == {("INFO", 18, 18), ("error", 18, 18), ("info", 38, 38), ("warning", 19, 19)}
    assert {(str(day), pipeline) for day, pipeline, *_ in found} == {(DAY.isoformat(), "rag/prod")}


def test_duckdb_reads_parquet_over_the_layout(folder: Path):
    query = f"""
        SELECT dt, pipeline, extra_fields ->> '$."dd.trace_id"', logged_at
        FROM read_parquet('{folder}/logs/parquet/workspace=*/pipeline=*/dt=*/*.parquet', hive_partitioning = true)
        ORDER BY logged_at, log_id"""
    found = duckdb.sql(query).fetchall()
    rows = plain_rows(30, SECOND_DAY, 1000)
    assert [trace for _, _, trace, _ in found] == [json.loads(row.raw)["extra_fields"]["dd.trace_id"] for row in rows]
    assert [at for *_, at in found] == [to_datetime(row.logged_at) for row in rows]
    assert {(str(day), pipeline) for day, pipeline, *_ in found} == {(SECOND_DAY.isoformat(), "rag/prod")}


def test_the_duckdb_queries_of_the_docs_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    document = (Path(__file__).parents[2] / "docs" / "archive-format.md").read_text()
    block = next(found for found in re.findall(r"```sql\n(.*?)```", document, re.DOTALL) if "read_json" in found)
    monkeypatch.chdir(folder)
    counts, errors = [duckdb.sql(query).fetchall() for query in block.split(";") if query.strip()]
    assert sum(rows for *_, rows in counts) == 93 + 30 + 5
    assert [trace for _, _, trace in errors] == [json.loads(row.raw)["extra_fields"]["dd.trace_id"]
                                                 for row in plain_rows(30, SECOND_DAY, 1000) if row.level == "error"]


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_format_is_filled_from_the_archive(name: str, s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[ROWS[:40], ROWS[40:]], [LATE]], ended=True, requests=9, late_rows=3)
    before = latest(bucket.store, PIPELINE, DAY)
    filled = fill_format(bucket.store, PIPELINE, DAY, name)
    assert before is not None
    assert filled is not None
    changed = {"revision", "files", "previous", "late_rows", "requests", "retries"}
    assert filled.manifest.model_dump(exclude=changed) == before.manifest.model_dump(exclude=changed)
    assert (filled.manifest.revision, filled.manifest.requests, filled.manifest.late_rows) == (3, 0, 0)
    assert [file.key for file in filled.manifest.files[3:]] == [part(number, DAY, name) for number in (1, 2, 3)]
    verdict = verify_day(bucket.store, PIPELINE, DAY)
    assert (verdict.findings, verdict.parts, verdict.rows) == ([], 6, 93)
    assert fill_format(bucket.store, PIPELINE, DAY, name) == filled
    assert len(load_chain(bucket.store, PIPELINE, DAY)) == 3


def test_a_filled_revision_is_signed(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(4)]], key="secret key")
    fill_format(bucket.store, PIPELINE, DAY, "csv", signing_key="secret key")
    assert check_signature(bucket[manifest(2)], "secret key")
    assert verify_day(bucket.store, PIPELINE, DAY, "secret key").complete


def test_a_copy_that_a_crashed_run_left_is_taken_over(s3: S3Handle):
    bucket, other = Bucket(s3), Bucket(s3)
    for one in (bucket, other):
        put_day(one.store, PIPELINE, DAY, [[plain_rows(4)]])
    fill_format(other.store, PIPELINE, DAY, "csv")
    bucket[part(1, DAY, "csv")] = other[part(1, DAY, "csv")]
    fill_format(bucket.store, PIPELINE, DAY, "csv")
    assert verify_day(bucket.store, PIPELINE, DAY).complete


def test_a_stranger_in_a_copys_place_is_named(s3: S3Handle):
    bucket = Bucket(s3)
    put_day(bucket.store, PIPELINE, DAY, [[plain_rows(4)]])
    put(bucket.store, part(1, DAY, "csv"), b"mine")
    with pytest.raises(PartError, match=r"part-00001.csv.gz"):
        fill_format(bucket.store, PIPELINE, DAY, "csv")
    assert len(load_chain(bucket.store, PIPELINE, DAY)) == 1


def test_a_day_that_is_not_archived_is_not_filled(archive: Bucket):
    assert fill_format(archive.store, PIPELINE, DAY - timedelta(days=3), "csv") is None
    with pytest.raises(InvalidInputError, match="xlsx"):
        fill_format(archive.store, PIPELINE, DAY, "xlsx")
    assert LONE_PART in archive.listed()
