"""What the rules need besides the days that a run considered: each pipeline's last archived days, and the days before them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import NamedTuple

from ..api.errors import DeepsetError
from ..api.sources import LogSource
from ..archive.chain import latest, list_days
from ..archive.manifest import Manifest
from ..archive.objects import ObjectStore
from .rules import source_of
from .state import RECENT_DAYS

_PARALLEL = 8


class Background(NamedTuple):
    """What was found."""

    manifests: list[Manifest]
    """The newest of each day, without the days that were considered."""
    problems: list[DeepsetError]
    """What cannot be read. Such a day counts as not archived; the others are judged."""


def look_back(store: ObjectStore, sources: Iterable[LogSource], considered: Iterable[Manifest],
              history_days: int) -> Background:
    """The manifests to judge and compare with, for each source.

    Args:
        store: where they are.
        sources: all of the run; those of `considered` are added.
        considered: the newest manifest of each day that the run considered.
        history_days: how many archived days before a judged one its rules look at.

    Raises:
        DeepsetError: a transient one. Others are among the problems.
    """
    known: dict[LogSource, set[date]] = {source: set() for source in sources}
    for manifest in considered:
        known.setdefault(source_of(manifest), set()).add(date.fromisoformat(manifest.dt))

    def of_one(source: LogSource) -> Background:
        found = Background([], [])
        try:
            wanted = _wanted(list_days(store, source), known[source], history_days)
        except DeepsetError as error:
            return Background([], [_unless_transient(error)])
        for day in wanted:
            try:
                if stored := latest(store, source, day):
                    found.manifests.append(stored.manifest)
            except DeepsetError as error:
                found.problems.append(_unless_transient(error))
        return found

    with ThreadPoolExecutor(_PARALLEL) as pool:
        all_found = list(pool.map(of_one, known))
    return Background([manifest for found in all_found for manifest in found.manifests],
                      [problem for found in all_found for problem in found.problems])


def _wanted(archived: list[date], considered: set[date], history_days: int) -> list[date]:
    """The last archived days, and what the rules compare each judged day with; not the days considered."""
    recent = archived[-RECENT_DAYS:]
    wanted = set(recent)
    for day in {*considered, *recent} if history_days else ():
        wanted |= set([before for before in archived if before < day][-history_days:])
    return sorted(wanted - considered)


def _unless_transient(error: DeepsetError) -> DeepsetError:
    if error.transient:
        raise error
    return error
