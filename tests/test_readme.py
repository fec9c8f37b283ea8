"""Every block of Python in the README is run by itself, as a reader would, then each of its `prefect-deepset` commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect_deepset.testing import FakeDeepset, even_day

from .prefect.live_server import LiveServer
from .servers.ministack import S3Handle

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BUCKET = "deepset-logs"  # as the README calls it

RUN_ALL = """
import json, sys
for line, code in json.load(sys.stdin):  # each with names of its own: it can be pasted alone
    exec(compile("\\n" * (line - 1) + code, "README.md", "exec"), {"__name__": "__main__"})
"""


def python_blocks() -> Iterator[tuple[int, str]]:
    """(line, code) of each fenced block of Python."""
    for found in re.finditer(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        yield README.count("\n", 0, found.start(1)) + 1, found[1]


@pytest.fixture
def prefect_server(tmp_path: Path, empty_prefect: Path) -> Iterator[LiveServer]:
    """One that runs, as `setup` needs it."""
    server = LiveServer(tmp_path, empty_prefect)
    yield server
    server.stop()


@pytest.mark.slow
def test_every_python_block_and_command_of_the_readme_runs(s3: S3Handle, prefect_server: LiveServer, tmp_path: Path):
    """With nothing changed: the environment says where the API and the bucket are."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    s3.client().create_bucket(Bucket=BUCKET)
    with FakeDeepset() as deepset:
        deepset.add_pipeline("my-workspace", "my-pipeline", even_day(f"{yesterday}T00:00:00Z", 5_000))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_", "DEEPSET_"))}
        environment = inherited | {
            "PREFECT_API_URL": prefect_server.url,
            "DEEPSET_API_KEY": deepset.api_key,
            "DEEPSET_API_URL": deepset.url,
            "AWS_ENDPOINT_URL": s3.endpoint_url,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "PREFECT_HOME": str(tmp_path),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN_ALL],
            input=json.dumps(list(python_blocks())),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=480,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        for command in re.findall(r"^    (prefect-deepset .+)$", README, re.MULTILINE):
            name, *options = shlex.split(command)
            program = [str(Path(sys.executable).with_name(name)), *options]
            ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=180)
            assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    keys = [found["Key"] for found in s3.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    with prefect_server.client() as client:
        deployed = {deployment.name: deployment.parameters.get("workspace") for deployment in client.read_deployments()}
    assert deployed["archive-daily-logs"] == "my-workspace"
    folder = f"workspace=my-workspace/pipeline=my-pipeline/dt={yesterday}"
    assert f"logs/jsonl/{folder}/part-00001.jsonl.gz" in keys
    assert f"logs/manifests/{folder}/r00001.json" in keys


def test_every_make_target_and_file_that_the_readme_names_exists():
    targets = set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)\b", "\n".join(re.findall(r"^    .*|`[^`]*`", README, re.MULTILINE))))
    assert named
    assert named <= targets
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", README) if "://" not in link]
    assert not [link for link in links if not (ROOT / link).exists()]
