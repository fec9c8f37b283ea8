"""Base URLs and names in paths."""

from __future__ import annotations

import pytest
from prefect_deepset.api.errors import InvalidInputError
from prefect_deepset.api.urls import check_name, parse_base_url


@pytest.mark.parametrize("text", [
    "https://api.cloud.deepset.ai", "https://api.cloud.deepset.ai/", "https://api.cloud.deepset.ai/api", "https://api.cloud.deepset.ai/api/",
    "https://api.cloud.deepset.ai/api/v1", "https://api.cloud.deepset.ai/api/v1/", " https://API.cloud.deepset.ai:443/api/v1\n",
    "api.cloud.deepset.ai", "api.cloud.deepset.ai/api/v1/", "https://api.cloud.deepset.ai./", "HTTPS://api.cloud.deepset.ai//api//v1//",
])
def test_all_shapes_of_the_url_mean_the_same(text: str) -> None:
    url = parse_base_url(text)
    assert url.root == "https://api.cloud.deepset.ai/api/v1"
    assert url.host == url.hostname == "api.cloud.deepset.ai"


@pytest.mark.parametrize(("text", "root", "host"), [
    ("http://127.0.0.1:8123", "http://127.0.0.1:8123/api/v1", "127.0.0.1:8123"),
    ("http://localhost/api", "http://localhost/api/v1", "localhost"),
    ("http://[::1]:99/", "http://[::1]:99/api/v1", "[::1]:99"),
    ("https://deepset/api", "https://deepset/api/v1", "deepset"),
    ("https://[fe80::1]", "https://[fe80::1]/api/v1", "[fe80::1]"),
    ("https://llm.example.com:8443/deepset/api/v1/", "https://llm.example.com:8443/deepset/api/v1", "llm.example.com:8443"),
])
def test_hosts_of_ones_own_keep_port_and_path(text: str, root: str, host: str) -> None:
    url = parse_base_url(text)
    assert (url.root, url.host) == (root, host)


@pytest.mark.parametrize("text", [
    "http://api.us.deepset.ai", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1/api/v1",
])
def test_plain_http_is_refused_except_for_this_machine(text: str) -> None:
    with pytest.raises(InvalidInputError, match="plain http"):
        parse_base_url(text)


@pytest.mark.parametrize("text", [
    "", "  ", "ftp://host", "https://", "https:///api", "https://user:secret@host", "https://host?x=1", "https://host/#f", "https://host:port",
    "https://host:99999", "https://ho st", "https://hö.example", "https://host/api/v2", "https://host/../api/v1",
    "https://host\x00", "file:///etc",
    "https://[::1", "https://a,b", "https://a..b", "https://a_secret.example.com", f"https://{'secret' * 11}.example.com",
    "secret", None, 5,
])
def test_what_is_no_base_url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_base_url(text)
    assert "secret" not in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("text", [
    "api_secret", "api_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2VjcmV0", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2VjcmV0",
    "https://api_secret", "http://eyjhbgcioijiuzi1nij9.eyjzdwiioijtzsj9.c2vjcmv0",
    "https://api.cloud.deepset.ai/api_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2VjcmV0",
])
def test_a_key_in_the_place_of_the_url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInputError, match="looks like an API key") as caught:
        parse_base_url(text)
    assert not any(piece in str(caught.value).lower() for piece in ("secret", "eyj", "c2v"))


@pytest.mark.parametrize("name", ["", ".", "..", " ", "\ud800", None, 7])
def test_names_that_a_path_would_swallow_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_name(name, "workspace")


@pytest.mark.parametrize("name", ["a", "a/b", "ü €", "%2e", "...", "a?b#c", "a\tb"])
def test_any_other_name_passes_as_it_is(name: str) -> None:
    assert check_name(name, "pipeline") == name
