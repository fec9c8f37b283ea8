"""The benchmarks start, count right, and know what they measure; their figures are not tested here."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest
from prefect_deepset.testing.s3_server import EmbeddedS3, find_ministack

ROOT = Path(__file__).resolve().parent.parent
DAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.mark.parametrize("shape", ["unique", "ties", "bursts", "skewed"])
def test_every_shape_of_day_has_its_rows_inside_the_day(shape: str) -> None:
    from benchmarks.scenarios import Scenario, make_rows, midnight

    rows = make_rows(Scenario(2_000, shape), DAY)
    start = round(midnight(DAY).timestamp()) * 10**9
    assert len(rows) == 2_000
    assert all(start <= time < start + 86_400 * 10**9 for time in rows.times)
    tied = 2_000 - len(set(rows.times))
    assert {"unique": tied == 0, "ties": 10 <= tied <= 40, "bursts": tied > 1_500, "skewed": tied < 10}[shape]


def test_the_core_archives_a_day_and_the_stage_counts_every_row_once() -> None:
    from benchmarks.scenarios import Scenario
    from benchmarks.stage import BUCKET
    from benchmarks.targets import stage

    find_ministack()
    with EmbeddedS3() as s3:
        s3.create_bucket(BUCKET)
        with stage(Scenario(rows=500, shape="ties"), s3) as at:
            said = at.run_core(4).said
            assert (said["status"], said["rows"], said["gaps"]) == ("sealed", 500, 0)
            assert at.kept() == (500, 0)
            assert at.run_core(4).said["committed"] is False
            assert at.server.counters["pages"] == 0


def test_a_pipe_costs_what_all_of_its_processes_cost() -> None:
    from benchmarks.measure import run

    ones, count = "print('1\\n' * 1000)", "import sys; print({'lines': len(sys.stdin.read().split())})"
    cost = run([[sys.executable, "-c", ones], [sys.executable, "-c", count.replace("'", '"')]], {})
    assert cost.exit_code == 0, cost.errors
    assert cost.rss > 10
    assert cost.cpu > 0
    failed = run([[sys.executable, "-c", "import sys; sys.exit(3)"], [sys.executable, "-c", "pass"]], {})
    assert failed.exit_code == 3


def test_a_table_takes_its_place_in_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import documents

    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter\n")
    monkeypatch.setattr(documents, "DOCUMENT", document)
    table = documents.Table("a", "b")
    table.add(1, 2)
    documents.publish("one", table, write=True)
    assert document.read_text() == "before\n<!-- one -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- /one -->\nafter\n"
    with pytest.raises(SystemExit, match="no place for two"):
        documents.publish("two", table, write=True)


def test_every_command_of_the_document_has_its_place() -> None:
    from benchmarks import __main__ as everything

    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for name in everything.ALL:
        assert f"python -m benchmarks.{name}" in text
        assert f"<!-- {name} -->\n" in text
