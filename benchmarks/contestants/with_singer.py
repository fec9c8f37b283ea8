"""Singer: a tap made with Meltano's SDK. Its records go to standard output, and from there to `loader.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import BaseAPIPaginator


class LastRowPaginator(BaseAPIPaginator[str | None]):
    """The next page begins after the time of the last row."""

    def has_more(self, response: requests.Response) -> bool:
        return response.json()["has_more"]

    def get_next(self, response: requests.Response) -> str | None:
        return response.json()["data"][-1]["logged_at"]


class Logs(RESTStream):
    """The logs of one pipeline."""

    name = "logs"
    records_jsonpath = "$.data[*]"
    schema = th.PropertiesList(
        th.Property("log_id", th.StringType),
        th.Property("message", th.StringType),
        th.Property("logged_at", th.StringType),
        th.Property("level", th.StringType),
        th.Property("origin", th.StringType),
        th.Property("exceptions", th.ArrayType(th.ObjectType(additional_properties=True), nullable=True), nullable=True),
        th.Property("extra_fields", th.ObjectType(additional_properties=True, nullable=True), nullable=True),
        additional_properties=True,
    ).to_dict()

    @property
    def url_base(self) -> str:
        return f"{os.environ['BENCH_URL']}/api/v1"

    @property
    def path(self) -> str:
        return f"/workspaces/{os.environ['BENCH_WORKSPACE']}/pipelines/{os.environ['BENCH_PIPELINE']}/logs"

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["api_key"])

    def get_new_paginator(self) -> LastRowPaginator:
        return LastRowPaginator(None)

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:  # noqa: ARG002 - the SDK's signature
        return {"limit": 100, "order": "DESC", **({"after": next_page_token} if next_page_token else {})}


class TapDeepset(Tap):
    """The tap."""

    name = "tap-deepset"
    config_jsonschema = th.PropertiesList(th.Property("api_key", th.StringType, required=True, secret=True)).to_dict()

    def discover_streams(self) -> list[Logs]:
        return [Logs(self)]


def main() -> None:
    config = Path(os.environ["BENCH_SCRATCH"]) / "singer-config.json"
    config.write_text(json.dumps({"api_key": os.environ["BENCH_KEY"]}))
    TapDeepset.cli(["--config", str(config)])


if __name__ == "__main__":
    sys.exit(main())
