"""`prefect-deepset setup`: an empty server becomes one that archives, and doing it again changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.core import Block
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_aws import AwsCredentials, MinIOCredentials
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.cli.main import main
from prefect_deepset.cli.setup_blocks import credentials_from, save_credentials
from prefect_deepset.cli.setup_deployments import find_file, pools_of, read_file

from .live_server import LiveServer

pytestmark = pytest.mark.slow  # a server that really runs

KEY, SECRET, TOKEN = "api_key-canary-1", "secret-canary-2", "token-canary-3"
NAMES = ("DEEPSET_", "API_", "DEFAULT_WORKSPACE", "AWS_", "MINIO_")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user has in a shell before."""
    for name in list(os.environ):
        if name.startswith(NAMES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_prefect: Path) -> Iterator[LiveServer]:
    """An empty one."""
    server = LiveServer(tmp_path_factory.mktemp("empty-server"), empty_prefect)
    yield server
    server.stop()


def everything(server: LiveServer) -> dict[str, Any]:
    """What setup makes, by id, but for the moments at which it was touched."""
    with server.client() as client:
        deployments = [(str(one.name), one.id, [(saved.schedule, saved.active) for saved in one.schedules], one.parameters,
                        one.global_concurrency_limit and one.global_concurrency_limit.limit, one.tags)
                       for one in client.read_deployments()]
        return {
            "pools": [(pool.name, pool.id, pool.type) for pool in client.read_work_pools()],
            "types": sorted((kind.slug, str(kind.id)) for kind in client.read_block_types()),
            "blocks": [(str(one.block_type_name), one.name, one.id, one.data) for one in client.read_block_documents()],
            "deployments": sorted(deployments),
            "automations": sorted((one.name, str(one.id), one.enabled, str(one.trigger), str(one.actions))
                                  for one in client.read_automations()),
        }


def test_an_empty_server_is_set_up_and_again_without_doubling_or_undoing_anything(
        server: LiveServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DEEPSET_API_KEY", KEY)
    monkeypatch.setenv("DEEPSET_WORKSPACE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with server.settings():
        assert main(["setup", "--bucket", "my-logs", "--prefix", "deepset"]) == 0
        first = capsys.readouterr()
        assert DeepsetCredentials.load("default").api_key.get_secret_value() == KEY
        archive = LogArchive.load("default")
        assert (archive.bucket, archive.prefix, archive.credentials.region_name) == ("my-logs", "deepset", "eu-central-1")
    before = everything(server)
    assert [name for name, _, kind in before["pools"] if kind == "process"] == ["deepset"]
    assert {name for name, *_ in before["deployments"]} >= {"archive-daily-logs", "backfill-logs", "verify-archive"}
    assert {parameters["workspace"] for _, _, _, parameters, _, _ in before["deployments"]} == {"production"}
    assert len(before["automations"]) >= 1
    assert "created    deployment archive-daily-logs/archive-daily-logs" in first.out

    change_in_ui(server)
    changed = everything(server)
    assert changed != before
    for name in ("DEEPSET_API_KEY", "DEEPSET_WORKSPACE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with server.settings():
        assert main(["setup"]) == 0
    second = capsys.readouterr()
    assert "created" not in second.out
    assert "kept       deepset-credentials/default" in second.out
    assert everything(server) == changed
    for shown in (first, second):
        assert not any(secret in shown.out + shown.err for secret in (KEY, SECRET))


def change_in_ui(server: LiveServer) -> None:
    """A schedule is paused, a threshold raised, an automation switched off, a block's field filled in."""
    with server.client() as client:
        deployment = client.read_deployment_by_name("archive-daily-logs/archive-daily-logs")
        client.update_deployment(deployment.id, DeploymentUpdate(parameters={**deployment.parameters, "error_threshold": 7}))
        (schedule,) = deployment.schedules
        client._client.patch(f"/deployments/{deployment.id}/schedules/{schedule.id}",
                             json=DeploymentScheduleUpdate(active=False).model_dump(mode="json", exclude_unset=True))
        client.pause_automation(client.read_automations()[0].id)
        archive: LogArchive = Block.load("deepset-log-archive/default")  # type: ignore[assignment]
        archive.tags = {"team": "platform"}
        archive.save("default", overwrite=True)


def test_a_new_key_replaces_the_old_one_and_the_url_that_was_saved_stays(server: LiveServer):
    with server.settings():
        saved = save_credentials("us", {"API_KEY": "api_old", "API_URL": "https://api.us.deepset.ai"})
        assert (saved.what, saved.note) == ("saved", "key from API_KEY")
        assert save_credentials("us", {"DEEPSET_API_KEY": "api_new"}).what == "updated"
        block = DeepsetCredentials.load("us")
    assert (block.api_key.get_secret_value(), block.base_url) == ("api_new", "https://api.us.deepset.ai")


def test_temporary_keys_are_not_saved_and_what_to_do_instead_is_said(
        server: LiveServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "prefect.yaml").write_text("deployments: []\n")
    setup = ["setup", "--block", "short", "--bucket", "my-logs", "--file", str(tmp_path / "prefect.yaml")]
    monkeypatch.setenv("DEEPSET_API_KEY", KEY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    with server.settings():
        assert main(setup) == 2
        said = " ".join(capsys.readouterr().out.split())
        assert "missing deepset-log-archive/short (AWS_SESSION_TOKEN marks temporary keys" in said
        assert "Ready" not in said
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.delenv("AWS_SESSION_TOKEN")
        assert main(setup) == 0
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
        assert main([*setup, "--prefix", "new"]) == 0  # what was saved before goes on working
        archive = LogArchive.load("short")
    assert "AWS_SESSION_TOKEN" in capsys.readouterr().out
    assert (archive.prefix, archive.credentials.aws_access_key_id) == ("new", "AKIAEXAMPLE")
    assert TOKEN not in str(everything(server))


def test_what_is_not_in_the_environment_is_named_and_the_rest_is_set_up(server: LiveServer, capsys: pytest.CaptureFixture[str],
                                                                        tmp_path: Path):
    (tmp_path / "prefect.yaml").write_text("deployments: []\n")
    with server.settings():
        assert main(["setup", "--block", "other", "--file", str(tmp_path / "prefect.yaml")]) == 2
    said = capsys.readouterr().out
    assert "set DEEPSET_API_KEY" in said
    assert "DEEPSET_ARCHIVE_BUCKET" in said


@pytest.mark.parametrize(("arguments", "said"), [
    (["--notify", "slack-webhook/nobody"], "no block 'slack-webhook/nobody'"),
    (["--bucket", "s3://logs"], "without s3://"),
    (["--file", "nowhere.yaml"], "no nowhere.yaml"),
    (["--block", "Bad Name/x"], "--block is 'Bad Name/x'"),
])
def test_what_cannot_be_is_said_in_one_line(server: LiveServer, arguments: list[str], said: str,
                                            capsys: pytest.CaptureFixture[str]):
    with server.settings():
        assert main(["setup", *arguments]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(("url", "said"), [(None, "No Prefect server is set"), ("http://127.0.0.1:9/api", "does not answer")])
def test_without_a_server_nothing_is_done(url: str | None, said: str, capsys: pytest.CaptureFixture[str]):
    with temporary_settings({PREFECT_API_URL: url}):
        assert main(["setup", "--bucket", "logs"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_credentials_come_from_the_names_that_other_tools_read():
    assert credentials_from({}) is None
    minio, note = credentials_from({"MINIO_ROOT_USER": "admin", "MINIO_ROOT_PASSWORD": SECRET,
                                    "AWS_ENDPOINT_URL": "http://minio:9000"}) or (None, "")
    assert isinstance(minio, MinIOCredentials)
    assert minio.aws_client_parameters.endpoint_url == "http://minio:9000"
    assert SECRET not in note
    profile, note = credentials_from({"AWS_PROFILE": "logs"}) or (None, "")
    assert isinstance(profile, AwsCredentials)
    assert (profile.profile_name, note) == ("logs", "credentials from AWS_PROFILE")


def test_a_store_whose_address_is_no_url_is_refused():
    with pytest.raises(InvalidInputError, match="AWS_ENDPOINT_URL is no URL"):
        credentials_from({"AWS_ENDPOINT_URL": "not a url"})


def test_deployments_that_are_only_text_are_refused(tmp_path: Path):
    file = tmp_path / "prefect.yaml"
    file.write_text("deployments: [abc]\n")
    with pytest.raises(InvalidInputError, match="no mappings"):
        read_file(file, "deployments")


@pytest.mark.parametrize(("changes", "said"), [
    ({"work_pool": None}, r"Deployment 2 of the file \(b\) has no work_pool.name\."),
    ({"name": None, "entrypoint": 7}, r"\(without a name\) has no name and no entrypoint\.")])
def test_a_deployment_that_lacks_something_is_refused_and_it_is_named(changes: dict[str, Any], said: str):
    entries = [{"name": name, "entrypoint": "m:f", "work_pool": {"name": "pool"}} for name in "ab"]
    assert pools_of({"deployments": entries}) == ["pool"]
    with pytest.raises(InvalidInputError, match=said):
        pools_of({"deployments": [entries[0], entries[1] | changes]})


def test_the_deployments_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert find_file(None).is_file()
