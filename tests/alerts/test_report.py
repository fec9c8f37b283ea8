"""The report and its plots."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from prefect_deepset.alerts.ledger import Ledger
from prefect_deepset.alerts.plot import data_uri, days_plot, hours_plot
from prefect_deepset.alerts.report import report
from prefect_deepset.alerts.rules import ErrorCount, RuleSet
from prefect_deepset.alerts.state import claim_transitions
from prefect_deepset.api.sources import LogSource

from .days import MemoryStore, archived, clock, gap

CHAT = LogSource("default", "chat")


def images(markdown: str) -> list[str]:
    found = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown)
    return [base64.b64decode(one).decode() for one in found]


def test_a_report_has_each_day_the_worst_first_with_plots_exceptions_and_links():
    days = [archived(3, errors=25, exceptions={"ValueError@app:3": 20}),
            archived(3, pipeline="search", status="gap", gaps=[gap(3, "retention")])]
    changed = claim_transitions(Ledger(MemoryStore(), "default"), RuleSet.from_threshold(20), days, now=clock(4))
    text = report(days, {CHAT: [archived(1, errors=1), archived(2, errors=2)]}, changed, {"This run": "https://prefect.test/runs/1"},
                  archive="s3://bucket", prefix="logs", failed={"broken": "It answered 504."}, notes=["The key expires soon."])
    lines = text.splitlines()
    assert lines[0] == "**2 pipelines, 2 days: 2,000 rows, 25 errors (1.25 %).** **1 day with something missing.**"
    table = [line for line in lines if line.startswith(("| chat", "| search"))]
    assert table == ["| search | 2026-01-03 | 1,000 | 0 | 0.00 % | **gap** | 03:00–04:00 retention |",  # noqa: RUF001
                     "| chat | 2026-01-03 | 1,000 | 25 | 2.50 % | sealed | – |"]  # noqa: RUF001
    assert "- **broken failed:** It answered 504." in lines
    assert "- The key expires soon." in lines
    assert any(line.startswith("- **FIRING** chat, 2026-01-03: 25 error rows") for line in lines)
    assert "| ValueError | app:3 | 20 | row-of-0 |" in lines
    assert "Last 3 archived days: 3,000 rows, 28 errors" in lines
    assert "Archive: `s3://bucket/logs/jsonl/workspace=default/pipeline=chat/dt=2026-01-03/`" in lines
    assert lines[-1] == "[This run](https://prefect.test/runs/1)"
    assert len(images(text)) == 3


def test_an_empty_run_has_a_report_too():
    assert report([]) == "**0 pipelines, 0 days: 0 rows, 0 errors.**\n\nThere was nothing to do.\n"


def test_a_report_stays_some_kilobytes_however_large_the_run():
    exceptions = {f"Error{index}@module:{index}": index for index in range(100)}
    days = [archived(day, errors=day, rows=10**9, pipeline=f"pipeline-{index}", exceptions=exceptions,
                     gaps=[gap(day, "gateway-timeout")] * 500)
            for index in range(300) for day in (1, 2)]
    year = [archived(day) for day in range(1, 366)]
    trend = {LogSource("default", f"pipeline-{index}"): year for index in range(500)}
    assert len(report(days, trend)) < 100_000


def test_an_outage_of_every_pipeline_is_a_short_report():
    failed = {f"pipeline-{index}": "It answered 504. " * 30 for index in range(400)}
    text = report([], failed=failed, notes=["A claim was lost. " * 30] * 400)
    assert len(text) < 25_000
    assert "- ... and 390 more failed; the run's log has each." in text


def test_every_change_is_named_however_many_there_are():
    days = [archived(3, errors=500, pipeline=f"p-{index:03d}") for index in range(90)]
    changed = claim_transitions(Ledger(MemoryStore(), "default"), RuleSet.from_threshold(100), days, now=clock(4))
    changes = report([], transitions=changed).partition("## What changed")[2]
    assert [index for index in range(90) if f"**FIRING** p-{index:03d}, 2026-01-03" not in changes] == []
    assert changes.count("the threshold is 100") == 50
    assert "- **FIRING** p-089, 2026-01-03, rule error-threshold" in changes


def test_what_fires_by_levels_of_its_own_comes_first_and_the_report_says_what_errors_are():
    days = [archived(3, errors=25), archived(3, pipeline="warned", levels={"Warning": 300, "info": 700})]
    rules = RuleSet(rules=(ErrorCount(threshold=100, levels=frozenset({"warning"})),))
    changed = claim_transitions(Ledger(MemoryStore(), "default"), rules, days, now=clock(4))
    text = report(days, transitions=changed)
    assert "- **FIRING** warned, 2026-01-03: 300 rows of level warning of 1,000; the threshold is 100." in text
    assert text.index("| warned |") < text.index("| chat |")
    assert "Errors are rows of level critical, error or fatal. A rule that counts other levels names them." in text


def test_error_rows_without_an_exception_are_in_the_report_with_one_of_them():
    text = report([archived(1, errors=500, exceptions={"KeyError@a:1": 29}, plain_errors={"error": 471}, other_exceptions=7)])
    assert "| error without exception |  | 471 | error-row |\n| KeyError | a:1 | 29 | row-of-0 |" in text
    assert "7 exceptions of kinds that the manifest has no room for" in text


def test_names_and_exceptions_are_text_and_not_markup():
    nasty = "a|b*c*<script>[x](http://evil)`d`"
    text = report([archived(1, errors=5, pipeline=nasty, exceptions={f"{nasty}@m:1": 5})], failed={nasty: nasty}, notes=[nasty])
    assert "<script" not in text
    assert "](http://evil)" not in text
    [row] = [line for line in text.splitlines() if line.startswith("| a")][:1]
    assert row.count("|") == 8
    assert "\\*c\\*" in row


def test_secrets_in_an_error_s_text_are_masked():
    text = report([], failed={"chat": "It refused Bearer abcdef0123456789."})
    assert "abcdef0123456789" not in text


@pytest.mark.parametrize("name", ["chat", "a<b>&\"'\x00\ud800", "日本語"])
def test_a_plot_is_well_formed_and_small_and_the_same_each_time(name: str):
    day = archived(1, errors=30, pipeline=name, gaps=[gap(1, "retention")])
    svg = hours_plot(day)
    assert hours_plot(day) == svg
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(svg) < 4_500
    data_uri(svg)


def test_a_plot_marks_the_hours_that_were_not_read():
    whole, part = hours_plot(archived(1)), hours_plot(archived(1, gaps=[gap(1, "retention", "03:30:00", "05:00:00")]))
    assert "not all archived" not in whole
    assert part.count('fill="url(#h)"') == 2 + 1  # two hours, and the legend


def test_the_newest_day_s_label_stays_inside_the_plot():
    svg = days_plot([archived(day) for day in range(1, 31)])
    assert 'x="712" y="192" text-anchor="end">01-30<' in svg


def test_long_names_keep_both_ends_so_that_two_do_not_look_the_same():
    names = [f"{'retrieval-augmented-' * 5}{end}" for end in ("v1", "v2")]
    text = report([archived(1, pipeline=name) for name in names])
    rows = [line for line in text.splitlines() if line.startswith("| retrieval")]
    assert [row.split(" | ")[0][-3:] for row in rows] == ["-v1", "-v2"]
    assert max(len(row.split(" | ")[0]) for row in rows) <= 42


def test_the_trend_marks_the_days_without_a_manifest():
    svg = days_plot([archived(day, errors=day) for day in range(1, 40) if day != 35])
    assert svg.count('fill="url(#h)"') == 1 + 1
    assert days_plot([])


@pytest.mark.browser
def test_a_browser_shows_the_plots_on_light_and_dark_pages(tmp_path: Path):
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    day = archived(1, errors=30, gaps=[gap(1, "retention")])
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for scheme, background in {"light": "#eaeaeb", "dark": "#26272b"}.items():
            page = browser.new_page(color_scheme=scheme)
            page.set_content(f'<body style="background:{background}"><img src="{data_uri(hours_plot(day))}">')
            page.wait_for_function("document.images[0].complete")
            assert page.evaluate("document.images[0].naturalWidth") == 720
            page.screenshot(path=tmp_path / f"{scheme}.png")
        browser.close()
