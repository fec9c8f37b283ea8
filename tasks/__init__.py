"""Prefect tasks for one's own flows: each is one call into the rooms below."""

from .archive import archive_day
from .logs import count_logs, download_logs_csv, fetch_logs
from .notify import send_alert
from .pipelines import list_pipelines
from .read_back import read_archived_logs
from .verify import verify_day

__all__ = ["archive_day", "count_logs", "download_logs_csv", "fetch_logs", "list_pipelines", "read_archived_logs", "send_alert",
           "verify_day"]
