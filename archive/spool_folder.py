"""Where spools lie on local disk, whose they are, and what a full disk is called."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .errors import DiskFullError, SpoolError

_OURS = re.compile(r"private-\w+|[0-9a-f]{32}(\.lock)?")
_FORGOTTEN = 7 * 86_400.0
"""Seconds after which no run can still use what lies there: the platform shows no day for that long."""


def default_root() -> Path:
    """Where spools are kept: ``$PREFECT_DEEPSET_SPOOL``, else the user's cache folder."""
    if named := os.environ.get("PREFECT_DEEPSET_SPOOL"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "prefect-deepset" / "spool"
    except RuntimeError:  # no home
        return Path(tempfile.gettempdir()) / f"prefect-deepset-{os.getuid()}"


def own_folder(folder: Path) -> Path:
    """Makes the folder, for this user only.

    Raises:
        SpoolError: it belongs to someone else, or cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise SpoolError(f"The spool folder {folder.parent} holds something that belongs to another user.",
                             "Set PREFECT_DEEPSET_SPOOL to a folder of your own.")
        folder.chmod(0o700)
    except OSError as error:
        raise disk_error(error, folder) from error
    return folder


@contextmanager
def private_folder(root: Path) -> Generator[Path]:
    """A folder for a while, where spools are kept: what a kill leaves of it is swept up with them.

    Raises:
        SpoolError: it cannot be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix="private-", dir=root))
    except OSError as error:
        raise disk_error(error, root / "private") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Removes what runs left that died and were never run again on this machine. Nothing that is not a spool is touched."""
    before = time.time() - _FORGOTTEN
    for path in root.iterdir():
        try:
            if not _OURS.fullmatch(path.name) or any(one.lstat().st_mtime > before for one in (path, *path.glob("*"))):
                continue
            if path.suffix == ".lock":
                path.unlink()
            else:
                shutil.rmtree(path)
        except OSError:  # another run is faster, or it belongs to another user
            continue


def disk_error(error: OSError, folder: Path) -> SpoolError:
    """The error of this project that says the same."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return DiskFullError(f"No space is left for the spool in {folder.parent}.",
                             "What was read is kept: free space and run again, or set PREFECT_DEEPSET_SPOOL to another disk.")
    return SpoolError(f"The spool in {folder.parent} cannot be used: {error.strerror}.",
                      "Set PREFECT_DEEPSET_SPOOL to a folder that this user can write to.")
