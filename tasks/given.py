"""What tasks are given, held against what it must be before anything is asked: they are called without a form, too."""

from __future__ import annotations

from typing import get_args

from prefect.blocks.core import Block

from ..api.errors import InvalidInputError
from ..api.sources import Kind, LogSource
from ..api.urls import check_name


def check_block(given: object, kind: type[Block], name: str) -> None:
    """Raises `InvalidInputError` for what is no such block, such as a block's name; `name` is the parameter's."""
    if not isinstance(given, kind):
        raise InvalidInputError(f"`{name}` is no {kind.__name__} block but {type(given).__name__}.",
                                f'Give {kind.__name__}.load("default"), or one made in place.')


def source_of(workspace: str, name: str, kind: Kind) -> LogSource:
    """The source of these names.

    Raises:
        InvalidInputError: a name or a kind that cannot be.
    """
    if kind not in get_args(Kind):
        raise InvalidInputError(f"`kind` is {kind!r}.", "Give 'pipeline' or 'index'.")
    return LogSource(check_name(workspace, "workspace"), check_name(name, kind), kind)
