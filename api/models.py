"""What the API speaks of, as typed models for users. The archive's hot path goes without them (see `rows`)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ResponseError
from .json_slices import split_object
from .rows import Row
from .times import to_datetime


class PipelineLog(BaseModel):
    """One log row. Fields that the platform may add later are kept as attributes too."""

    model_config = ConfigDict(extra="allow", frozen=True)

    log_id: str
    message: str
    logged_at: datetime
    """UTC, microseconds."""
    level: str
    """As it came, any case."""
    origin: str
    exceptions: list[Any] | None = None
    """As it came: usually dicts of `type`, `value` and sometimes `trace`."""
    extra_fields: dict[str, Any] | None = None

    @classmethod
    def from_row(cls, row: Row) -> PipelineLog:
        """The model of a row as the API sent it.

        Nothing is refused: a value of an unexpected type becomes text (or is wrapped in a list or dict), so does one that is
        nested hundreds deep, and half a character (a lone surrogate, which JSON can hold and text cannot) is shown escaped.
        """
        try:
            return cls.model_validate_json(row.raw).model_copy(update={"logged_at": to_datetime(row.logged_at)})
        except ValidationError:
            members = split_object(row.raw.decode("utf-8", "surrogatepass"))
            fields: Any = {str(_encodable(member.name)): _shown(member.value_text) for member in members}
        exceptions, extra = fields.get("exceptions"), fields.get("extra_fields")
        known: dict[str, Any] = {
            "log_id": row.log_id, "message": _text(fields.get("message")), "logged_at": to_datetime(row.logged_at),
            "level": row.level, "origin": row.origin,
            "exceptions": exceptions if exceptions is None or isinstance(exceptions, list) else [exceptions],
            "extra_fields": extra if extra is None or isinstance(extra, dict) else {"value": extra},
        }
        return cls.model_validate({**fields, **known})


class Workspace(BaseModel):
    """One workspace that the key sees."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    workspace_id: str | None = None


class Pipeline(BaseModel):
    """One pipeline of a workspace."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    pipeline_id: str | None = None
    status: str | None = None
    """Such as ``DEPLOYED``, ``UNDEPLOYED``, ``FAILED``."""
    deleted: bool | None = False
    """The platform's soft-delete flag."""


class LogCounts(BaseModel):
    """How many rows a span holds, and of what kind."""

    rows: int = 0
    errors: int = 0
    """Rows whose level is error, critical or fatal, any case."""
    by_level: dict[str, int] = Field(default_factory=dict)
    """Keys as they came."""
    by_origin: dict[str, int] = Field(default_factory=dict)
    by_hour: dict[str, int] = Field(default_factory=dict)
    """Keys are the hours' starts in UTC, such as ``2026-01-31T14:00:00Z``; hours without rows are left out."""


def parse_workspaces(body: bytes) -> list[Workspace]:
    """The workspaces in the answer of ``GET /workspaces``, a plain list.

    Raises:
        ResponseError: when it is anything else.
    """
    items = _json(body)
    if not isinstance(items, list):
        raise ResponseError("The answer is not a list of workspaces.")
    try:
        return [Workspace.model_validate(item) for item in cast("list[object]", items)]
    except ValidationError as error:
        raise ResponseError("The answer holds a workspace without a name.") from error


def parse_pipeline(body: bytes) -> Pipeline:
    """The pipeline (or index) in the answer of ``GET .../pipelines/{name}``.

    Raises:
        ResponseError: when it is anything else.
    """
    try:
        return Pipeline.model_validate(_json(body))
    except ValidationError as error:
        raise ResponseError("The answer is not a pipeline.") from error


def parse_pipelines(body: bytes) -> tuple[list[Pipeline], bool, int]:
    """One page of ``GET .../pipelines``, deleted ones included, whether there are more, and how many it says there are in all.

    Raises:
        ResponseError: when it is anything else.
    """
    page = _json(body)
    if not isinstance(page, dict):
        raise ResponseError("The answer is not a page of pipelines.")
    fields = cast("dict[str, Any]", page)
    if not isinstance(fields.get("data"), list) or not isinstance(fields.get("has_more"), bool):
        raise ResponseError("The answer is not a page of pipelines: `data` or `has_more` is missing.")
    try:
        listed = [Pipeline.model_validate(item) for item in fields["data"]]
    except ValidationError as error:
        raise ResponseError("The answer holds a pipeline without a name.") from error
    total = fields.get("total")
    return listed, fields["has_more"], total if isinstance(total, int) else 0


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ResponseError("The answer is not JSON, or is cut short.") from error


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _shown(json_text: str) -> object:
    try:
        return _encodable(json.loads(json_text))
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        return _encodable(json_text)


def _encodable(value: object) -> object:
    """The same JSON value with lone surrogates escaped in every text, keys included."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {str(_encodable(key)): _encodable(item) for key, item in cast("dict[str, object]", value).items()}
    return value
