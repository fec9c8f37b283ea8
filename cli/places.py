"""Where the key, the API and the archive are: options, the environment, or saved Prefect blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from ..api.errors import ApiError, DeepsetError, InvalidInputError

if TYPE_CHECKING:
    from ..api.client import DeepsetClient
    from ..api.sources import LogSource
    from ..archive.signing import Trust
    from ..archive.store import S3Store

_BUCKET, _PREFIX = "DEEPSET_ARCHIVE_BUCKET", "DEEPSET_ARCHIVE_PREFIX"


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Options that say where the archive is."""

    bucket: Annotated[str | None, Parameter(help="The archive's bucket. Credentials and region come from where the AWS tools "
                                                 f"find them: environment, profile, role. [env: {_BUCKET}]")] = None
    prefix: Annotated[str | None, Parameter(help=f"The archive's folder in the bucket. [env: {_PREFIX}]")] = None
    endpoint_url: Annotated[str | None, Parameter(help="An S3-compatible store's address; AWS_ENDPOINT_URL works too.")] = None
    block: Annotated[str | None, Parameter(help="The name of saved Prefect blocks (deepset-log-archive/NAME, "
                                                "deepset-credentials/NAME) to use instead of options and environment.")] = None

    @property
    def names_archive(self) -> bool:
        """Whether the options or the environment name one."""
        return self.block is not None or self._bucket_and_prefix[0] is not None

    @property
    def _bucket_and_prefix(self) -> tuple[str | None, str]:
        """What is given counts; the environment's prefix goes with the environment's bucket only."""
        if self.bucket is not None:
            return self.bucket, self.prefix or ""
        prefix = self.prefix if self.prefix is not None else os.environ.get(_PREFIX, "")
        return os.environ.get(_BUCKET, "").strip() or None, prefix.strip()

    def open_store(self) -> S3Store | None:
        """The store in the bucket that is named, or None where none is."""
        bucket, prefix = self._bucket_and_prefix
        return None if bucket is None else _store(bucket, prefix, self.endpoint_url)


class OpenArchive(NamedTuple):
    """An archive that can be read."""

    store: S3Store
    trust: Trust | None
    """What its manifests must be signed with, where a block says so."""

    @property
    def name(self) -> str:
        """Such as ``s3://bucket/prefix``."""
        return f"s3://{self.store.bucket}/{self.store.prefix}".rstrip("/")


def open_archive(place: Place) -> OpenArchive:
    """The archive that the options name. Asks nothing of the store.

    Raises:
        InvalidInputError: no archive is named, or in two ways, or the block does not exist.
    """
    if place.block is not None:
        given = [name for name in ("bucket", "prefix", "endpoint_url") if getattr(place, name) is not None]
        if given:
            raise InvalidInputError(f"--block already says where the archive is; --{given[0].replace('_', '-')} does too.",
                                    "Leave one of them out.")
        archive = _load_block("LogArchive", place.block)
        return OpenArchive(archive.get_store(), archive.get_trust())
    store = place.open_store()
    if store is None:
        raise InvalidInputError("No archive is named.", f"Give --bucket (or {_BUCKET}), or --block, the name of saved blocks.")
    return OpenArchive(store, None)


def _store(bucket: str, prefix: str, endpoint_url: str | None) -> S3Store:
    import boto3  # noqa: PLC0415 - half a second that --help does not need
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    from ..archive.store import S3Store, s3_config  # noqa: PLC0415

    elsewhere = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # Buckets of other stores seldom have host names of their own.
    config = s3_config("when_required", "path" if elsewhere else "auto")

    def make() -> Any:
        try:
            return boto3.session.Session().client("s3", endpoint_url=endpoint_url, config=config)
        except BotoCoreError as error:  # a profile or region that does not exist
            raise InvalidInputError(f"The AWS settings cannot be used: {error}.".replace("..", "."),
                                    "Correct the environment or the AWS configuration files.") from error

    return S3Store(make, bucket, prefix)


def open_client(block: str | None) -> tuple[DeepsetClient, str]:
    """A client for the API, and where its key was found.

    Raises:
        InvalidInputError: there is no key, it cannot be used, or the block does not exist.
    """
    if block is not None:
        return _load_block("DeepsetCredentials", block).get_client(), f"block deepset-credentials/{block}"
    from ..api.environment import settings_from_environment  # noqa: PLC0415 - the start of --help

    settings = settings_from_environment()
    return settings.client(), settings.key_name


def _load_block(kind: str, name: str) -> Any:
    from .. import blocks  # noqa: PLC0415 - Prefect takes seconds to load

    block: Any = getattr(blocks, kind)
    slug = f"{block.get_block_type_slug()}/{name}"
    try:
        return block.load(name)
    except ValueError as error:
        if isinstance(error, DeepsetError):
            raise
        advice = "Save it in the Prefect UI, or check PREFECT_API_URL and the name."
        raise InvalidInputError(f"The block {slug} cannot be loaded.", advice) from error
    except Exception as error:
        raise ApiError(f"The block {slug} cannot be loaded: Prefect answered with {type(error).__name__}.",
                       "Check PREFECT_API_URL and that the Prefect server runs.") from error


def choose_workspace(store: S3Store, workspace: str | None) -> str:
    """The workspace asked for, or the archive's only one.

    Raises:
        InvalidInputError: the archive holds none or several.
        StoreError: the store cannot be read.
    """
    if workspace is not None:
        return workspace
    from ..archive.chain import archived_workspaces  # noqa: PLC0415 - the start of --help
    from ..archive.keys import table_folder  # noqa: PLC0415

    names = archived_workspaces(store)
    if len(names) == 1:
        return names[0]
    where = f"s3://{store.bucket}/{table_folder(store.prefix, 'manifests')}"
    if not names:
        raise InvalidInputError("There is no archive here.", "Check --bucket and --prefix.", where)
    listed = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
    raise InvalidInputError(f"The archive holds several workspaces: {listed}.", "Name one with --workspace.", where)


def choose_sources(store: S3Store, workspace: str, names: Sequence[str] | None) -> list[LogSource]:
    """The archived pipelines and indexes of these names, or all.

    Raises:
        InvalidInputError: nothing is archived of a name.
        StoreError: the store cannot be read.
    """
    from ..archive.chain import archived_sources  # noqa: PLC0415 - the start of --help

    archived = archived_sources(store, workspace)
    if not archived:
        raise InvalidInputError("Nothing is archived of this workspace.", "Check --workspace, --bucket and --prefix.",
                                f"workspace {workspace!r}, s3://{store.bucket}/{store.prefix}")
    missing = [name for name in names or () if name not in {source.name for source in archived}]
    if missing:
        known = ", ".join(repr(source.name) for source in archived[:10]) + (", ..." if len(archived) > 10 else "")
        raise InvalidInputError(f"Nothing is archived of {missing[0]!r}.", f"Archived are {known}.", f"workspace {workspace!r}")
    return [source for source in archived if not names or source.name in names]


