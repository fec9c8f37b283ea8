"""What may come where CSV was asked for: a proxy's page, a header written otherwise, no heed to what was asked."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from prefect_deepset.api import errors as e
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.csv_logs import download_csv
from prefect_deepset.api.sources import LogSource
from prefect_deepset.api.times import Span, parse_instant
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
