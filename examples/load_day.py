"""Started by an event: what comes after a day was archived, with the manifest's fields as parameters."""

from datetime import date

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect_deepset.blocks import LogArchive
from prefect_deepset.tasks import read_archived_logs


@flow(name="load-day")
def load_day(archive: LogArchive, workspace: str, pipeline: str, dt: date, rows: int, manifest_key: str):
    """Counts the day's rows by origin; put your warehouse here."""
    loaded = read_archived_logs(archive, workspace, dt, dt, pipelines=[pipeline])
    if len(loaded) != rows:
        raise ValueError(f"{manifest_key} promises {rows} rows, and {len(loaded)} came")
    origins = [row.origin for row in loaded]
    table = [{"origin": origin, "rows": origins.count(origin)} for origin in sorted(set(origins))]
    create_table_artifact(table, key="loaded-day", description=f"{workspace}/{pipeline}, {dt}")
