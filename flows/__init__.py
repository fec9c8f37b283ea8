"""Prefect flows: what runs in which order, and what is told to whom."""

from .archive_daily import archive_daily_logs

__all__ = ["archive_daily_logs"]
