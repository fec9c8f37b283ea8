"""What holds for the tree as a whole: who may import whom, how long a file gets, what must not be named, what is shipped."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Each room and the rooms it may import; nothing imports upwards.
BELOW: dict[str, set[str]] = {
    "testing": set(),
    "api": set(),
    "archive": {"api"},
    "alerts": {"api", "archive"},
    "blocks": {"api", "archive", "alerts"},
    "tasks": {"api", "archive", "alerts", "blocks"},
    "flows": {"api", "archive", "alerts", "blocks", "tasks"},
    "cli": {"api", "archive", "alerts", "blocks", "tasks", "flows"},
    "demo": {"api", "archive", "alerts", "blocks", "tasks", "flows", "testing"},
}
PREFECT = {"prefect", "prefect_aws", "prefect_dask"}
S3 = {"boto3", "botocore"}
FORBIDDEN: dict[str, set[str]] = {"api": PREFECT | S3, "archive": PREFECT, "alerts": PREFECT}
MAX_LINES = 400


def tracked_files() -> list[Path]:
    """Every file that is, or is about to be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git clone")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def imports(path: Path) -> Iterator[tuple[int, str, bool]]:
    """(line, absolute dotted name, whether at module level) of every import in one of the rooms' modules."""
    package = ["prefect_deepset", *path.relative_to(ROOT).parent.parts]
    tree = ast.parse(path.read_text())
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name, id(node) in at_top) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            target = f"{base}.{node.module}".strip(".") if node.module else base
            if target == "prefect_deepset":
                yield from ((node.lineno, f"{target}.{name.name}", id(node) in at_top) for name in node.names)
            else:
                yield node.lineno, target, id(node) in at_top


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_imports_only_what_lies_below_it(room: str):
    wrong: list[str] = []
    for path in sorted((ROOT / room).rglob("*.py")):
        for line, name, at_top in imports(path):
            first, *rest = name.split(".")
            if first == "prefect_deepset":
                bad = not rest or rest[0] not in BELOW[room] | {room}
            elif room == "testing":
                bad = at_top and first not in sys.stdlib_module_names
            else:
                bad = first in FORBIDDEN.get(room, set())
            if bad:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong


@pytest.mark.parametrize("room", sorted(BELOW))
def test_rooms_import_each_other_relatively(room: str):
    """Editors and type checkers follow that without an installation."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("prefect_deepset")
    ]
    assert not wrong


def test_every_room_is_shipped_typed_and_known_to_pyproject_and_makefile():
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    packages = set(PROJECT["tool"]["setuptools"]["packages"])
    for room in BELOW:
        assert (ROOT / room / "py.typed").is_file()
        for init in (ROOT / room).rglob("__init__.py"):
            folder = init.parent.relative_to(ROOT)
            name = ".".join(["prefect_deepset", *folder.parts])
            assert name in packages, f"{folder} is missing from tool.setuptools.packages"
    assert folders == {f"prefect_deepset.{room}": room for room in BELOW}
    rooms = re.search(r"^ROOMS\s*:=\s*(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rooms
    assert set(rooms[1].split()) == set(BELOW)


def test_no_module_is_longer_than_one_can_read():
    too_long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked_files()
        if path.suffix == ".py" and (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert not too_long


def test_no_module_is_named_after_nothing():
    vague = {"utils", "helpers", "misc", "common", "util", "helper"}
    assert not [str(path.relative_to(ROOT)) for path in tracked_files() if path.stem in vague]


def test_the_tree_names_no_registry_and_no_path_of_a_machine():
    folders = "home|mnt|opt|root|srv|Users"
    registries = [f"{name}.org" for name in ("pypi", "pythonhosted", "npmjs", "debian")]
    forbidden = re.compile(
        "|".join([
            *(rf"\b{re.escape(host)}\b" for host in registries),
            rf"(?:^|[^\w.])/(?:{folders})/\w",
            rf"file:/{{2,3}}(?:{folders})\b",
            rf"(?<![\w.]){re.escape(str(ROOT))}\b",  # wherever it lies
            r"--(?:extra-)?index-url|--find-links",
        ])
    )
    found = []
    for path in tracked_files():
        if path == Path(__file__).resolve() or path.suffix in {".png", ".ico", ".parquet", ".gz", ".zst"}:
            continue
        if path.name == "Containerfile":  # its paths are those inside the image
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found


def test_no_lock_file_with_registry_hosts_is_tracked():
    names = {"uv.lock", "poetry.lock", "package-lock.json", "pylock.toml", "Pipfile.lock"}
    assert not [str(path.relative_to(ROOT)) for path in tracked_files() if path.name in names]


def test_prefect_finds_the_blocks_through_the_collections_entry_point():
    found = [entry for entry in entry_points(group="prefect.collections") if entry.name == "prefect_deepset"]
    assert [entry.value for entry in found] == ["prefect_deepset.blocks"]
    module = found[0].load()
    assert {"DeepsetCredentials", "LogArchive"} <= set(module.__all__)


def test_every_console_script_can_be_imported():
    scripts = PROJECT["project"].get("scripts", {})
    installed = {entry.name: entry for entry in entry_points(group="console_scripts")}
    for name, target in scripts.items():
        assert installed[name].value == target
        assert callable(installed[name].load())


def constraints() -> dict[str, Version]:
    """Name to pinned version."""
    pins: dict[str, Version] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        assert requirement.url is None, line
        pins[canonicalize_name(requirement.name)] = Version(pin.version)
    return pins


def test_constraints_pin_every_dependency_of_every_extra_to_a_version_pyproject_allows():
    pins = constraints()
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    wrong = []
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name == "prefect-deepset":
            continue
        if name not in pins:
            wrong.append(f"{name} is not in constraints.txt")
        elif not requirement.specifier.contains(pins[name], prereleases=True):
            wrong.append(f"{name} is pinned to {pins[name]}, pyproject asks for {requirement.specifier}")
    assert not wrong


def test_make_help_lists_every_target_a_person_would_call():
    text = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[1] for line in text.splitlines()}
    assert {"help", "demo", "test", "test-all", "lint", "types", "bench", "clean"} <= listed


def test_the_ci_run_is_executable():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment_without_extras(tmp_path: Path):
    """Built, installed with nothing of the development environment, and every module imported."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=400)
    (wheel,) = tmp_path.glob("prefect_deepset-*.whl")
    subprocess.run([*pip, "install", "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True, timeout=400)
    script = f"""
import importlib, pkgutil, sys
for room in {sorted(set(BELOW))!r}:
    package = importlib.import_module("prefect_deepset." + room)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.flows import archive_daily_logs
assert not {{"pyarrow", "pandas", "pytest", "duckdb"}} & set(sys.modules)
"""
    subprocess.run([str(python), "-I", "-c", script], check=True, cwd=tmp_path)
    for name in PROJECT["project"].get("scripts", {}):
        command = [str(tmp_path / "venv" / "bin" / name), "--help"]
        assert name in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout


def test_the_global_random_may_move_while_an_example_is_drawn():
    """In a strategy here; in the suite, in threads of Prefect's."""
    @given(st.builds(random.random))
    def drawn(number: float) -> None:
        assert 0 <= number < 1

    drawn()
