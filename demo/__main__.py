"""``python -m prefect_deepset.demo``: the whole job on this machine, in about a minute. Asks nothing of any other machine."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from ..testing.s3_server import find_ministack
from .output import refuse_foreign


def main() -> int:
    """Runs the demo; 0 when the archive holds exactly what was written and the alert arrived."""
    said = "The whole job on this machine, in about a minute. Asks nothing of any other machine."
    parser = argparse.ArgumentParser(prog="python -m prefect_deepset.demo", description=said)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the files (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=40_000, help="log rows that the pipelines wrote (default: %(default)s)")
    options = parser.parse_args()
    if options.rows < 5_000:
        parser.error("--rows must be at least 5000: the stories in the data need room")
    try:
        refuse_foreign(options.output)
        find_ministack()
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="prefect-deepset-demo-") as home:
        _settle_into(Path(home))
        from .story import tell  # noqa: PLC0415 - Prefect reads its settings when it is first imported

        return tell(options.output, options.rows)


def _settle_into(home: Path) -> None:
    # The Prefect profile and API URL of whoever runs this stay out of it: the demo must not write into a real workspace.
    for name in [name for name in os.environ if name.startswith("PREFECT_") and not name.startswith("PREFECT_DEEPSET_")]:
        del os.environ[name]
    os.environ |= {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


if __name__ == "__main__":
    sys.exit(main())
