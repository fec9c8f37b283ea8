"""Settings from the environment."""

from __future__ import annotations

import pytest
from prefect_deepset.api.environment import settings_from_environment
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.urls import DEFAULT_BASE_URL

ALL = {"DEEPSET_API_KEY": "api_a", "DEEPSET_API_URL": "https://a.example", "DEEPSET_WORKSPACE": "wa", "API_KEY": "api_b",
       "API_URL": "https://b.example", "DEFAULT_WORKSPACE_NAME": "wb", "DEEPSET_CLOUD_API_KEY": "api_c"}


@pytest.mark.parametrize(("without", "key", "url", "workspace"), [
    ([], "api_a", "https://a.example", "wa"),
    (["DEEPSET_API_KEY", "DEEPSET_API_URL", "DEEPSET_WORKSPACE"], "api_b", "https://b.example", "wb"),
    (["DEEPSET_API_KEY", "API_KEY", "DEEPSET_WORKSPACE"], "api_c", "https://a.example", "wb"),
    ([name for name in ALL if name not in {"API_URL", "DEEPSET_CLOUD_API_KEY"}], "api_c", DEFAULT_BASE_URL, None),
])
def test_the_first_name_that_holds_something_counts(without: list[str], key: str, url: str, workspace: str | None) -> None:
    environ = {name: " " if name in without else f" {value}\n" for name, value in ALL.items()}
    settings = settings_from_environment(environ)
    assert (settings.api_key, settings.base_url, settings.workspace) == (key, url, workspace)
    assert ALL[settings.key_name] == key


def test_a_key_never_goes_to_a_host_that_was_meant_for_another_one() -> None:
    assert settings_from_environment({"DEEPSET_API_KEY": "api_a", "API_URL": "https://b.example"}).base_url == DEFAULT_BASE_URL
    assert settings_from_environment({"API_KEY": "api_b", "API_URL": "https://b.example"}).base_url == "https://b.example"


def test_settings_make_a_client_and_do_not_show_the_key() -> None:
    settings = settings_from_environment({"API_KEY": "api_b", "API_URL": "https://b.example/api"})
    assert "api_b" not in repr(settings)
    with settings.client() as client:
        assert client.host == "b.example"


def test_no_key_and_a_bad_key_are_named_by_their_variables() -> None:
    with pytest.raises(InvalidInputError, match="DEEPSET_API_KEY"):
        settings_from_environment({"DEEPSET_API_KEY": "  "})
    with pytest.raises(InvalidInputError, match="environment variable API_KEY") as caught:
        settings_from_environment({"API_KEY": "api_ä"})
    assert "api_ä" not in str(caught.value)


def test_the_process_s_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSET_API_KEY", "api_env")
    assert settings_from_environment().api_key == "api_env"
