"""Where things lie in the bucket. Names are percent-encoded, so that no name can reach into another's place."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple
from urllib.parse import quote, unquote

from ..api.errors import InvalidInputError
from ..api.sources import Kind, LogSource

EXTENSIONS = {"jsonl": "jsonl", "csv": "csv", "parquet": "parquet"}
_LONGEST = 1024
"""Bytes of a key, at most."""
_PART_NAME = len("part-00001.jsonl.zst")
SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


class PartKey(NamedTuple):
    """What a part's key says."""

    source: LogSource
    day: date
    format: str
    number: int


class ManifestKey(NamedTuple):
    """What a manifest's key says."""

    source: LogSource
    day: date
    revision: int


def _below(prefix: str, *steps: str) -> str:
    return "/".join([*([prefix.strip("/")] if prefix.strip("/") else []), *steps])


def _name(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def source_folder(prefix: str, table: str, source: LogSource) -> str:
    """``<prefix>/<table>/workspace=<w>/pipeline=<p>/``; `table` is a format, ``manifests`` or ``alerts``."""
    return _below(prefix, table, f"workspace={_name(source.workspace)}", f"{source.kind}={_name(source.name)}", "")


def workspace_folder(prefix: str, table: str, workspace: str) -> str:
    """``<prefix>/<table>/workspace=<w>/``."""
    return _below(prefix, table, f"workspace={_name(workspace)}", "")


def table_folder(prefix: str, table: str) -> str:
    """``<prefix>/<table>/``."""
    return _below(prefix, table, "")


def day_folder(prefix: str, table: str, source: LogSource, day: date) -> str:
    """The folder of one day in one table, with its closing slash.

    Raises:
        InvalidInputError: the names are too long for a part's key below it.
    """
    folder = f"{source_folder(prefix, table, source)}dt={day.isoformat()}/"
    if len(folder.encode()) + _PART_NAME > _LONGEST:
        raise InvalidInputError("Prefix, workspace and name make keys that are too long for S3 (1,024 bytes, a letter that is "
                                "not ASCII counts as six or more).", "Use a shorter prefix or name.", str(source)[:200])
    return folder


def part_key(prefix: str, format: str, source: LogSource, day: date, number: int, compression: str | None) -> str:  # noqa: A002 - the manifest's word
    """The key of part `number` (from 1). Parquet compresses inside the file, so its key has no suffix."""
    suffix = SUFFIXES[compression] if compression and format != "parquet" else ""
    return f"{day_folder(prefix, format, source, day)}part-{number:05d}.{EXTENSIONS[format]}{suffix}"


def manifest_key(prefix: str, source: LogSource, day: date, revision: int) -> str:
    """The key of revision `revision` (from 1)."""
    return f"{day_folder(prefix, 'manifests', source, day)}r{revision:05d}.json"


_FOLDER = r"workspace=(?P<workspace>[^/]+)/(?P<kind>pipeline|index)=(?P<name>[^/]+)/dt=(?P<day>\d{4}-\d\d-\d\d)/"
_PART = re.compile(rf"(?P<format>jsonl|csv|parquet)/{_FOLDER}part-(?P<number>\d{{5,}})\.[a-z]+(\.gz|\.zst)?$")
_MANIFEST = re.compile(rf"manifests/{_FOLDER}r(?P<number>\d{{5,}})\.json$")


def _source_and_day(found: re.Match[str]) -> tuple[LogSource, date]:
    kind: Kind = "pipeline" if found["kind"] == "pipeline" else "index"
    return LogSource(unquote(found["workspace"]), unquote(found["name"]), kind), date.fromisoformat(found["day"])


def parse_part_key(prefix: str, key: str) -> PartKey | None:
    """What the key of a part says, or None when it is no part's key."""
    found = _PART.match(key.removeprefix(_below(prefix, "")))
    try:
        return PartKey(*_source_and_day(found), found["format"], int(found["number"])) if found else None
    except ValueError:
        return None  # dt=2026-02-31


def parse_manifest_key(prefix: str, key: str) -> ManifestKey | None:
    """What the key of a manifest says, or None when it is no manifest's key."""
    found = _MANIFEST.match(key.removeprefix(_below(prefix, "")))
    try:
        return ManifestKey(*_source_and_day(found), int(found["number"])) if found else None
    except ValueError:
        return None
