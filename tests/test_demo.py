"""What the demo refuses before it begins. That it tells the truth, it checks itself: `make demo` fails otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "prefect_deepset.demo", *arguments], capture_output=True, text=True,
                          timeout=120, check=False, env={"PATH": "", **environment})


def test_it_empties_no_folder_that_holds_something_else(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")
    ran = run_demo("--output", str(tmp_path))
    assert ran.returncode == 2
    assert f"{tmp_path} holds files that the demo did not write" in ran.stderr
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_it_says_what_it_lacks_before_anything_is_emptied(tmp_path: Path):
    (tmp_path / ".made-by-the-demo").touch()
    ran = run_demo("--output", str(tmp_path), PREFECT_DEEPSET_S3_VENV=str(tmp_path / "nothing"))
    assert ran.returncode == 2
    assert "make .venv-s3/.installed" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (tmp_path / ".made-by-the-demo").exists()
