"""Giving memory back while a long day is read.

Sixteen threads that take pages apart and one that packs their rows leave the C library's heap full of holes: after two million
rows 15 MB are in use and 160 MB are held. glibc hands the holes back when asked, in a few milliseconds; elsewhere nothing is
done.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, cast


def _find() -> Callable[[int], object] | None:
    try:
        return cast("Callable[[int], object]", cast("Any", ctypes.CDLL(None)).malloc_trim)
    except (AttributeError, OSError, TypeError):  # another C library
        return None


_trim = _find()


def give_back() -> None:
    """Returns free memory to the system, where the C library can."""
    if _trim is not None:
        _trim(0)
