"""The tasks in a flow of one's own: yesterday's errors of each pipeline, and its day in the archive before anything is told."""

from datetime import UTC, datetime, timedelta

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.tasks import archive_day, count_logs, fetch_logs, list_pipelines


@flow(name="morning-look")
def morning_look(credentials: DeepsetCredentials, archive: LogArchive, workspace: str):
    """Archives yesterday, then shows how much each pipeline wrote and what its last error was."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = midnight - timedelta(days=1)
    lines = ["| pipeline | archived | since midnight | errors | the last error |", "| --- | --- | --- | --- | --- |"]
    for pipeline in list_pipelines(credentials, workspace):
        # The same task that archive_daily_logs runs: what it finds done it does not do again.
        manifest = archive_day.submit(credentials, archive, workspace, pipeline, yesterday.date())
        today = count_logs.submit(credentials, workspace, pipeline, midnight, datetime.now(UTC))
        errors = fetch_logs(credentials, workspace, pipeline, yesterday, midnight, levels=["error"], max_rows=1000)
        last = errors[0].message if errors else ""
        lines.append(f"| {pipeline} | {manifest.result().rows} | {today.result().rows} | {len(errors)} | {last} |")
    create_markdown_artifact("\n".join(lines), key="morning-look")
