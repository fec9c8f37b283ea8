"""What the demo does, in the order in which it is told."""

from __future__ import annotations

import time
import warnings
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect_aws import AwsClientParameters, AwsCredentials
from pydantic import SecretStr

from ..archive.manifest import Manifest
from ..blocks import DeepsetCredentials, LogArchive
from ..flows import archive_daily_logs
from ..testing.s3_server import EmbeddedS3
from .check import Comparison, compare
from .output import empty
from .receiver import Receiver
from .show import Show
from .world import THRESHOLD, WORKSPACE, World

BUCKET = "deepset-logs"
PREFIX = "logs"
EVENTS_WITHIN = 10.0
"""Seconds that events may take to reach the server."""


def tell(output: Path, rows: int) -> int:
    """Runs the whole job once, checks it, and says what happened; the exit code."""
    warnings.simplefilter("ignore")  # of the libraries below; what the demo has to say it says itself
    show = Show()
    day = datetime.now(UTC).date() - timedelta(days=1)
    empty(output)
    with ExitStack() as stack:
        world = stack.enter_context(World(day, rows))
        receiver = stack.enter_context(Receiver())
        with show.step("starting an S3 server") as done:
            s3 = stack.enter_context(EmbeddedS3())
            s3.create_bucket(BUCKET)
            done(f"{s3.endpoint_url}, bucket {BUCKET}")
        show.world(world)
        with show.step("starting a Prefect server, saving the blocks") as done:
            credentials, archive = _save_blocks(world, s3, receiver)
            done("deepset-credentials/demo, deepset-log-archive/demo, custom-webhook/on-call")
        with show.step(f"running archive_daily_logs for {day}") as done:
            began = time.monotonic()
            manifests = _run(credentials, archive, day)
            done(f"{sum(manifest.rows for manifest in manifests):,} rows in {time.monotonic() - began:.1f} s")
        first_requests = world.take_requests()
        objects = _copy_objects(s3, output / "archive")
        with show.step("running it again") as done:
            again = _run(credentials, archive, day)
            second_requests = world.take_requests()
            new_objects = len(_copy_objects(s3, output / "archive")) - len(objects)
            done(f"{second_requests.pages} pages read, {new_objects} objects written")
        comparisons = {
            manifest.source.pipeline: compare(manifest, output / "archive", world.truth(manifest.source.pipeline))
            for manifest in manifests
        }
        report = _save_report(output)
        show.archived(manifests, comparisons)
        show.requests(first_requests)
        show.alerts(receiver.received, _events())
        show.files(output, objects, [*report, *_save_alerts(output, receiver)])
        faults = _faults(manifests, comparisons, world, receiver)
        if not world.settling_note and (second_requests.pages or new_objects or again != manifests):
            faults.append("the second run did something")
        show.verdict(comparisons, faults, world.settling_note)
    return 1 if faults else 0


def _save_blocks(world: World, s3: EmbeddedS3, receiver: Receiver) -> tuple[DeepsetCredentials, LogArchive]:
    aws = AwsCredentials(
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=SecretStr(s3.secret_key),
        region_name=s3.region,
        aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint_url),
    )
    credentials = DeepsetCredentials(api_key=SecretStr(world.api_key), base_url=world.url)
    archive = LogArchive(bucket=BUCKET, prefix=PREFIX, credentials=aws)
    webhook = CustomWebhookNotificationBlock.model_validate(
        {"name": "on-call", "url": receiver.url, "json_data": {"subject": "{{subject}}", "body": "{{body}}"}}
    )
    credentials.save("demo")
    archive.save("demo")
    webhook.save("on-call")
    return credentials, archive


def _run(credentials: DeepsetCredentials, archive: LogArchive, day: date) -> list[Manifest]:
    return archive_daily_logs(
        credentials, archive, WORKSPACE, day=day, error_threshold=THRESHOLD, notify="custom-webhook/on-call"
    )


def _copy_objects(s3: EmbeddedS3, folder: Path) -> list[str]:
    """Copies every object of the bucket into `folder`; their keys."""
    client = s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [found.get("Key", "") for page in pages for found in page.get("Contents", [])]
    for key in keys:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return keys


def _save_report(output: Path) -> list[Path]:
    """Saves the run's report artifact, as Markdown and as a page that a browser opens."""
    from markdown_it import MarkdownIt  # noqa: PLC0415

    with get_client(sync_client=True) as client:
        reports = [artifact for artifact in client.read_artifacts() if artifact.type == "markdown" and artifact.data]
    if not reports:
        return []
    text = str(min(reports, key=lambda artifact: artifact.created or datetime.max.replace(tzinfo=UTC)).data)
    (output / "report.md").write_text(text)

    class Markdown(MarkdownIt):
        def validateLink(self, url: str) -> bool:  # noqa: N802 - the base class's name
            return bool(url)  # plots are inline SVG, which it would refuse

    markdown = Markdown("gfm-like", {"html": True, "linkify": False})
    style = "body{font:16px system-ui;max-width:60em;margin:2em auto;padding:0 1em}td,th{padding:.2em .8em;text-align:left}"
    page = f"<!doctype html><meta charset=utf-8><title>Report</title><style>{style}</style>{markdown.render(text)}"
    (output / "report.html").write_text(page)
    return [output / "report.md", output / "report.html"]


def _events() -> list[tuple[str, str]]:
    """(event, resource) of this project's events, oldest first, as the Prefect server received them."""
    until = time.monotonic() + EVENTS_WITHIN
    found: list[tuple[str, str]] = []
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            answer = client.request("POST", "/events/filter", json={"limit": 50, "filter": {"event": {"prefix": ["deepset."]}}})
            before, found = found, [
                (event["event"], event["resource"]["prefect.resource.id"]) for event in reversed(answer.json()["events"])
            ]
            if found and found == before:
                break
            time.sleep(0.5)
    return found


def _save_alerts(output: Path, receiver: Receiver) -> list[Path]:
    paths = [output / f"alert-{number}.txt" for number, _ in enumerate(receiver.received, 1)]
    for path, message in zip(paths, receiver.received, strict=True):
        path.write_text(f"{message.subject}\n\n{message.body}\n")
    return paths


def _faults(
    manifests: list[Manifest], comparisons: dict[str, Comparison], world: World, receiver: Receiver
) -> list[str]:
    """What did not come out as promised; empty when all did."""
    found = [f"{name}: the archive is not what was written" for name, comparison in comparisons.items() if not comparison.same]
    if {manifest.source.pipeline for manifest in manifests} != set(world.pipelines):
        found.append("not every pipeline was archived")
    if any(manifest.unresolved_ties for manifest in manifests):
        found.append("a tie was not resolved")
    if not world.settling_note and any(manifest.status != "sealed" or manifest.gaps for manifest in manifests):
        found.append("a day is not sealed")
    if len(receiver.received) != 1:
        found.append(f"{len(receiver.received)} alerts arrived, one was due")
    return found
