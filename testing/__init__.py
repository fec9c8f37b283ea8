"""A fake deepset platform, for tests: `FakeDeepset` serves workspaces, pipelines and their logs as the API does, its faults
and its open questions included. It stands alone and needs nothing but Python. (`s3_server`, an S3 server beside it, is the one
module that needs more: boto3, and ministack in an environment of its own.)
"""

from __future__ import annotations

from .behaviour import Behaviour
from .data import GeneratedRows, bursts, dense, even_day, nasty, row, skewed_day, tied_day, ties
from .faults import Fault, Faults, HeavyRange, RateLimit, Request
from .rows import GivenRows, RowSource, TruthRow
from .server import FakeDeepset, LoggedRequest

__all__ = [
    "Behaviour",
    "FakeDeepset",
    "Fault",
    "Faults",
    "GeneratedRows",
    "GivenRows",
    "HeavyRange",
    "LoggedRequest",
    "RateLimit",
    "Request",
    "RowSource",
    "TruthRow",
    "bursts",
    "dense",
    "even_day",
    "nasty",
    "row",
    "skewed_day",
    "tied_day",
    "ties",
]
