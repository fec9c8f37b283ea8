"""Virtual environments of the others, one each under ``benchmarks/.venvs``: their requirements need not agree with ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / ".venvs"

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "script": ("httpx==0.28.1", "boto3==1.43.117"),
    "dlt": ("dlt[filesystem,s3]==1.31.0",),
    "airbyte": ("airbyte-cdk==7.39.1",),
    "singer": ("singer-sdk==0.54.9",),
    "plot": ("pygal==3.1.3",),
}


def python_of(name: str) -> Path:
    """The interpreter of an environment, which is made when it is missing or its requirements have changed."""
    folder = FOLDER / name
    python, made = folder / "bin" / "python", folder / "made-of.txt"
    wanted = "\n".join(REQUIREMENTS[name])
    if not made.exists() or made.read_text() != wanted:
        print(f"making {folder.relative_to(FOLDER.parent.parent)}: {', '.join(REQUIREMENTS[name])}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *REQUIREMENTS[name]], check=True)
        made.write_text(wanted)
    return python
