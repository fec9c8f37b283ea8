"""Prefect blocks: the key to deepset, the archive's place, and what is worth an alert. Importing this module registers them."""

from .alert_rules import AlertRules
from .archive import LogArchive
from .credentials import DeepsetCredentials

__all__ = ["AlertRules", "DeepsetCredentials", "LogArchive"]
