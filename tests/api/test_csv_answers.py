"""What may come where CSV was asked for: a proxy's page, a header written otherwise, no heed to what was asked."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from prefect_deepset.api import errors as e
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.csv_logs import download_csv
from prefect_deepset.api.csv_records import encode_record
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import SECOND, Span, format_instant, parse_instant
from prefect_deepset.api.walk import Walk
from prefect_deepset.testing import row

from .conftest import KEY
from .scripted import Asked, ScriptedServer, reply

SOURCE = LogSource("support", "chat")
SPAN = Span(parse_instant("2026-01-31T00:00:00Z"), parse_instant("2026-02-01T00:00:00Z"))
NOW = 1_769_914_800.0  # three hours after the span's end


def download(client: DeepsetClient, folder: Path, span: Span = SPAN) -> bytes:
    """What a download writes; where it fails, no file is left."""
    try:
        return download_csv(client, SOURCE, span, folder / "day.csv", now=lambda: NOW, sleep=lambda _: None).read_bytes()
    except e.DeepsetError:
        assert not list(folder.iterdir())
        raise


def csv_of(*lines: str) -> bytes:
    """A CSV answer of these lines."""
    return reply("".join(f"{line}\r\n" for line in lines).encode(), kind="text/csv")


@pytest.mark.parametrize("header", [
    f"{KEY},b", f"a,{KEY[4:]},b", f"log_id,message,level,origin,{'x' * 25}{KEY}", f"x,Authorization: Bearer {KEY}",
    f"{'x' * 2000}{KEY},b",
])
def test_a_header_that_holds_the_key_does_not_make_it_show(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, header: str
) -> None:
    server.answers(csv_of(header))
    with pytest.raises(e.CsvHeaderError) as caught:
        download(client, tmp_path)
    assert not any(KEY[start : start + 8] in str(caught.value) for start in range(len(KEY) - 7))


def test_a_column_that_turns_into_the_key_does_not_make_it_show(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    header = "log_id,message,logged_at,level,origin"
    rows = [f"{number},m,2026-01-31T23:{number // 60:02}:{number % 60:02}Z,info,o" for number in range(99, -1, -1)]
    server.answers(csv_of(header, *rows), csv_of(f"{header},{KEY}"))
    with pytest.raises(e.CsvHeaderError, match="changed") as caught:
        download(client, tmp_path)
    assert KEY[4:] not in str(caught.value)
    assert "[hidden]" in str(caught.value)


def test_a_record_that_holds_the_key_for_a_time_does_not_make_it_show(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    server.answers(csv_of("log_id,message,logged_at,level,origin", f"1,m,{KEY},info,o"))
    with pytest.raises(e.ResponseError, match="not a time") as caught:
        download(client, tmp_path)
    assert KEY[4:] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [
    '"log_id","message","logged_at","level","origin"', 'log_id,"message",logged_at,level,"origin"',
])
def test_a_byte_order_mark_before_any_header_is_dropped(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, header: str, line_end: str
) -> None:
    body = f'\ufeff{header}{line_end}"1","\ufeffm","2026-01-31T10:00:00Z","info","o"{line_end}'.encode()
    rows = [row("2026-01-31T10:00:00Z", "1", "\ufeffm")]
    server.answer = lambda asked: (reply(body, kind="text/csv") if asked.headers["accept"] == "text/csv" else
                                   reply({"data": rows, "has_more": False, "total": 1}))
    written = "log_id,message,logged_at,level,origin\r\n1,\ufeffm,2026-01-31T10:00:00Z,info,o\r\n"
    assert download(client, tmp_path).decode() == written


HEADER = "log_id,message,logged_at,level,origin"
RECORD = "1,m,2026-01-31T10:00:00Z,info,o"
ROWS = [row("2026-01-31T10:00:00Z", "1", "m")]
WEB_PAGE = '<!DOCTYPE html>\n<html lang="en"><head><meta content="a, b"><title>502</title></head></html>\n'


@pytest.mark.parametrize("kind", ["text/plain", "text/csv; charset=utf-8"])
@pytest.mark.parametrize("body", [
    WEB_PAGE, f"\n {WEB_PAGE}", f"\r\n\n{WEB_PAGE}", WEB_PAGE.replace("\n", "\r\n"), "<html><meta content='a, b'>Bad</html>",
    "upstream request timeout", "no healthy upstream\n", '{"detail": "down", "errors": ["a", "b"]}', f"Who is {KEY}?",
])
def test_a_page_in_place_of_csv_is_asked_again(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, body: str, kind: str
) -> None:
    def answer(asked: Asked) -> bytes:
        if asked.headers["accept"] != "text/csv":
            return reply({"data": ROWS, "has_more": False, "total": 1})
        return pages.pop() if pages else csv_of(HEADER, RECORD)

    pages = [reply(body.encode(), kind=kind)] * 2
    server.answer = answer
    assert download(client, tmp_path) == f"{HEADER}\r\n{RECORD}\r\n".encode()
    (tmp_path / "day.csv").unlink()
    pages = [reply(body.encode(), kind=kind)] * 20
    with pytest.raises(e.ResponseError, match="sent something else") as caught:
        download(client, tmp_path)
    assert KEY[4:] not in str(caught.value)
    assert len(pages) == 14


@pytest.mark.parametrize("header", [
    "id,text", "log_id", "message", HEADER.replace(",", ";"), HEADER.replace(",", "\t"), "<b>,message,level", "a,b c\r\n1,2",
])
def test_a_csv_with_other_columns_is_not_asked_again(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, header: str
) -> None:
    server.answers(csv_of(header))
    with pytest.raises(e.CsvHeaderError, match="not the ones known"):
        download(client, tmp_path)
    assert len(server.asked) == 1


FIELDS = ("log_id", "message", "logged_at", "level", "origin", "extra_fields")
TIME_LAST = ("log_id", "message", "level", "origin", "extra_fields", "logged_at")
MESSAGE_LAST = ("log_id", "logged_at", "level", "origin", "extra_fields", "message")
WHOLE = {"log_id": "1", "message": "all, of it", "logged_at": "2026-01-31T10:00:00.123456Z", "level": "info", "origin": "o",
         "extra_fields": {"a": [1, None, True], "b": "it's"}}


def record(columns: Sequence[str], **cells: str) -> bytes:
    """A CSV answer of one record without a line end. Cells that are not given are as in JSON."""
    known = {name: value if isinstance(value, str) else json.dumps(value) for name, value in WHOLE.items()} | cells
    return encode_record(columns) + encode_record([known[name] for name in columns])[:-2]


def asked_again(server: ScriptedServer, client: DeepsetClient, folder: Path, *bodies: bytes, **fields: object) -> int:
    """How many CSV answers were not believed in a download that gets these, the last one from then on."""
    def download_of(*bodies: bytes) -> int:
        def answer(asked: Asked) -> bytes:
            if asked.headers["accept"] != "text/csv":
                return reply({"data": [WHOLE | fields], "has_more": False, "total": 1})
            count.append(1)
            return reply(left.pop(0) if len(left) > 1 else left[0], kind="text/csv")

        count, left = list[int](), list(bodies)
        server.answer = answer
        assert download(client, folder) == bodies[-1].removesuffix(b"\r\n") + b"\r\n"
        return len(count)

    return download_of(*bodies) - download_of(bodies[-1].removesuffix(b"\r\n") + b"\r\n")


@pytest.mark.parametrize(("columns", "cells", "again"), [
    *((FIELDS, {"logged_at": text}, 0) for text in (
        "2026-01-31T10:00:00.123456Z", "2026-01-31 10:00:00.123456+00:00", "2026-01-31T12:00:00.123456000+02:00",
        "2026-01-31T10:00:00Z", "2026-01-31 10:00:00.123", "2026-01-31T10:00:00.12346Z")),
    *((FIELDS, {"extra_fields": text}, 0) for text in (
        repr(WHOLE["extra_fields"]), json.dumps(WHOLE["extra_fields"], indent=1), '{"b":"it\\u0027s","a":[1,null,true]}')),
    (FIELDS, {"extra_fields": "Fields(a=3)"}, 1),
    (TIME_LAST, {"extra_fields": "Fields(a=3)"}, 0),
    (TIME_LAST, {}, 0),
    (TIME_LAST, {"logged_at": "2026-01-31 10:00:00.123456+00:00"}, 1),
    ((*FIELDS, "pod"), {"pod": "x-7", "extra_fields": "Fields(a=3)"}, 1),
    (MESSAGE_LAST, {}, 0),
])
def test_a_last_record_without_a_line_end_is_whole_however_it_is_written(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, columns: tuple[str, ...], cells: dict[str, str], again: int
) -> None:
    assert asked_again(server, client, tmp_path, record(columns, **cells)) == again


@pytest.mark.parametrize(("cell", "again"), [("", 0), ("null", 0), ("None", 0), ("NaN", 0), ("-", 1)])
def test_a_null_in_a_last_cell_is_known_in_many_spellings(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, cell: str, again: int
) -> None:
    assert asked_again(server, client, tmp_path, record(FIELDS, extra_fields=cell), extra_fields=None) == again


@pytest.mark.parametrize(("columns", "cells", "fields"), [
    (MESSAGE_LAST, {"message": "all"}, {}), (MESSAGE_LAST, {"message": ""}, {}), (FIELDS[:5], {"origin": ""}, {}),
    (FIELDS, {"extra_fields": ""}, {}), (FIELDS, {"extra_fields": "12"}, {"extra_fields": 123}),
    (TIME_LAST, {"logged_at": "2026-01-31T12:00:00"}, {"logged_at": "2026-01-31T12:00:00+02:00"}),
    (TIME_LAST, {"logged_at": "2026-01-31T10:00:00.1"}, {}), ((*FIELDS, "pod"), {"pod": ""}, {"pod": "x-7"}),
    (FIELDS, {"logged_at": "2026-01-31T10:00:00.123457Z"}, {}), (FIELDS, {"level": "error"}, {}),
    (FIELDS, {"message": "something else"}, {}),
])
def test_a_last_record_that_is_cut_short_is_asked_for_again(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, columns: tuple[str, ...], cells: dict[str, str],
    fields: dict[str, object],
) -> None:
    whole = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    cut = record(columns, **cells)
    assert asked_again(server, client, tmp_path, cut, record(columns, **whole) + b"\r\n", **fields) == 1


def test_a_last_record_that_json_cannot_prove_counts_once_another_answer_ends_with_it(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    columns = (*FIELDS, "pod")
    ends = [record(columns, pod=pod) for pod in ("x-7", "x", "x-7")]
    assert asked_again(server, client, tmp_path, *ends) == 2


def test_a_message_that_is_always_cut_short_is_never_taken(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    with pytest.raises(e.ResponseError, match="cut short"):
        asked_again(server, client, tmp_path, record(MESSAGE_LAST, message="all"))


def rows_of(first: str, count: int) -> list[dict[str, Any]]:
    """Rows a second apart, newest first."""
    start = parse_instant(first)
    return [row(format_instant(start + number * SECOND), f"{first}+{number}", "m") for number in range(count - 1, -1, -1)]


def ignoring_after(rows: list[dict[str, Any]], most: int | None) -> Callable[[Asked], bytes]:
    """A platform whose CSV always holds the newest rows, this many of them; its JSON is as it should be."""
    lines = [",".join(str(found[name]) for name in HEADER.split(",")) for found in rows]

    def answer(asked: Asked) -> bytes:
        asked_for = parse_qs(urlsplit(asked.target).query)
        if asked.headers["accept"] == "text/csv":
            return csv_of(HEADER, *lines[:most])
        older = [found for found in rows if parse_instant(found["logged_at"]) < parse_instant(asked_for["after"][0])]
        limit = int(asked_for["limit"][0])
        return reply({"data": older[:limit], "has_more": len(older) > limit, "total": len(older)})

    return answer


def test_csv_that_ignores_limit_and_after_is_read_in_bounded_memory(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = rows_of("2026-01-31T10:00:00Z", 5000)
    answer = ignoring_after(rows_of("2026-02-01T00:00:00Z", 10_000) + wanted + rows_of("2026-01-30T12:00:00Z", 10), None)
    shares = [0.3, 0.9]  # two answers break off, the second one in the midst of the span
    server.answer = lambda asked: raw[:int(len(raw) * (shares.pop(0) if shares else 1))] if (raw := answer(asked)) else None
    pages, take = list[int](), Walk.take
    monkeypatch.setattr(Walk, "take", lambda walk, page, at: (pages.append(len(page.rows)), take(walk, page, at))[1])
    lines = download(client, tmp_path).decode().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == [found["log_id"] for found in wanted]
    assert sum(asked.headers["accept"] == "text/csv" for asked in server.asked) == 3
    assert max(pages) <= 2100


@pytest.mark.parametrize("most", [100, 3000])
def test_csv_that_never_shows_what_is_older_is_named_with_what_to_do_instead(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, most: int
) -> None:
    server.answer = ignoring_after(rows_of("2026-02-01T00:00:10Z", 4000) + rows_of("2026-01-31T10:00:00Z", 10), most)
    with pytest.raises(e.CursorError, match=r"ignores `after`.*fetch_logs or archive_day"):
        download(client, tmp_path)
    assert len(server.asked) == 2


def test_csv_of_rows_that_were_not_asked_for_alone_is_nothing_where_json_has_none(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path
) -> None:
    server.answer = ignoring_after(rows_of("2026-02-01T00:00:10Z", 4000), None)
    assert download(client, tmp_path) == f"{HEADER}\r\n".encode()


@pytest.mark.parametrize(("tie", "cap"), [(30, 20), (60, 50), (30, 100)])
def test_the_last_of_more_rows_of_one_instant_than_json_shows_is_kept_where_no_line_end_says_that_it_is_whole(
    server: ScriptedServer, client: DeepsetClient, tmp_path: Path, tie: int, cap: int
) -> None:
    at = SPAN.start + 3600 * SECOND
    times = [at + n * SECOND for n in range(60, 0, -1)] + [at] * tie
    rows = [(instant, f"id{n:03}") for n, instant in enumerate(times)]

    def answer(asked: Asked) -> bytes:
        after = parse_instant(parse_qs(urlsplit(asked.target).query)["after"][0])
        below = [(instant, log_id) for instant, log_id in rows if instant < after]
        if asked.headers["accept"] != "text/csv":
            return reply({"data": [row(instant, log_id, "m") for instant, log_id in below[:cap]], "has_more": len(below) > cap,
                          "total": len(rows)})
        lines = [f"{log_id},m,{format_instant(instant)},info,haystack" for instant, log_id in below]
        return reply("\n".join(["log_id,message,logged_at,level,origin", *lines]).encode(), kind="text/csv")

    server.answer = answer
    assert download(client, tmp_path).count(b"haystack") == len(rows)
