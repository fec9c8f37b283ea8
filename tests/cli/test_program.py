"""The installed program, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import days_ago

PROGRAM = [sys.executable, "-m", "prefect_deepset.cli"]


def test_help_names_the_commands_and_exit_codes_and_loads_neither_prefect_nor_boto3():
    script = ("import sys; from prefect_deepset.cli.main import main; code = main(['--help']); "
              "assert not {'prefect', 'boto3', 'botocore', 'pydantic', 'httpx'} & set(sys.modules); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for word in ("check", "status", "verify", "cat", "Exit codes: 0 fine"):
        assert word in done.stdout


def help_of(command: str) -> str:
    """What `--help` shows of a command, without the frame and line breaks."""
    environment = os.environ | {"COLUMNS": "100"}
    shown = subprocess.run([*PROGRAM, command, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    return " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize(("command", "said"), [
    ("check", "No pipeline is looked at when left out."), ("cat", "All pipelines when left out, but no index."),
    ("status", "All pipelines and indexes of the archive when left out."),
    ("verify", "All pipelines and indexes of the archive when left out."),
])
def test_each_command_says_what_it_does_without_a_pipeline(command: str, said: str):
    assert said in help_of(command)


@pytest.mark.parametrize("command", ["check", "setup"])
def test_paragraphs_of_help_fill_their_lines(command: str):
    environment = os.environ | {"COLUMNS": "200"}
    shown = subprocess.run([*PROGRAM, command, "--help"], env=environment, capture_output=True, text=True, check=True).stdout
    assert any(len(line.rstrip(" │")) > 140 for line in shown.splitlines() if not line.startswith("╭"))


def test_reading_an_archive_loads_no_prefect(place: list[str]):
    script = ("import sys; from prefect_deepset.cli.main import main; code = main(sys.argv[1:]); "
              "assert 'prefect' not in sys.modules; sys.exit(code)")
    command = [sys.executable, "-c", script, "verify", *place, "--pipeline", "chat"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_version():
    done = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()[0].isdigit()


@pytest.mark.parametrize("words", [["cat", str(days_ago(1))], ["status"]])
def test_a_reader_that_has_enough_is_no_error(place: list[str], words: list[str]):
    """As in ``prefect-deepset cat ... | head -1``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run([*PROGRAM, *words, *place], stdout=closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_terminal_without_the_characters_gets_others(place: list[str]):
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*PROGRAM, "status", *place], capture_output=True, text=True, check=False, env=environment)
    assert "Unforeseen" not in done.stderr
    assert "chat" in done.stdout


def test_a_full_disk_is_named(place: list[str]):
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run([*PROGRAM, "cat", str(days_ago(1)), *place], stdout=full, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr.splitlines()[0]


def test_a_terminal_sees_progress_and_stdout_stays_clean(place: list[str]):
    watcher, terminal = os.openpty()
    command = [*PROGRAM, "cat", str(days_ago(1)), *place, "--pipeline", "chat"]
    with os.fdopen(terminal, "wb") as stderr:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | {"TERM": "xterm"}, check=True)
    shown = os.read(watcher, 100_000).decode()
    os.close(watcher)
    assert len(done.stdout.splitlines()) == 101
    assert "Reading s3://" in shown


@pytest.mark.parametrize("debug", [False, True])
def test_the_unforeseen_is_one_line_unless_asked_for_more(tmp_path: Path, debug: bool, place: list[str]):
    broken = tmp_path / "broken.py"
    broken.write_text("import sys\nimport prefect_deepset.cli.main as program\n"
                      "def fail(*_):\n    raise RuntimeError('secret text')\n"
                      "program.open_archive = fail\nsys.exit(program.main(['status', '--bucket', 'b-b-b']))\n")
    environment = os.environ | ({"PREFECT_DEEPSET_DEBUG": "1"} if debug else {})
    done = subprocess.run([sys.executable, str(broken)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is debug
    assert done.stderr.splitlines()[-1].startswith("prefect-deepset: Unforeseen: RuntimeError.")
    assert debug or "secret text" not in done.stderr
