"""CSV downloads: complete under each unknown, intact, and nothing left behind."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect_deepset.api import errors as e
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.csv_logs import download_csv
from prefect_deepset.api.csv_records import Records, encode_record, read_header
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import SECOND, Span, day_span, parse_instant
from prefect_deepset.testing import (
    Behaviour,
    FakeDeepset,
    Fault,
    Faults,
    HeavyRange,
    dense,
    even_day,
    nasty,
    row,
    tied_day,
    ties,
)

from .scripted import Asked, ScriptedServer, reply

DAY = "2026-01-31T00:00:00Z"
SPAN = day_span(date(2026, 1, 31))
SOURCE = LogSource("support", "chat")
COLUMNS = ["log_id", "message", "logged_at", "level", "origin", "exceptions", "extra_fields"]


@pytest.fixture
def platform() -> Iterator[FakeDeepset]:
    """A platform with a day of ties and rows around it."""
    with FakeDeepset(now="2026-02-01T03:00:00Z") as fake:
        fake.add_pipeline("support", "chat", tied_day(DAY, 1300))
        fake.add_rows("support", "chat", even_day(DAY, 1300, seed=1))
        fake.add_rows("support", "chat", [row("2026-01-30T23:59:59.999999Z"), row("2026-02-01T00:00:00Z")])
        yield fake


@pytest.fixture
def deepset(platform: FakeDeepset) -> Iterator[DeepsetClient]:
    """Its client."""
    with DeepsetClient(platform.api_key, platform.url) as client:
        yield client


def download(platform: FakeDeepset, deepset: DeepsetClient, path: Path, span: Span = SPAN) -> list[dict[str, str]]:
    """The records of a download, read as a spreadsheet would."""
    assert download_csv(deepset, SOURCE, span, path, now=platform.now, sleep=platform.advance) == path
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def truth(platform: FakeDeepset) -> list[dict[str, Any]]:
    """The day's rows as the server has them, newest first."""
    rows = [json.loads(found.raw) for found in platform.truth("support", "chat", DAY, "2026-02-01T00:00:00Z")]
    return sorted(rows, key=lambda found: (found["logged_at"], found["log_id"]), reverse=True)


BEHAVIOURS = [
    Behaviour(), Behaviour(after_inclusive=True), Behaviour(after_precision="ms"), Behaviour(after_precision="s"),
    Behaviour(tie_order="random"), Behaviour(disorder="stable"), Behaviour(disorder="random"), Behaviour(limit_cap=30),
    Behaviour(total="zero"), Behaviour(has_more="full_page"), Behaviour(no_logs="404_always"),
]


@pytest.mark.parametrize("limited", [True, False], ids=["limit honoured", "limit ignored"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_day_is_complete_newest_first_under_each_unknown(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, behaviour: Behaviour, limited: bool
) -> None:
    platform.behaviour = Behaviour(**{**vars(behaviour), "csv_limit_honoured": limited})
    found = download(platform, deepset, tmp_path / "day.csv")
    assert [record["log_id"] for record in found] == [known["log_id"] for known in truth(platform)]
    assert [record["message"] for record in found] == [known["message"] for known in truth(platform)]


@pytest.mark.parametrize("limited", [True, False], ids=["limit honoured", "limit ignored"])
def test_a_day_is_complete_through_faults(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, limited: bool) -> None:
    platform.behaviour = Behaviour(csv_limit_honoured=limited)
    trouble = (Fault.gateway_timeout(), Fault.bad_gateway(), Fault.html(), Fault.rate_limited("3"), Fault(reset=True),
               Fault(cut=0.6), Fault(truncate=0.7))
    heavy = [HeavyRange("2026-01-31T09:00:00Z", "2026-01-31T10:00:00Z", 25)] if limited else []
    platform.faults = Faults(probability=0.25, kinds=trouble, seed=3, heavy=heavy)
    found = download(platform, deepset, tmp_path / "day.csv")
    assert [record["log_id"] for record in found] == [known["log_id"] for known in truth(platform)]
    assert [record["extra_fields"] for record in found] == [json.dumps(known["extra_fields"]) for known in truth(platform)]


def test_an_answer_without_end_is_read_once_and_ended_at_the_span_s_start(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path
) -> None:
    platform.behaviour = Behaviour(csv_limit_honoured=False)
    found = download(platform, deepset, tmp_path / "day.csv", Span(SPAN.start + 7 * 3600 * SECOND, SPAN.end))
    later = [known["log_id"] for known in truth(platform) if known["logged_at"] >= "2026-01-31T07"]
    assert [record["log_id"] for record in found] == later
    assert len(later) > 1100
    assert len(platform.requests) == 1


@pytest.mark.parametrize("limited", [True, False], ids=["limit honoured", "limit ignored"])
def test_ties_and_dense_bursts_larger_than_a_page_are_passed(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, limited: bool
) -> None:
    platform.behaviour = Behaviour(csv_limit_honoured=limited)
    kinds = [(level, origin) for level in ("info", "error", "warning") for origin in ("haystack", "querypipeline", "unknown")]
    platform.add_rows("support", "chat", ties("2026-01-31T12:00:00Z", 160 if limited else 2500, kinds=kinds))
    platform.add_rows("support", "chat", dense("2026-01-31T13:00:00Z"))
    found = download(platform, deepset, tmp_path / "day.csv")
    assert sorted(record["log_id"] for record in found) == sorted(known["log_id"] for known in truth(platform))


@pytest.mark.parametrize("limited", [True, False], ids=["limit honoured", "limit ignored"])
def test_every_text_survives(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, limited: bool) -> None:
    platform.behaviour = Behaviour(csv_limit_honoured=limited, csv_bom=True)
    platform.add_rows("support", "chat", nasty("2026-01-31T12:00:00Z", 0.01))
    found = {record["log_id"]: record for record in download(platform, deepset, tmp_path / "day.csv")}
    assert any(len(record["message"]) == 2**20 for record in found.values())
    for known in truth(platform):
        message = known["message"]
        if isinstance(message, str):
            assert found[known["log_id"]]["message"] == message.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("header", [
    ("Log ID", "MESSAGE", "logged-at", " level ", "Origin", "exceptions", "extra_fields"),
    ("log_id", "message", "logged_at", "level", "origin", "more", "é"),
])
def test_columns_are_known_by_name_and_others_are_kept(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, header: tuple[str, ...]
) -> None:
    order = [3, 6, 0, 2, 5, 1, 4]
    columns, names = tuple(COLUMNS[i] for i in order), tuple(header[i] for i in order)
    platform.behaviour = Behaviour(csv_columns=columns, csv_header=names, csv_bom=True)
    found = download(platform, deepset, tmp_path / "day.csv")
    assert tuple(found[0]) == names
    assert [record[header[0]] for record in found] == [known["log_id"] for known in truth(platform)]


@pytest.mark.parametrize("header", [
    ("id", "text", "time", "severity", "source", "exceptions", "extra"),
    ("log_id", "log_id", "message", "logged_at", "level", "origin", "x"),
    tuple("abcdefg"),
])
def test_an_unknown_header_is_named_and_leaves_no_file(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, header: tuple[str, ...]
) -> None:
    platform.behaviour = Behaviour(csv_header=header)
    with pytest.raises(e.CsvHeaderError) as caught:
        download(platform, deepset, tmp_path / "day.csv")
    assert repr(header[1]) in str(caught.value)
    assert not caught.value.transient
    assert not list(tmp_path.iterdir())
    assert len(platform.requests) == 1


def test_a_record_in_the_headers_place_is_not_quoted(server: ScriptedServer, client: DeepsetClient, tmp_path: Path) -> None:
    server.answers(reply(b"a,hunter2,2026-01-31T10:00:00Z,info,o\r\n", kind="text/csv"))
    with pytest.raises(e.CsvHeaderError, match="begins with a record") as caught:
        download_csv(client, SOURCE, SPAN, tmp_path / "x.csv")
    assert "hunter2" not in str(caught.value)


def test_a_header_that_changes_is_an_error(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path) -> None:
    def change(request: Any) -> None:
        if request.logs_number == 5:
            platform.behaviour = Behaviour(csv_columns=tuple(reversed(COLUMNS)))

    platform.on_request = change
    (tmp_path / "day.csv").write_text("what was here before")
    with pytest.raises(e.CsvHeaderError, match="changed"):
        download(platform, deepset, tmp_path / "day.csv")
    assert [found.read_text() for found in tmp_path.iterdir()] == ["what was here before"]


def test_a_link_stays_one_and_what_is_no_file_stays_as_it_is(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path
) -> None:
    for folder in ("links", "real", "pipes"):
        (tmp_path / folder).mkdir()
    link, pipe = tmp_path / "links" / "link.csv", tmp_path / "pipes" / "pipe"
    link.symlink_to(tmp_path / "real" / "day.csv")
    os.mkfifo(pipe)
    assert len(download(platform, deepset, link)) == len(truth(platform))
    assert link.is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["day.csv"]
    with pytest.raises(e.InvalidInputError, match="no file"):
        download(platform, deepset, pipe)
    assert pipe.is_fifo()


def test_an_empty_span_gives_a_header_only(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path) -> None:
    platform.add_pipeline("support", "chat")
    assert download(platform, deepset, tmp_path / "day.csv") == []
    assert (tmp_path / "day.csv").read_bytes() == ",".join(COLUMNS).encode() + b"\r\n"


def test_what_is_gone_or_broken_leaves_no_file(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path) -> None:
    with pytest.raises(e.InvalidInputError, match="cannot be written"):
        download(platform, deepset, tmp_path / "missing" / "day.csv")
    for path in (Path(), "/", tmp_path, str(tmp_path), f"{tmp_path}/a\0b", f"{tmp_path}/{'x' * 252}", None, 5, b"x"):
        with pytest.raises(e.InvalidInputError):
            download_csv(deepset, SOURCE, SPAN, path)  # pyright: ignore[reportArgumentType]
    assert not platform.requests
    platform.now = "2026-02-02T12:00:00Z"
    with pytest.raises(e.IncompleteReadError, match="48 hours"):
        download(platform, deepset, tmp_path / "day.csv")
    platform.faults = Faults(probability=1.0, kinds=(Fault.html(),))
    with pytest.raises(e.ResponseError, match="text/html"):
        download(platform, deepset, tmp_path / "day.csv")
    platform.remove_pipeline("support", "chat")
    platform.faults = Faults()
    with pytest.raises(e.PipelineNotFoundError):
        download(platform, deepset, tmp_path / "day.csv")
    assert not list(tmp_path.iterdir())


def test_downloads_to_one_path_at_once_are_each_whole(platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path) -> None:
    path, asked_before, beside = tmp_path / "day.csv", iter(range(100)), list[str]()
    (tmp_path / "day.csv.part").write_text("the user's own")

    def now() -> float:
        if next(asked_before) == 5:  # in the middle of the read
            beside.extend(found.name for found in tmp_path.iterdir() if found.name != "day.csv.part")
            download_csv(deepset, SOURCE, SPAN, path, now=platform.now, sleep=platform.advance)
            inner.append(path.read_bytes())
        return platform.now()

    inner: list[bytes] = []
    download_csv(deepset, SOURCE, SPAN, path, now=now, sleep=platform.advance)
    (tmp_path / "new").touch()
    assert [path.read_bytes()] == inner
    assert len(list(csv.DictReader(io.StringIO(inner[0].decode(), newline="")))) == len(truth(platform))
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode
    assert [re.sub("[0-9a-f]{8}", "*", name) for name in beside] == [".day.csv.*.part"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["day.csv", "day.csv.part", "new"]
    assert (tmp_path / "day.csv.part").read_text() == "the user's own"


@pytest.mark.parametrize("error", [e.PipelineNotFoundError, KeyboardInterrupt])
def test_a_failed_download_removes_its_own_file_alone(
    platform: FakeDeepset, deepset: DeepsetClient, tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "day.csv.part").write_text("the user's own")

    def now() -> float:
        raise error

    with pytest.raises(error):
        download_csv(deepset, SOURCE, SPAN, tmp_path / "day.csv", now=now)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("day.csv.part", "the user's own")]


RECORDS = [f"id{number},m,2026-01-31T12:00:0{number}Z,info,haystack\r\n" for number in range(5, 0, -1)]
JSON_ROWS = [row(f"2026-01-31T12:00:0{number}Z", f"id{number}", "m") for number in range(5, 0, -1)]


@pytest.mark.parametrize("cut", [
    "id0,m,2026-01-31T11", 'id0,"m', "id0,m,2026-01-31T11:00:00Z,in", "id0,m,2026-01-31T11:00:00Z,info,hay",
    'id0,"m"x,2026-01-31T11:00:00Z,info,h\r\n',
    "id0,m,yesterday,info,haystack\r\n", ",m,2026-01-31T11:00:00Z,info,haystack\r\n",
])
def test_a_record_that_is_cut_short_or_none_is_asked_for_again(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, cut: str
) -> None:
    full = {"log_id": "id0", "message": "m", "logged_at": "2026-01-31T11:00:00Z", "level": "info", "origin": "haystack"}
    broken = ["log_id,message,logged_at,level,origin\r\n" + "".join(RECORDS) + cut]

    def answer(asked: Asked) -> bytes:
        if asked.headers["accept"] != "text/csv":
            return reply({"data": [*JSON_ROWS, full], "has_more": False, "total": 6})
        whole = f"log_id,message,logged_at,level,origin\r\n{''.join(RECORDS)}{','.join(full.values())}\n"
        text = broken.pop() if broken else whole
        return reply(text.encode(), kind="text/csv; charset=utf-8")

    server.answer = answer
    download_csv(client, SOURCE, SPAN, tmp_path / "day.csv", now=lambda: 1_769_914_800.0, sleep=lambda _: None)
    lines = (tmp_path / "day.csv").read_text().splitlines()
    assert lines == ["log_id,message,logged_at,level,origin", *(record.strip() for record in RECORDS), ",".join(full.values())]


def test_a_last_record_without_a_line_end_is_believed_when_json_shows_the_same(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    text = "log_id,message,logged_at,level,origin\r\n" + "".join(RECORDS)[:-2]
    page = reply({"data": JSON_ROWS, "has_more": False, "total": 5})
    server.answer = lambda asked: reply(text.encode(), kind="text/csv") if asked.headers["accept"] == "text/csv" else page
    download_csv(client, SOURCE, SPAN, tmp_path / "day.csv", now=lambda: 1_769_914_800.0, sleep=lambda _: None)
    assert (tmp_path / "day.csv").read_bytes() == text.encode() + b"\r\n"


def test_a_short_csv_page_is_no_end_when_json_has_more(server: ScriptedServer, client: DeepsetClient, tmp_path: Path) -> None:
    pages = ["".join(RECORDS[:2]), "".join(RECORDS[:2]), "".join(RECORDS)]

    def answer(asked: Asked) -> bytes:
        if asked.headers["accept"] != "text/csv":
            return reply({"data": JSON_ROWS, "has_more": False, "total": 5})
        body = "log_id,message,logged_at,level,origin\r\n" + (pages.pop(0) if len(pages) > 1 else pages[0])
        return reply(body.encode(), kind="text/csv")

    server.answer = answer
    download_csv(client, SOURCE, SPAN, tmp_path / "day.csv", now=lambda: 1_769_914_800.0, sleep=lambda _: None)
    assert (tmp_path / "day.csv").read_bytes().endswith("".join(RECORDS).encode())


LF_HEADER = "log_id,message,logged_at,level,origin,extra_fields\n"


def test_a_carriage_return_in_an_unquoted_field_is_kept_where_lines_end_in_lf(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    bar = " 0%|  |\r50%|# |\r"
    rows = [row(f"2026-01-31T12:00:0{number}Z", f"id{number}", bar) for number in range(5, 0, -1)]
    text = LF_HEADER + "".join(f'id{n},{bar},2026-01-31T12:00:0{n}Z,info,haystack,"a\r\nb\r"\n' for n in range(5, 0, -1))
    page = reply({"data": rows, "has_more": False, "total": 5})
    server.answer = lambda asked: reply(text.encode(), kind="text/csv") if asked.headers["accept"] == "text/csv" else page
    download_csv(client, SOURCE, SPAN, tmp_path / "day.csv", now=lambda: 1_769_914_800.0, sleep=lambda _: None)
    with (tmp_path / "day.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file, strict=True))
    assert [(record["message"], record["extra_fields"]) for record in read] == [(bar, "a\r\nb\r")] * 5


def test_a_record_whose_end_cannot_be_told_is_not_asked_for_again(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    server.answer = lambda _: reply((LF_HEADER + "id1,m,2026-01-31T12:00:00Z,info,haystack,x\r\n").encode(), kind="text/csv")
    with pytest.raises(e.ReadError, match="as JSON"):
        download_csv(client, SOURCE, SPAN, tmp_path / "day.csv", now=lambda: 1_769_914_800.0, sleep=lambda _: None)
    assert len(server.asked) == 1


@pytest.mark.parametrize("start", ["2026-02-01T03:00:02Z", "2027-01-31T00:00:00Z"])
def test_a_span_in_the_future_is_refused_by_the_server_s_clock(platform: FakeDeepset, tmp_path: Path, start: str) -> None:
    span = Span(parse_instant(start), parse_instant("2028-01-01T00:00:00Z"))
    slow = 1_769_914_800.0 - 86_400
    with DeepsetClient(platform.api_key, platform.url, clock=lambda: slow) as client:
        with pytest.raises(e.InvalidInputError, match="`start` lies in the future"):
            download_csv(client, SOURCE, span, tmp_path / "day.csv")
        with pytest.raises(e.InvalidInputError, match="`start` lies in the future"):
            client.logs(*SOURCE[:2], start, "2028-01-01T00:00:00Z")
        assert [*client.logs(*SOURCE[:2], "2026-02-01T00:00:00Z", "2028-01-01T00:00:00Z")]  # a day ahead of the slow clock
    assert not list(tmp_path.iterdir())


ODD_CELLS = ['"', "\r\n", ",", "\n", '""', "\r", "\ufeff", "\u2028", "\x00"]
CELL = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(ODD_CELLS)


@given(st.lists(st.lists(CELL, min_size=6, max_size=6), max_size=5), st.integers(1, 7))
def test_records_of_any_text_are_read_back_as_they_are(cells: list[list[str]], size: int) -> None:
    rows = [[f"id{place}", *texts[:1], "2026-01-31T12:00:00Z", *texts[1:]] for place, texts in enumerate(cells)]
    header = ["log_id", "message", "logged_at", "level", "origin", "x", "y", "z"]
    body = b"".join(encode_record(cells) for cells in [header, *rows])
    pieces = iter([body[start : start + size] for start in range(0, len(body), size)])
    from prefect_deepset.api.client import _lines

    records = list(Records(_lines(pieces), "here"))
    assert [record.row.raw for record in records] == [encode_record(row) for row in rows]
    assert all(record.terminated for record in records)
    assert list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True)) == [header, *rows]


def test_bytes_that_are_no_utf8_come_out_as_they_came() -> None:
    header = read_header(["log_id", "message", "logged_at", "level", "origin"], "here")
    assert header.names[0] == "log_id"
    assert encode_record(["a", b"\xff\xfe,".decode("utf-8", "surrogateescape")]) == b'a,"\xff\xfe,"\r\n'
