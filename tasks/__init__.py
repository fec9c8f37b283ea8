"""Prefect tasks for one's own flows: each is one call into the rooms below."""

from .notify import send_alert
from .pipelines import list_pipelines

__all__ = ["list_pipelines", "send_alert"]
