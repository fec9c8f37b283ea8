"""The block that holds a deepset API key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from prefect.blocks.abstract import CredentialsBlock
from pydantic import ConfigDict, Field, HttpUrl, SecretStr, field_validator, model_validator

from ..api.client import DeepsetClient
from ..api.connection import READ_TIMEOUT
from ..api.credentials import clean_key, expiry
from ..api.urls import DEFAULT_BASE_URL, parse_base_url
from .form_fields import may_stay_empty

WARN_BEFORE = timedelta(days=7)
"""A key with less time than this left is warned of on every run."""


class DeepsetCredentials(CredentialsBlock):
    """The API key of a deepset (Haystack Enterprise Platform) organization, and where its API is.

    Example:
        Load a saved block and list the pipelines of a workspace:
        ```python
        from prefect_deepset.blocks import DeepsetCredentials

        credentials = DeepsetCredentials.load("BLOCK_NAME")
        with credentials.get_client() as client:
            print([pipeline.name for pipeline in client.pipelines("my-workspace")])
        ```
    """

    # pydantic would otherwise print a rejected key in its error.
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "deepset Credentials"
    _block_type_slug = "deepset-credentials"
    _logo_url = HttpUrl("https://avatars.githubusercontent.com/u/51827949?s=200&v=4")
    _documentation_url = HttpUrl("https://docs.cloud.deepset.ai")

    api_key: SecretStr = Field(
        title="API Key",
        description="An API key of the deepset platform, as shown once when it is created (Settings > API keys).",
    )
    base_url: str = Field(
        default=DEFAULT_BASE_URL,
        title="API URL",
        description="Where the API is: https://api.cloud.deepset.ai (EU), https://api.us.deepset.ai (US), or your own host.",
    )

    concurrency_limit: str | None = Field(
        default=None,
        title="Global Concurrency Limit",
        json_schema_extra=may_stay_empty,
        description="A global concurrency limit (or rate limit) of Prefect that each request takes a slot of. It must exist; "
        "empty for none.",
    )

    @field_validator("concurrency_limit")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return (value or "").strip() or None

    @model_validator(mode="before")
    @classmethod
    def _wrap_key(cls, values: Any) -> Any:
        # Before anything else is checked: whatever error follows, its input is a SecretStr and shows as asterisks.
        if isinstance(values, dict) and isinstance(values.get("api_key"), str):
            return {**values, "api_key": SecretStr(values["api_key"])}
        return values

    @field_validator("api_key")
    @classmethod
    def _clean_key(cls, value: SecretStr) -> SecretStr:
        return SecretStr(clean_key(value))

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parse_base_url(value)
        return value.strip()

    def get_client(self, read_timeout: float = READ_TIMEOUT,
                   gate: Callable[[], AbstractContextManager[object]] | None = None) -> DeepsetClient:
        """A new client; use it as a context manager. It is thread-safe, and never a field: it does not pickle.

        Args:
            read_timeout: seconds without a byte after which a request is given up; a whole JSON answer may take four times
                as long.
            gate: entered around every request. The tasks give one that waits for the limit above.
        """
        return DeepsetClient(self.api_key, self.base_url, read_timeout=read_timeout, gate=gate)

    def expires_at(self) -> datetime | None:
        """When the key expires (UTC), or None where the key does not say."""
        return expiry(self.api_key)

    def expiry_warning(self, now: datetime | None = None) -> str | None:
        """One sentence when the key has expired or has less than seven days left, otherwise None."""
        expires = self.expires_at()
        if expires is None:
            return None
        left = expires - (now or datetime.now(UTC))
        advice = "Create a new key in deepset (Settings > API keys) and put it into the deepset-credentials block."
        if left <= timedelta(0):
            return f"The deepset API key expired on {expires:%Y-%m-%d %H:%M} UTC. {advice}"
        if left < WARN_BEFORE:
            return f"The deepset API key expires in {_duration(left)}, on {expires:%Y-%m-%d %H:%M} UTC. {advice}"
        return None

    def check(self) -> list[str]:
        """Asks the API whether the key is good: the names of the workspaces it sees.

        Raises:
            DeepsetError: when it is not, or the API cannot be reached; the message says what to fix.
        """
        with self.get_client() as client:
            return [workspace.name for workspace in client.workspaces()]


def _duration(left: timedelta) -> str:
    days, hours = left.days, left.seconds // 3600
    if days:
        return f"{days} day{'s' if days != 1 else ''}"
    return f"{hours} hour{'s' if hours != 1 else ''}" if hours else "less than an hour"
