"""The commands, their options and help; what they do is imported when they are called."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from ..api.errors import DeepsetError, InvalidInputError
from .places import Place, open_archive
from .setup import setup

FINE, WRONG, USAGE = 0, 1, 2
"""Exit codes: all is well; the archive or an answer is wrong; an option or setting is."""
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_DEBUG = "PREFECT_DEEPSET_DEBUG"

Workspace = Annotated[str | None, Parameter(env_var=["DEEPSET_WORKSPACE", "DEFAULT_WORKSPACE_NAME"],
                                            help="The workspace; may be left out where there is only one.")]


def _pipelines(left_out: str) -> Parameter:
    return Parameter(name="--pipeline", negative=(), help=f"A pipeline's name; may be repeated. {left_out}")


Archived = Annotated[list[str] | None, _pipelines("All pipelines and indexes of the archive when left out.")]
_PLACE = Place()

app = App(
    name="prefect-deepset",
    help="Look after an archive of deepset pipeline logs.",
    help_epilogue="Exit codes: 0 fine, 1 something is wrong with the archive or an answer, 2 usage or settings.",
    version=lambda: version("prefect-deepset"),
    help_format="markdown",
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
)


@app.command
def check(*, workspace: Workspace = None,
          pipeline: Annotated[list[str] | None, _pipelines("No pipeline is looked at when left out.")] = None,
          place: Place = _PLACE, probe: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Check the key, the names, this machine's clock and the bucket.

    The key comes from DEEPSET_API_KEY, the platform's address from DEEPSET_API_URL. One object is created in the bucket.

    Parameters
    ----------
    probe
        Also ask the API what is not documented: read-only, at most 60 requests. Best with the --pipeline that logs most;
        without one the first that shows logs is asked about. The report, on stdout, can be pasted into a bug: it holds no key,
        no names and no log contents.
    """
    from .check import run_checks  # noqa: PLC0415 - see the module's docstring

    return run_checks(place, workspace, pipeline, probe)


@app.command
def status(*, workspace: Workspace = None, pipeline: Archived = None, place: Place = _PLACE,
           days: Annotated[int, Parameter(validator=Number(gte=1, lte=3660))] = 14) -> int:
    """Show a calendar of each pipeline's days: status, rows, errors.

    Exit code 1 when a day is INCOMPLETE, MISSING or UNREADABLE.

    Parameters
    ----------
    days
        How many days to show, today included.
    """
    from .status import show_status  # noqa: PLC0415

    return show_status(open_archive(place), workspace, pipeline, days, time.time())


@app.command
def verify(*, workspace: Workspace = None, pipeline: Archived = None, place: Place = _PLACE, start: date | None = None,
           end: date | None = None) -> int:
    """Read the archive again, every byte, and say whether it is all there and unchanged.

    Gaps that the archive itself records are told, and are not wrong. Exit code 1 when something is.

    Parameters
    ----------
    start
        The first UTC day; from the first one archived when left out.
    end
        The last UTC day; to the last one that is over when left out.
    """
    from .verify import show_verdict  # noqa: PLC0415

    return show_verdict(open_archive(place), workspace, pipeline, start, end, datetime.now(UTC))


@app.command
def cat(first: date, last: date | None = None, /, *, workspace: Workspace = None,
        pipeline: Annotated[list[str] | None, _pipelines("All pipelines when left out, but no index.")] = None,
        level: Annotated[list[str] | None, Parameter(negative=())] = None, place: Place = _PLACE) -> int:
    """Write archived rows to stdout, one JSON object a line, byte for byte as the platform sent them.

    Days that are incomplete or not archived are told on stderr; exit code 1 then.

    Parameters
    ----------
    first
        The UTC day, such as 2026-01-31.
    last
        The last UTC day, for a range.
    level
        Only rows of this level, such as error; may be repeated.
    """
    from .cat import write_rows  # noqa: PLC0415

    return write_rows(open_archive(place), workspace, pipeline, level, first, last or first, time.time())


app.command(setup)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a character that a terminal does not have is no reason to stop
            stream.reconfigure(errors="replace")
    try:
        return app(sys.argv[1:] if argv is None else list(argv)) or FINE
    except CycloptsError as error:
        return _fail(f"{error} Try --help.", USAGE)
    except DeepsetError as error:
        return _fail(str(error), USAGE if isinstance(error, InvalidInputError) else WRONG)
    except BrokenPipeError:
        # Whoever read has enough. Python would complain once more when it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person at a terminal gets one line
        # Its text may quote anything, so only its kind is shown.
        if os.environ.get(_DEBUG):
            traceback.print_exc()
        system = error.strerror if isinstance(error, OSError) else None  # such as a full disk
        return _fail(f"{system}." if system else
                     f"Unforeseen: {type(error).__name__}. {_DEBUG}=1 shows where; please report it.", WRONG)


def _fail(message: str, code: int) -> int:
    from .terminal import warn  # noqa: PLC0415 - the start of --help

    warn(f"prefect-deepset: {message}")
    return code
