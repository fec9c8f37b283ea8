"""How fields look in the forms of Prefect's UI."""

from __future__ import annotations

from typing import Any


def may_stay_empty(schema: dict[str, Any]) -> None:
    """For `json_schema_extra`: a plain field that may stay empty, instead of a choice between a type and None.

    Only for fields whose default is None: what is left empty in a form is not sent.
    """
    schema.update(next(choice for choice in schema.pop("anyOf") if choice.get("type") != "null"))
