"""The flow that adds a format to days that are archived already."""

from __future__ import annotations

from datetime import date

from prefect import flow
from prefect.logging import get_run_logger

from ..api.errors import ArchiveError, DeepsetError, InvalidInputError
from ..archive.formats import require_formats
from ..archive.manifest import Manifest
from ..blocks import LogArchive
from ..tasks.fill import fill_day, find_archived_days
from ..tasks.plan import label
from .day_runs import day_runner, run_name
from .inputs import UtcDay, check_indexes, check_names, check_range


@flow(name="fill-formats", flow_run_name=run_name, task_runner=day_runner)
def fill_formats(archive: LogArchive, workspace: str, pipelines: list[str] | None = None, start: UtcDay | None = None,
                 end: UtcDay | None = None, indexes: list[str] | None = None) -> list[Manifest]:
    """Gives archived days the formats that the archive block names and they lack. Made from the archive, not from deepset.

    Returns the newest manifest of each day.

    Args:
        archive: The archive, with csv or parquet among its formats.
        workspace: The workspace's name.
        pipelines: Names; without any, and without indexes, every pipeline and index that was ever archived.
        start: The first UTC day; without it, the first one archived.
        end: The last UTC day; without it, the last one archived.
        indexes: Names of indexes.

    Raises:
        InvalidInputError: a parameter is wrong, nothing is archived of the workspace or under a name, or the archive keeps
            jsonl alone; nothing was written.
        ArchiveError: some days could not be filled; each is named.
    """
    names, index_names = check_names(workspace, pipelines), check_indexes(indexes)
    check_range(start or date.min, end or start or date.min)
    if archive.formats == ["jsonl"]:
        raise InvalidInputError("The archive keeps jsonl alone.", "Add csv or parquet to the block's formats first.")
    require_formats(archive.formats)
    days = find_archived_days(archive, workspace, start, end, names, index_names)
    get_run_logger().info("Workspace %s: %d archived days.", workspace, len(days))
    submitted = [(source, day, fill_day.submit(archive, source, day)) for source, day in days]
    manifests: list[Manifest] = []
    failed: list[str] = []
    for source, day, future in submitted:
        try:
            manifest = future.result()
        except DeepsetError as error:
            failed.append(f"[{label(source)} {day}] {error}")
        else:
            manifests += [manifest] if manifest else []
    if failed:
        raise ArchiveError(f"{len(failed)} of {len(days)} days could not be filled. {' '.join(failed)}",
                           "Mend what is named and run again.", f"workspace {workspace!r}")
    return manifests
