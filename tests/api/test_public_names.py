"""What `prefect_deepset.api` offers by itself, without Prefect."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_the_client_comes_from_the_api_without_prefect_or_boto3():
    code = ("import sys; from prefect_deepset.api import DeepsetClient, DeepsetError, PipelineLog, LogCounts; "
            "assert DeepsetClient.__name__ == 'DeepsetClient'; assert not {'prefect', 'boto3', 'botocore'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_errors_need_no_http_client():
    code = "import sys, prefect_deepset.api.errors; assert not {'httpx', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error():
    import prefect_deepset.api

    with pytest.raises(AttributeError, match="Nothing"):
        _ = prefect_deepset.api.Nothing
