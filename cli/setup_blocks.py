"""The blocks that the deployments name: their types registered, their documents saved from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from prefect.blocks.core import Block
from prefect_aws import AwsClientParameters, AwsCredentials, MinIOCredentials
from pydantic import SecretStr, ValidationError

from ..api.environment import settings_from_environment
from ..api.errors import InvalidInputError
from ..api.urls import DEFAULT_BASE_URL
from ..blocks import AlertRules, DeepsetCredentials, LogArchive

KEY_NAMES = ("DEEPSET_API_KEY", "API_KEY", "DEEPSET_CLOUD_API_KEY")
BUCKET_NAME, PREFIX_NAME = "DEEPSET_ARCHIVE_BUCKET", "DEEPSET_ARCHIVE_PREFIX"

What = Literal["saved", "updated", "kept", "missing"]


class Saved(NamedTuple):
    """What became of one block document."""

    slug: str
    what: What
    """``kept``: it is there, and the environment says nothing new of it. ``missing``: it is not, and it says nothing either."""
    note: str = ""
    """One sentence: where the values are from, or what to set."""


def workspace_of(environ: Mapping[str, str]) -> str | None:
    """The workspace that the environment names, or None."""
    names = ("DEEPSET_WORKSPACE", "DEFAULT_WORKSPACE_NAME")
    return next((value for name in names if (value := environ.get(name, "").strip())), None)


def check_block_name(name: str) -> None:
    """Raises `InvalidInputError` for what Prefect does not take as a block's name."""
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise InvalidInputError(f"--block is {name!r}.", "Give lower-case letters, digits and dashes, such as my-logs.")


def register_blocks() -> list[str]:
    """Makes the server know the block types, so that their forms can be filled in; their slugs."""
    kinds: list[type[Block]] = [DeepsetCredentials, LogArchive, AlertRules, AwsCredentials, MinIOCredentials]
    for kind in kinds:
        kind.register_type_and_schema()
    return [kind.get_block_type_slug() for kind in kinds]


def save_credentials(name: str, environ: Mapping[str, str]) -> Saved:
    """Saves `deepset-credentials/<name>` from the environment's key and URL. A URL that it does not name stays as it was saved.

    Raises:
        InvalidInputError: a key or a URL that cannot be used; neither is shown.
    """
    slug = f"deepset-credentials/{name}"
    existing = _load(DeepsetCredentials, name)
    if not any(environ.get(key, "").strip() for key in KEY_NAMES):
        return Saved(slug, "kept") if existing else Saved(slug, "missing", "set DEEPSET_API_KEY, or fill in its form in the UI")
    settings = settings_from_environment(environ)
    base_url = settings.base_url
    if existing and base_url == DEFAULT_BASE_URL and not environ.get("DEEPSET_API_URL", "").strip():
        base_url = existing.base_url
    return _save(DeepsetCredentials, name, {"api_key": settings.api_key, "base_url": base_url}, f"key from {settings.key_name}",
                 update=existing is not None)


def save_archive(name: str, environ: Mapping[str, str], bucket: str | None = None, prefix: str | None = None) -> Saved:
    """Saves `deepset-log-archive/<name>`. What is not given, here or in the environment, stays as it was saved.

    Args:
        name: the document's.
        environ: ``DEEPSET_ARCHIVE_BUCKET`` and ``_PREFIX``, and the names that AWS's and MinIO's own tools read.
        bucket, prefix: instead of the environment's.

    Raises:
        InvalidInputError: a bucket, a prefix or credentials that cannot be.
    """
    slug = f"deepset-log-archive/{name}"
    existing = _load(LogArchive, name)
    bucket = bucket or environ.get(BUCKET_NAME, "").strip() or (existing.bucket if existing else None)
    if bucket is None:
        return Saved(slug, "missing", f"give --bucket or set {BUCKET_NAME}, or fill in its form in the UI")
    temporary = _has_temporary_keys(environ)
    if temporary and not existing:
        return Saved(slug, "missing", _TEMPORARY)
    fields = {key: getattr(existing, key) for key in LogArchive.model_fields if key in _OWN_FIELDS} if existing else {}
    fields["bucket"] = bucket
    if (prefix := environ.get(PREFIX_NAME) if prefix is None else prefix) is not None:
        fields["prefix"] = prefix
    found = None if temporary else credentials_from(environ)
    if found is not None:
        fields["credentials"], note = found
    else:
        note = "AWS credentials as saved" if existing else "AWS credentials of the machine that runs the flow"
        note += f"; {_TEMPORARY}" if temporary else ""
    if not existing and _is_custom(environ):
        fields["addressing_style"] = "path"  # few S3-compatible stores answer to a bucket's name in the host
    return _save(LogArchive, name, fields, note, update=existing is not None)


_TEMPORARY = ("AWS_SESSION_TOKEN marks temporary keys, which expire and are not saved: set keys that last, or unset them all "
              "where the machine that runs the flow has a role of its own")

_OWN_FIELDS = frozenset(LogArchive.model_fields) - frozenset(Block.model_fields)


def credentials_from(environ: Mapping[str, str]) -> tuple[AwsCredentials | MinIOCredentials, str] | None:
    """The credentials block that the environment describes and the names it was made from; None where it names none."""
    found = {name: value.strip() for name, value in environ.items() if value.strip()}
    endpoint = _endpoint(found)
    region = found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION")
    parameters = AwsClientParameters(endpoint_url=endpoint) if endpoint else AwsClientParameters()
    user = found.get("MINIO_ROOT_USER")
    if user and "MINIO_ROOT_PASSWORD" in found and "AWS_ACCESS_KEY_ID" not in found:
        minio = MinIOCredentials(minio_root_user=user, minio_root_password=SecretStr(found["MINIO_ROOT_PASSWORD"]),
                                 region_name=region, aws_client_parameters=parameters)
        return minio, "credentials from MINIO_ROOT_USER"
    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
             "profile_name": "AWS_PROFILE"}
    given: dict[str, Any] = {field: found[name] for field, name in names.items() if name in found}
    if not given and not endpoint and not region:
        return None
    used = [name for name in names.values() if name in found and name != "AWS_SECRET_ACCESS_KEY"]
    note = f"credentials from {', '.join(used)}" if used else "AWS credentials of the machine that runs the flow"
    if "aws_secret_access_key" in given:
        given["aws_secret_access_key"] = SecretStr(given["aws_secret_access_key"])
    return AwsCredentials(**given, region_name=region, aws_client_parameters=parameters), note


def _has_temporary_keys(environ: Mapping[str, str]) -> bool:
    """Whether the keys expire. Prefect's API would also show their token to everybody: prefect-aws keeps it as plain text."""
    return all(environ.get(name, "").strip() for name in ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"))


def _endpoint(environ: Mapping[str, str]) -> str | None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := environ.get(name, "").strip():
            if not re.match(r"https?://[^\s/]+\S*$", url, re.IGNORECASE):
                raise InvalidInputError(f"{name} is no URL.", "Give one such as https://minio.example.com:9000.")
            return url
    return None


def _is_custom(environ: Mapping[str, str]) -> bool:
    endpoint = _endpoint(environ)
    return bool(endpoint) and not (urlsplit(endpoint).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _load(kind: type[Block], name: str) -> Any:
    try:
        return kind.load(name)
    except ValueError:  # what Prefect says when there is no such document
        return None


def _save(kind: type[Block], name: str, fields: Mapping[str, Any], note: str, *, update: bool) -> Saved:
    slug = f"{kind.get_block_type_slug()}/{name}"
    try:
        block = kind(**fields)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors(include_input=False))
        raise InvalidInputError(f"Block {slug} cannot be saved: {said}.",
                                "Correct what the environment or the options say.") from None
    block.save(name, overwrite=True)
    return Saved(slug, "updated" if update else "saved", note)
