"""Prefect blocks: the key to deepset, and the archive's place. Importing this module registers them."""

from .archive import LogArchive
from .credentials import DeepsetCredentials

__all__ = ["DeepsetCredentials", "LogArchive"]
