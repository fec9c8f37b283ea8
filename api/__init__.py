"""The deepset logs API: a client, and a walk that reads a span of time completely. Knows neither Prefect nor S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import DeepsetClient
    from .errors import DeepsetError
    from .models import LogCounts, PipelineLog

__all__ = ["DeepsetClient", "DeepsetError", "LogCounts", "PipelineLog"]

_HOMES = {"DeepsetClient": "client", "DeepsetError": "errors", "LogCounts": "models", "PipelineLog": "models"}


def __getattr__(name: str) -> object:
    # Looked up when asked for: the command line and the errors need neither httpx nor pydantic.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
