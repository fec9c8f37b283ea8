"""Prefect flows: what runs in which order, and what is told to whom."""

from .archive_daily import archive_daily_logs
from .backfill import backfill_logs
from .dry_run import try_alert_rules
from .fill import fill_formats
from .verify import verify_archive
from .watch import watch_errors

__all__ = ["archive_daily_logs", "backfill_logs", "fill_formats", "try_alert_rules", "verify_archive", "watch_errors"]
