"""The flow for an auditor: is this all of it, and unchanged?"""

from __future__ import annotations

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from ..archive.errors import VerificationError
from ..archive.verdicts import ArchiveVerdict, Finding
from ..blocks import LogArchive
from ..tasks.report import artifact_key
from ..tasks.verify import verify_days
from .inputs import UtcDay, check_indexes, check_names

_SHOWN = 200


@flow(name="verify-archive")
def verify_archive(archive: LogArchive, workspace: str, pipelines: list[str] | None = None, start: UtcDay | None = None,
                   end: UtcDay | None = None, indexes: list[str] | None = None) -> ArchiveVerdict:
    """Verifies an archive: every manifest, every part, row by row. Fails when anything is wrong.

    A gap that the archive itself records is told, but is not wrong.

    Args:
        archive: What to verify.
        workspace: The workspace's name.
        pipelines: Names; without any, and without indexes, every pipeline and index that was ever archived.
        start: The first UTC day; without it, the first one archived.
        end: The last UTC day; without it, the last one that is over.
        indexes: Names of indexes.

    Raises:
        InvalidInputError: a parameter is wrong, or no day of the range is archived or should be.
        VerificationError: something is wrong; the report has all of it.
    """
    verdict = verify_days(archive, workspace, check_names(workspace, pipelines), start, end, check_indexes(indexes))
    get_run_logger().info("%s", verdict.summary)
    create_markdown_artifact(_report(verdict), key=artifact_key(workspace, "verification"),
                             description=f"Verification of the archive of workspace {workspace}.")
    wrong = [finding for finding in verdict.all_findings if finding.wrong]
    if wrong:
        more = f" ... and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise VerificationError(f"The archive is not whole or not unchanged: {verdict.summary}. "
                                f"{'; '.join(map(str, wrong[:5]))}{more}.",
                                "Restore the named objects from their versions or a backup; nothing here rewrites them.",
                                f"workspace {workspace!r}")
    return verdict


def _report(verdict: ArchiveVerdict) -> str:
    head = "Valid" if verdict.ok else "**Wrong**"
    head += "" if verdict.complete or not verdict.ok else ", with gaps that the archive records"
    lines = [f"{head}: {verdict.summary}.", ""]
    if verdict.all_findings:
        lines += ["| what | object | detail |", "| --- | --- | --- |", *map(_row, verdict.all_findings[:_SHOWN])]
        if len(verdict.all_findings) > _SHOWN:
            lines.append(f"| ... | and {len(verdict.all_findings) - _SHOWN} more | |")
    return "\n".join(lines)


def _row(finding: Finding) -> str:
    kind = f"**{finding.kind}**" if finding.wrong else finding.kind
    return f"| {kind} | {_cell(finding.key)} | {_cell(finding.detail)} |"


def _cell(text: str) -> str:
    """Text from the bucket, with nothing in it that markdown would act on."""
    return "".join(f"&#{ord(sign)};" if sign in "|<>*_`[]\\" else sign for sign in " ".join(text.split()))
