"""The block that says where the archive is and how it is written."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import pydantic
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.types import SecretDict
from prefect_aws import AwsCredentials, MinIOCredentials
from pydantic import (
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_validator,
)

from ..archive.options import ArchiveOptions
from ..archive.redaction import RedactionPolicy
from ..archive.signing import Trust
from ..archive.store import S3Store, s3_config
from .form_fields import may_stay_empty
from .s3_session import make_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class LogArchive(Block):
    """A bucket in S3, or in a store that speaks S3, where the logs of each day are kept.

    Example:
        Load a saved block and see what is in the archive:
        ```python
        from prefect_deepset.blocks import LogArchive

        archive = LogArchive.load("BLOCK_NAME")
        for found in archive.get_store().list(archive.prefix):
            print(found.key, found.bytes)
        ```
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    _block_type_name = "deepset Log Archive"
    _block_type_slug = "deepset-log-archive"
    _logo_url = HttpUrl("https://cdn.sanity.io/images/3ugk85nk/production/d74b16fe84ce626345adf235a47008fea2869a60-225x225.png")
    _documentation_url = HttpUrl("https://docs.prefect.io/integrations/prefect-aws")

    bucket: str = Field(title="Bucket", description="The bucket's name; it must exist.")
    prefix: str = Field(default="", title="Prefix", description="The folder inside the bucket; empty for the bucket's root.")
    # Not in the repr: prefect-aws keeps a session token as plain text.
    credentials: AwsCredentials | MinIOCredentials = Field(
        default_factory=AwsCredentials,
        repr=False,
        title="Credentials",
        description="AWS or MinIO credentials of prefect-aws. An endpoint other than AWS goes into their client parameters.",
    )
    compression: Literal["gzip", "zstd"] = Field(
        default="gzip",
        title="Compression",
        description="How parts are compressed. Everything reads gzip; zstd is smaller, and faster to read.",
    )
    formats: list[Literal["jsonl", "csv", "parquet"]] = Field(
        default=["jsonl"],
        title="Formats",
        description="Formats to keep. JSON lines are always kept; csv and parquet can be had beside them.",
    )
    sse_kms_key_id: str | None = Field(
        default=None,
        title="KMS Key",
        json_schema_extra=may_stay_empty,
        description="ID or ARN of the KMS key to encrypt with (SSE-KMS); empty for the bucket's own setting.",
    )
    storage_class: str | None = Field(
        default=None,
        title="Storage Class",
        json_schema_extra=may_stay_empty,
        description="Storage class of the objects, such as STANDARD_IA; empty for the bucket's default. Classes that must be "
        "restored before reading (GLACIER, DEEP_ARCHIVE) are refused.",
    )
    tags: dict[str, str] = Field(
        default_factory=dict,
        title="Tags",
        description='Tags put on every object, at most ten, such as {"team": "search"}.',
    )
    expected_bucket_owner: str | None = Field(
        default=None,
        title="Expected Bucket Owner",
        json_schema_extra=may_stay_empty,
        description="The 12-digit AWS account the bucket must belong to; any other owner is an error.",
    )
    checksum_mode: Literal["when_required", "when_supported"] = Field(
        default="when_required",
        title="SDK Checksums",
        description="When the AWS SDK adds checksums of its own. Every part is sent with a SHA-256 in either case; some "
        "S3-compatible stores do not take more than that.",
    )
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        title="Addressing Style",
        description="How the bucket is named in URLs; many S3-compatible stores need path.",
    )

    @field_validator("credentials", mode="before")
    @classmethod
    def _choose_credentials(cls, value: Any) -> Any:
        # A saved block comes back as a dict; pydantic alone cannot tell which of the two it was.
        if not isinstance(value, dict):
            return value
        fields = {key: field for key, field in value.items() if key != "block_type_slug" and not key.startswith("_")}
        slug = value.get("block_type_slug")
        minio = slug == MinIOCredentials.get_block_type_slug() if slug else "minio_root_user" in fields
        return MinIOCredentials(**fields) if minio else AwsCredentials(**fields)

    redaction: RedactionPolicy | None = Field(
        default=None,
        title="Redaction",
        description="What is taken out of rows before they reach the disk or the bucket; empty to keep them as they came.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        title="Signing Key",
        json_schema_extra=may_stay_empty,
        description="Manifests are signed with this key (HMAC-SHA256), so that verification notices when one was replaced. "
        "A Secret block is taken too.",
    )

    older_signing_keys: SecretDict | None = Field(
        default=None,
        title="Older Signing Keys",
        json_schema_extra=may_stay_empty,
        description='Keys that manifests were signed with before, under any names, such as {"2025": "..."}; verification '
        "accepts them too.",
    )
    signed_since: date | None = Field(
        default=None,
        title="Signed Since",
        json_schema_extra=may_stay_empty,
        description="The first UTC day whose manifests must be signed, where signing was switched on later; empty for all.",
    )

    @field_validator("signing_key", mode="before")
    @classmethod
    def _take_secret_block(cls, value: Any) -> Any:
        if value is None or value == "":  # a form's field left empty
            return None
        # Not by its `get`, which makes a number of a key of digits. Text is wrapped, so that no error can show it.
        held = value.value if isinstance(value, Secret) else value
        found = held.get_secret_value() if isinstance(held, pydantic.Secret | SecretStr) else held
        return SecretStr(_clean_key(found, "signing_key")) if isinstance(found, str) else found

    @field_validator("older_signing_keys")
    @classmethod
    def _clean_older_keys(cls, value: SecretDict | None) -> SecretDict | None:
        if value is None:
            return None
        keys = value.get_secret_value().items()
        return SecretDict({name: _clean_key(key, f"{name!r} of older_signing_keys") for name, key in keys})

    @field_serializer("credentials", mode="wrap")
    def _hide_session_token(self, value: Any, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        # prefect-aws keeps it as plain text, and Prefect stores a flow's parameters where everybody can read them.
        dumped = handler(value)
        if isinstance(dumped, dict) and dumped.get("aws_session_token") and not (info.context or {}).get("include_secrets"):
            dumped["aws_session_token"] = "*" * 10
        return dumped

    @field_validator("bucket")
    @classmethod
    def _name_only(cls, value: str) -> str:
        if value.strip().startswith("s3://"):
            raise ValueError("give the bucket's name only, without s3://; a folder inside it goes into the prefix")
        return value.strip()

    @field_validator("prefix")
    @classmethod
    def _strip_prefix(cls, value: str) -> str:
        return value.strip().strip("/")

    @field_validator("formats")
    @classmethod
    def _always_jsonl(cls, value: list[str]) -> list[str]:
        return ["jsonl", *(name for name in ("csv", "parquet") if name in value)]

    @field_validator("storage_class")
    @classmethod
    def _readable_class(cls, value: str | None) -> str | None:
        if value in {"GLACIER", "DEEP_ARCHIVE"}:
            raise ValueError(f"{value} objects cannot be read back without restoring them, which verification and settling "
                             "need; use STANDARD_IA or GLACIER_IR, or a lifecycle rule that moves old days")
        return (value or "").strip() or None

    @field_validator("sse_kms_key_id", "expected_bucket_owner")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return (value or "").strip() or None

    @field_validator("tags")
    @classmethod
    def _few_tags(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 10:
            raise ValueError("S3 takes at most ten tags on an object")
        return value

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        self.get_store()  # asks nothing of anyone; the store knows what a bucket and a prefix may be
        return self

    def make_s3_client(self) -> S3Client:
        """A new boto3 client with this block's settings. An assumed role is refreshed before its session ends."""
        return make_client(self.credentials, s3_config(self.checksum_mode, self.addressing_style))

    def get_store(self) -> S3Store:
        """The store that the archive is written to and read from. It is thread-safe, and never a field: it does not pickle."""
        return S3Store(self.make_s3_client, self.bucket, self.prefix, tags=self.tags or None,
                       sse_kms_key_id=self.sse_kms_key_id, storage_class=self.storage_class,
                       expected_bucket_owner=self.expected_bucket_owner)

    def get_options(self) -> ArchiveOptions:
        """How a day is written, for the archive's core."""
        key = self.signing_key.get_secret_value().encode() if self.signing_key else None
        return ArchiveOptions(compression=self.compression, formats=tuple(self.formats), tool_version=_tool_version(),
                              redaction=self.redaction, signing_key=key)

    def get_trust(self) -> Trust | None:
        """What verification holds signatures against; None where manifests are not signed."""
        if self.signing_key is None:
            return None
        older = self.older_signing_keys.get_secret_value() if self.older_signing_keys else {}
        return Trust((self.signing_key.get_secret_value(), *older.values()), self.signed_since)

    def check(self) -> None:
        """Asks the store whether the archive can be written: the bucket is there, writable, and takes conditional writes.

        Raises:
            DeepsetError: when it cannot; the message says what to fix.
        """
        self.get_store().check()


def _clean_key(value: Any, name: str) -> str:
    """A signing key without what surrounds it, such as the line break at a file's end: one key, however it came here."""
    text = str(value.get_secret_value() if isinstance(value, SecretStr) else "" if value is None else value).strip()
    if not text:
        raise ValueError(f"{name} is empty: give a long random text, or leave it out")
    return text


@cache
def _tool_version() -> str:
    return f"prefect-deepset {version('prefect-deepset')}"
