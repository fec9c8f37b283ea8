"""Prefect flows: what runs in which order, and what is told to whom."""

from .archive_daily import archive_daily_logs
from .backfill import backfill_logs
from .verify import verify_archive
from .watch import watch_errors

__all__ = ["archive_daily_logs", "backfill_logs", "verify_archive", "watch_errors"]
