"""The command line with saved blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prefect_aws import AwsClientParameters, AwsCredentials
from prefect_deepset.api.sources import LogSource
from prefect_deepset.blocks import DeepsetCredentials, LogArchive
from prefect_deepset.cli.main import main
from prefect_deepset.testing import FakeDeepset
from pydantic import SecretStr

from ..archive.built_archive import put_day
from ..archive.log_rows import plain_rows
from ..servers.ministack import S3Handle

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_saved_blocks_say_where_key_and_archive_are(s3: S3Handle, capfd: pytest.CaptureFixture[str]):
    """Signed manifests among it: the block knows the key, an older one."""
    store = s3.store(prefix="logs")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    put_day(store, LogSource("w", "chat"), yesterday, [[plain_rows(7, yesterday)]], key="signing-canary")
    credentials = AwsCredentials(
        aws_access_key_id=s3.access_key, aws_secret_access_key=SecretStr(s3.secret_key), region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=s3.endpoint_url))
    with FakeDeepset() as platform:
        platform.add_workspace("w")
        DeepsetCredentials(api_key=SecretStr(platform.api_key), base_url=platform.url).save("cli", overwrite=True)
        LogArchive(bucket=store.bucket, prefix="logs", credentials=credentials,
                   signing_key=SecretStr("the new one"),
                   older_signing_keys={"2025": "signing-canary"}).save("cli", overwrite=True)
        capfd.readouterr()
        assert main(["verify", "--block", "cli"]) == 0
        assert "1/1 manifests valid, 1/1 parts valid, 1 days, 7 rows: valid" in capfd.readouterr().out
        assert main(["cat", str(yesterday), "--block", "cli"]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 7
        assert main(["check", "--block", "cli"]) == 0
        out = capfd.readouterr().out
    assert "takes the key of block deepset-credentials/cli; it sees w" in out
    assert f"ok      bucket: s3://{store.bucket}/logs" in out


@pytest.mark.parametrize("words", [["status"], ["check"]])
def test_a_block_that_does_not_exist_is_a_setting(words: list[str], capfd: pytest.CaptureFixture[str]):
    assert main([*words, "--block", "no-such-block"]) == 2
    assert "/no-such-block cannot be loaded." in "".join(capfd.readouterr())
