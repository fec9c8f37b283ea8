"""Every block of Python and every console in docs/ is run as a reader would, page by page; every link leads somewhere."""

from __future__ import annotations

import ast
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
from prefect_deepset.api.client import DeepsetClient
from prefect_deepset.api.probe import QUESTIONS
from prefect_deepset.api.sources import LogSource
from prefect_deepset.archive.day import archive_day
from prefect_deepset.archive.store import S3Store, s3_config
from prefect_deepset.testing import FakeDeepset, even_day

from .documentation import PAGES, ROOT, Block, anchors, blocks, commands, links, matches
from .servers.ministack import S3Handle

BUCKET = "deepset-logs"
DAY = "2026-01-31"
"""The pages speak of these; the test puts its own bucket and yesterday in their place."""
SOURCES = [LogSource("my-workspace", "my-pipeline"), LogSource("my-workspace", "other-pipeline"), LogSource("support", "chat")]

# Pages that load blocks find these.
SAVE_BLOCKS = """
import os
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
for name in ("default", "logs"):
    DeepsetCredentials(api_key=os.environ["DEEPSET_API_KEY"], base_url=os.environ["DEEPSET_API_URL"]).save(name, overwrite=True)
    LogArchive(bucket=os.environ["BUCKET"], prefix="logs").save(name, overwrite=True)
"""
# Each block has names of its own: it can be pasted alone.
RUN_PYTHON = """
import json, sys
for page, line, code in json.load(sys.stdin):
    exec(compile("\\n" * (line - 1) + code, page, "exec"), {"__name__": "__main__"})
"""
MARK = "\x1e"


@pytest.fixture(scope="module")
def environment(s3: S3Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yesterday's logs of three pipelines, archived; and what a user's shell would hold."""
    folder = tmp_path_factory.mktemp("docs")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    store = S3Store(s3.client(base=s3_config("when_required")), s3.bucket(), "logs")
    with FakeDeepset() as deepset:
        for seed, source in enumerate(SOURCES):
            deepset.add_pipeline(source.workspace, source.name, even_day(f"{yesterday}T00:00:00Z", 2_000, seed=seed))
        with DeepsetClient(deepset.api_key, deepset.url) as client:
            for source in SOURCES:
                archive_day(client, store, source, yesterday, spool_root=folder / "spool")
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith(("PREFECT_", "AWS_", "DEEPSET_")) and name != "COLUMNS"}
        yield inherited | {
            "BUCKET": store.bucket,
            "YESTERDAY": str(yesterday),
            "DEEPSET_API_KEY": deepset.api_key,
            "DEEPSET_API_URL": deepset.url,
            "AWS_ENDPOINT_URL": s3.endpoint_url,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "DO_NOT_TRACK": "1",
        }


def placed(text: str, environment: dict[str, str]) -> str:
    """The text with the test's bucket and day."""
    return text.replace(BUCKET, environment["BUCKET"]).replace(DAY, environment["YESTERDAY"])


@pytest.mark.slow
def test_the_python_of_every_page_runs(environment: dict[str, str], tmp_path: Path):
    """In one process, since the Prefect server that it starts takes longest."""
    code = [(page.name, block.line, placed(block.body, environment)) for page in PAGES for block in blocks(page, "python")]
    code.insert(0, ("blocks", 1, SAVE_BLOCKS))
    done = subprocess.run([sys.executable, "-c", RUN_PYTHON], input=json.dumps(code), env=environment, cwd=tmp_path,
                          capture_output=True, text=True, check=False, timeout=480)
    assert done.returncode == 0, done.stderr[-4000:]


def run_console(page: Path, block: Block, environment: dict[str, str], folder: Path) -> None:
    """One shell for the block."""
    asked = commands(block)
    script = "".join(f"(exit $said); {placed(command.text, environment)}\nsaid=$?\nprintf '{MARK}%s\\n' $said\n"
                     for command in asked)
    done = subprocess.run(["bash", "-c", f"said=0\n{script}"], env=environment, cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=480)
    outputs: list[tuple[str, int]] = []
    rest = done.stdout
    for _ in asked:
        printed, _, rest = rest.partition(MARK)
        code, _, rest = rest.partition("\n")
        outputs.append((printed, int(code)))
    for place, (command, (printed, code)) in enumerate(zip(asked, outputs, strict=True)):
        where = f"{page.name}, line {block.line}: {command.text}"
        status_is_shown = place + 1 < len(asked) and asked[place + 1].text == "echo $?"
        assert status_is_shown or code == 0, f"{where}\n{printed}"
        expected = [placed(line, environment) for line in command.expected]
        assert matches(expected, printed), f"{where}\n{printed}\n--- is not ---\n" + "\n".join(expected)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")], ids=lambda page: page.name)
def test_the_consoles_of_a_page_print_what_it_shows(page: Path, environment: dict[str, str], tmp_path: Path):
    for block in blocks(page, "console"):
        run_console(page, block, environment, tmp_path)


@pytest.mark.parametrize(("shown", "printed", "same"), [
    ([], "anything", True),
    (["3 days, ... rows"], "3 days, 1,234 rows  \n", True),
    (["3 days, ... rows"], "4 days, 1,234 rows\n", False),
    (["a", "...", "z"], "a\nb\nc\nz\n", True),
    (["a", "z"], "a\nb\nz\n", False),
    (["a"], "a\nmore\n", False),
])
def test_a_console_that_prints_something_else_is_noticed(shown: list[str], printed: str, same: bool):
    assert matches(shown, printed) is same


def test_every_link_between_pages_leads_somewhere():
    pages = [*PAGES, *ROOT.glob("*.md")]
    broken = [f"{page.name}: {path.name}#{anchor}" for page in pages for path, anchor in links(page)
              if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path))]
    assert not broken


def test_the_reference_is_what_the_docstrings_say():
    command = [sys.executable, str(ROOT / "docs" / "reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\nRun `make reference`."


def test_the_reference_lists_every_name_that_a_page_imports_and_every_offered_one():
    """What it does not list is no public name, it says."""
    contents = runpy.run_path(str(ROOT / "docs" / "reference.py"))["CONTENTS"]
    listed = {(module, name) for _, module, names in contents for name in names}
    offered = [f"prefect_deepset.{room}" for room in ("blocks", "tasks", "flows", "testing")]
    named = {(module, name) for module in offered for name in import_module(module).__all__}
    for page in [*PAGES, ROOT / "README.md"]:
        for block in blocks(page, "python"):
            named |= {(node.module, one.name) for node in ast.walk(ast.parse(block.body)) if isinstance(node, ast.ImportFrom)
                      and (node.module or "").startswith("prefect_deepset") for one in node.names}
    assert ("prefect_deepset.testing", "even_day") in named
    assert not named - listed


def test_the_page_on_unknowns_has_every_question_of_the_probe():
    text = (ROOT / "docs" / "unknowns.md").read_text()
    assert not [name for name in QUESTIONS if f"`{name}`" not in text]
