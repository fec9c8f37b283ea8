"""Airbyte's CDK: a declarative source with cursor pagination. Its records go to standard output and on to `loader.py`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

SCHEMA = {
    "type": "object",
    "additionalProperties": True,
    "properties": {
        "log_id": {"type": "string"},
        "message": {"type": "string"},
        "logged_at": {"type": "string"},
        "level": {"type": "string"},
        "origin": {"type": "string"},
        "exceptions": {"type": ["null", "array"]},
        "extra_fields": {"type": ["null", "object"], "additionalProperties": True},
    },
}


def manifest(env: dict[str, str]) -> dict:
    requester = {
        "type": "HttpRequester",
        "url_base": f"{env['BENCH_URL']}/api/v1",
        "path": f"/workspaces/{env['BENCH_WORKSPACE']}/pipelines/{env['BENCH_PIPELINE']}/logs",
        "http_method": "GET",
        "authenticator": {"type": "BearerAuthenticator", "api_token": "{{ config['api_key'] }}"},
        "request_parameters": {"limit": "100", "order": "DESC"},
        "error_handler": {
            "type": "DefaultErrorHandler",
            "max_retries": 5,
            "backoff_strategies": [
                {"type": "WaitTimeFromHeader", "header": "Retry-After"},
                {"type": "ExponentialBackoffStrategy", "factor": 0.5},
            ],
        },
    }
    pagination = {
        "type": "DefaultPaginator",
        "page_token_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "after"},
        "pagination_strategy": {
            "type": "CursorPagination",
            "cursor_value": "{{ last_record['logged_at'] }}",
            "stop_condition": "{{ not response['has_more'] }}",
        },
    }
    stream = {
        "type": "DeclarativeStream",
        "name": "logs",
        "primary_key": [],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester,
            "paginator": pagination,
            "record_selector": {"type": "RecordSelector", "extractor": {"type": "DpathExtractor", "field_path": ["data"]}},
        },
    }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["logs"]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {"api_key": {"type": "string"}}}},
    }


def main() -> int:
    scratch = Path(os.environ["BENCH_SCRATCH"])
    config, catalog = scratch / "airbyte-config.json", scratch / "airbyte-catalog.json"
    settings = {"api_key": os.environ["BENCH_KEY"]}
    config.write_text(json.dumps(settings))
    stream = {"name": "logs", "json_schema": SCHEMA, "supported_sync_modes": ["full_refresh"]}
    chosen = {"streams": [{"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}]}
    catalog.write_text(json.dumps(chosen))
    source = ConcurrentDeclarativeSource(
        ConfiguredAirbyteCatalogSerializer.load(chosen), settings, None, source_config=manifest(dict(os.environ))
    )
    launch(source, ["read", "--config", str(config), "--catalog", str(catalog)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
