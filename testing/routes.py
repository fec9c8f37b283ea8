"""From a request to its answer: the routes, their checks, and the faults in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote

from .behaviour import Behaviour
from .catalog import Catalog, Kind, LoggedThing
from .faults import Fault, FaultSchedule, Request, Route
from .filters import FilterError, read_filter
from .instants import HOUR, parse
from .paging import Query, Selection, select, shown_window
from .render import Answer, csv_chunks, error, json_answer, page, unprocessable
from .rows import RowTable


class Setting(NamedTuple):
    """What an answer depends on besides the request."""

    catalog: Catalog
    behaviour: Behaviour
    schedule: FaultSchedule
    api_key: str
    rng: random.Random
    now: int
    """Nanoseconds."""


def find_route(path: str) -> tuple[Route, str, str, Kind]:
    """What a path leads to: (route, workspace, name, kind)."""
    parts = path.strip("/").split("/")
    nothing: tuple[Route, str, str, Kind] = ("other", "", "", "pipeline")
    if parts[:3] != ["api", "v1", "workspaces"]:
        return nothing
    names = [unquote(part, errors="replace") for part in parts[3:]]
    match len(names), names[1:2], names[3:4]:
        case 0, _, _:
            return "workspaces", "", "", "pipeline"
        case 2, ["pipelines"], _:
            return "pipelines", names[0], "", "pipeline"
        case 3, ["pipelines" | "indexes"], _:
            return "pipeline", names[0], names[2], "pipeline" if names[1] == "pipelines" else "index"
        case 4, ["pipelines" | "indexes"], ["logs"]:
            return "logs", names[0], names[2], "pipeline" if names[1] == "pipelines" else "index"
        case _:
            return nothing


def answer(request: Request, setting: Setting, fault: Fault | None) -> Answer:
    """The answer to a request; of a fault, only what changes the answer itself is applied here."""
    stopped = _stopped(request, setting, fault)
    if stopped is not None:
        return stopped
    if request.route == "workspaces":
        return json_answer([{"name": w.name, "workspace_id": w.workspace_id} for w in setting.catalog.workspaces()])
    if not setting.catalog.has_workspace(request.workspace):
        return error(404, f"Workspace {request.workspace!r} not found.")
    return _listing(request, setting) if request.route == "pipelines" else _of_thing(request, setting, fault)


def _stopped(request: Request, setting: Setting, fault: Fault | None) -> Answer | None:
    """The answer to a request that does not get as far as the platform's data."""
    if setting.behaviour.redirect_to is not None:
        query = f"?{request.query}" if request.query else ""
        target = f"{setting.behaviour.redirect_to.rstrip('/')}{request.path}{query}"
        return Answer(307, b"", headers={"Location": target})
    if fault is not None and fault.status is not None:
        body = fault.body if fault.body is not None else b'{"errors":["Something went wrong."]}'
        return Answer(fault.status, body, fault.content_type, dict(fault.headers))
    if request.headers.get("authorization") != f"Bearer {setting.api_key}":
        return error(401, "Invalid or expired API key.")
    if request.route == "other":
        return error(404, "Not Found")
    return None if request.method == "GET" else error(405, "Method Not Allowed")


def _of_thing(request: Request, setting: Setting, fault: Fault | None) -> Answer:
    thing = setting.catalog.find(request.workspace, request.name, request.kind)
    missing = error(404, f"{request.kind.capitalize()} {request.name!r} not found.")
    if request.route == "pipeline":
        return missing if thing is None or thing.deleted else json_answer(thing.described())
    if thing is None or (thing.deleted and setting.behaviour.deleted_logs == "404"):
        return missing
    if thing.deleted and setting.behaviour.deleted_logs == "empty":
        thing = replace(thing, table=RowTable(), deployed=False)
    return _logs(request, setting, thing, fault or Fault())


def _listing(request: Request, setting: Setting) -> Answer:
    numbers: dict[str, int] = {}
    for name, default in (("limit", 10), ("page_number", 1)):
        checked = _whole_number(request, name, default, None if name == "page_number" else 100)
        if isinstance(checked, Answer):
            return checked
        numbers[name] = checked
    things = [t for t in setting.catalog.pipelines(request.workspace) if setting.behaviour.list_deleted or not t.deleted]
    start = (numbers["page_number"] - 1) * numbers["limit"]
    end = start + numbers["limit"]
    shown = [thing.described() for thing in things[start:end]]
    return json_answer({"data": shown, "has_more": end < len(things), "total": len(things)})


def _whole_number(request: Request, name: str, default: int, highest: int | None) -> int | Answer:
    given = request.params.get(name)
    if given is None:
        return default
    try:
        number = int(given)
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        return unprocessable(name, message, "int_parsing", given)
    if number < 1:
        return unprocessable(name, "Input should be greater than or equal to 1", "greater_than_equal", given, {"ge": 1})
    if highest is not None and number > highest:
        message = f"Input should be less than or equal to {highest}"
        return unprocessable(name, message, "less_than_equal", given, {"le": highest})
    return number


def _logs(request: Request, setting: Setting, thing: LoggedThing, fault: Fault) -> Answer:
    behaviour, table = setting.behaviour, thing.table
    query = _query(request, behaviour)
    if isinstance(query, Answer):
        return query
    retention = round(behaviour.retention_hours * HOUR)
    if behaviour.retention_answer == "400" and query.after is not None and query.after < setting.now - retention:
        return error(400, "Logs are available for the last two days only.")
    limit = query.limit
    for cap in (behaviour.limit_cap, fault.rows):
        if cap is not None:
            limit = cap if limit is None else min(limit, cap)
    found = select(table, query._replace(limit=limit), behaviour, setting.now, setting.rng)
    if found.positions and setting.schedule.is_heavy(
        found.oldest, found.newest, query.limit or 2**31, query.condition.bounded_below
    ):
        return error(504, "Fetching logs timed out. Try again later.")
    if not found.positions and thing.deployed and fault.rows is None:
        empty = not behaviour.no_logs.startswith("empty") and not _has_shown_rows(table, behaviour, setting.now)
        if empty or behaviour.no_logs == "404_always":
            return error(404, f"No logs found for {request.kind} {request.name!r}.")
    raws = table.raws(found.positions)
    if "text/csv" in request.headers.get("accept", ""):
        return _csv(raws, found, behaviour)
    body = page(list(raws), _has_more(found, behaviour, fault, limit), _total(found, behaviour, fault), behaviour)
    return Answer(200, body, rows=len(found.positions))


def _query(request: Request, behaviour: Behaviour) -> Query | Answer:
    params = request.params
    limit: int | Answer | None = _whole_number(request, "limit", 10, 100)
    if isinstance(limit, Answer):
        return limit
    order = params.get("order", "DESC")
    if order not in {"ASC", "DESC"}:
        return unprocessable("order", "Input should be 'ASC' or 'DESC'", "enum", order, {"expected": "'ASC' or 'DESC'"})
    after: int | None = None
    if "after" in params:
        try:
            after = parse(params["after"])
        except ValueError:
            message = "Input should be a valid datetime or date, invalid character in input"
            return unprocessable("after", message, "datetime_from_date_parsing", params["after"])
    try:
        condition = read_filter(params.get("filter"), behaviour)
    except FilterError as problem:
        return error(400, str(problem))
    newest_first = {"honoured": order == "DESC", "ignored": True, "reversed": order == "ASC"}[behaviour.order]
    if "text/csv" in request.headers.get("accept", "") and not behaviour.csv_limit_honoured:
        limit = None
    return Query(condition, after, limit, newest_first)


def _has_shown_rows(table: RowTable, behaviour: Behaviour, now: int) -> bool:
    everything = read_filter(None, behaviour)
    low, high = shown_window(table.view(everything, now), behaviour, now, everything)
    return low < high


def _has_more(found: Selection, behaviour: Behaviour, fault: Fault, limit: int | None) -> bool:
    if fault.has_more is not None:
        return fault.has_more
    count = len(found.positions)
    styles = {"exact": found.more, "full_page": count > 0 and count == limit, "until_empty": count > 0, "false": False}
    return styles[behaviour.has_more]


def _total(found: Selection, behaviour: Behaviour, fault: Fault) -> int | None:
    if fault.total is not None:
        return fault.total
    totals = {"after": found.beyond, "all": found.matching, "capped": min(found.matching, 10_000), "zero": 0, "null": None}
    return totals[behaviour.total]


def _csv(raws: Iterator[bytes], found: Selection, behaviour: Behaviour) -> Answer:
    chunks = csv_chunks(raws, behaviour)
    rows = len(found.positions)
    return Answer(200, b"".join(chunks) if rows <= 1000 else chunks, "text/csv; charset=utf-8", rows=rows)
