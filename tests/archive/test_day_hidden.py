"""A platform that hides rows it has shown, as when a part of its store is down: no retry and no later run may forget it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect_deepset.api.errors import EndDisputedError
from prefect_deepset.archive.verify import verify_day
from prefect_deepset.testing import Behaviour, Fault, Faults, even_day

from ..servers.ministack import S3Handle
from .day_runs import DAY, Runs, runs_at

MIDNIGHT = "2026-03-14T00:00:00Z"
DOWN_BELOW = "2026-03-14T08:00:00Z"
NO_LOGS = Fault(404, b'{"errors":["no logs"]}')


@pytest.fixture
def runs(s3: S3Handle, tmp_path: Path) -> Iterator[Runs]:
    with runs_at(s3, tmp_path / "spool") as made:
        made.server.add_pipeline("support", "chat", even_day(MIDNIGHT, 900))
        yield made


def hide(runs: Runs, answer: Fault) -> None:
    runs.server.faults = Faults(when=lambda request: answer if request.params["after"] <= DOWN_BELOW else None)


@pytest.mark.parametrize("answer", [Fault.empty_page(total=0), Fault.empty_page(), NO_LOGS], ids=["empty", "total", "404"])
@pytest.mark.parametrize("total", ["after", "null"])
@pytest.mark.parametrize("workers", [1, 4])
def test_what_was_shown_is_asked_for_by_every_retry_and_every_run(runs: Runs, answer: Fault, total, workers):
    runs.server.behaviour = Behaviour(total=total)
    hide(runs, answer)
    for _ in range(2):
        with pytest.raises(EndDisputedError):
            runs.archive(commit_partial=False, max_concurrency=workers)
    manifest = runs.archive(max_concurrency=workers).manifest
    assert manifest.status == "open"
    assert [(gap.start[11:19], gap.reason) for gap in manifest.gaps] == [("00:00:00", "cursor")]
    runs.clock.set("2026-03-15T02:00:00Z")
    with pytest.raises(EndDisputedError):
        runs.archive(max_concurrency=workers)
    assert not verify_day(runs.store, runs.source, DAY).complete
    runs.server.faults = Faults()
    assert runs.at("2026-03-15T03:00:00Z", max_concurrency=workers).status == "sealed"
    runs.assert_whole()
