"""The S3 server that the tests and the demo start."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from prefect_deepset.testing.s3_server import AccessKey, EmbeddedS3, find_ministack

from .servers.ministack import S3Handle


def test_objects_outlive_the_server(tmp_path: Path):
    with EmbeddedS3(tmp_path) as server:
        server.create_bucket("kept")
        server.client().put_object(Bucket="kept", Key="a/b", Body=b"rows")
    with EmbeddedS3(tmp_path) as server:
        assert server.client().get_object(Bucket="kept", Key="a/b")["Body"].read() == b"rows"


def test_without_a_directory_nothing_is_left_behind():
    with EmbeddedS3() as server:
        directory, address = server.directory, server.endpoint_url.removeprefix("http://").split(":")
        assert directory.is_dir()
    assert not directory.exists()
    with socket.socket() as probe:
        assert probe.connect_ex((address[0], int(address[1]))) != 0
    server.stop()  # a second time does no harm


def test_a_port_that_is_taken_is_an_error_that_shows_the_servers_log(tmp_path: Path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        server = EmbeddedS3(tmp_path, port=held.getsockname()[1])
        with pytest.raises(RuntimeError, match=r"(?s)did not start.*in use"):
            server.start()


def test_two_servers_run_side_by_side_and_know_only_their_own_keys(s3: S3Handle):
    with EmbeddedS3() as other:
        assert other.endpoint_url != s3.endpoint_url
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            s3.client(AccessKey(other.access_key, other.secret_key)).list_buckets()


def test_the_secret_is_checked_and_not_shown(s3: S3Handle):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3.client(AccessKey(s3.access_key, "wrong")).list_buckets()
    assert s3.secret_key not in repr(s3.server)


def test_a_missing_server_says_how_to_get_it(tmp_path: Path):
    kept = os.environ.get("PREFECT_DEEPSET_S3_VENV")
    os.environ["PREFECT_DEEPSET_S3_VENV"] = str(tmp_path)
    try:
        with pytest.raises(FileNotFoundError, match=r"make .venv-s3/.installed.*PREFECT_DEEPSET_S3_VENV"):
            find_ministack()
    finally:
        if kept is None:
            del os.environ["PREFECT_DEEPSET_S3_VENV"]
        else:
            os.environ["PREFECT_DEEPSET_S3_VENV"] = kept
