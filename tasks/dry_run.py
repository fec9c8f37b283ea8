"""The task that tries alert rules on archived days. It reads manifests and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from prefect import task

from ..alerts.history import DryRun, dry_run
from ..api.errors import InvalidInputError
from ..api.sources import LogSource
from ..archive.chain import archived_sources, latest_days, sources_to_work_on
from ..blocks import AlertRules, LogArchive
from .retries import RETRIED

_PARALLEL = 8


@task(task_run_name="try-rules-{workspace}", **RETRIED)
def try_rules(archive: LogArchive, rules: AlertRules, workspace: str, pipelines: list[str] | None, days: int) -> list[DryRun]:
    """Each rule over each pipeline's last archived days, in the order of their names.

    Args:
        archive: where the manifests are.
        rules: what to try.
        workspace: its name.
        pipelines: names; None for every pipeline and index ever archived.
        days: how many archived days to judge; those before them serve the rules as history.

    Raises:
        InvalidInputError: a name, or a workspace, that the archive does not know.
        ArchiveError: the manifests cannot be read.
    """
    store, rule_set = archive.get_store(), rules.get_rules()
    archived = archived_sources(store, workspace) if pipelines else sources_to_work_on(store, workspace)
    unknown = [name for name in pipelines or () if name not in {source.name for source in archived}]
    if unknown:
        raise InvalidInputError(f"No day of {', '.join(map(repr, unknown))} is archived.",
                                "Correct `pipelines`, or leave it out for all of them.", f"workspace {workspace!r}")

    def of_one(source: LogSource) -> list[DryRun]:
        found = latest_days(store, source, days + rule_set.history_days)
        return dry_run(rule_set, [stored.manifest for stored in found], days)

    wanted = [source for source in archived if pipelines is None or source.name in pipelines]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return [run for runs in pool.map(of_one, wanted) for run in runs]
