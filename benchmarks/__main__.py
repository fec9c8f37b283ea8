"""``python -m benchmarks``: every benchmark into docs/benchmarks.md, one after another; a quarter of an hour on two cores."""

from __future__ import annotations

import subprocess
import sys

ALL = ("targets", "compare", "compression", "growth")


def main() -> int:
    """Runs them all, whatever becomes of one; the worst exit status."""
    return max(subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--write"], check=False).returncode for name in ALL)


if __name__ == "__main__":
    sys.exit(main())
