"""This machine as a place for Ray: a folder short enough for its sockets, and who is still alive."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from planner.errors import MissingResourceError

SOCKET_PATH_LIMIT = 107
"""Longest path of a Unix socket on Linux (bytes, `sun_path` of unix(7) less its final zero)."""

RAY_SESSION_BYTES = 66
"""What Ray appends to its folder: `/session_2026-11-24_09-39-54_123456_1234567/sockets/plasma_store`."""

FOLDER_PREFIX = "sscale-"
"""Begins the name of a local cluster's folder; the driver's process number follows."""


def short_folder() -> Path:
    """A new folder whose path is short enough for Ray's sockets.

    Ray puts Unix sockets below its folder and fails when $TMPDIR is long; the system's own
    temporary folders are tried before it. Folders of drivers that were killed are removed.

    Raises:
        MissingResourceError: no folder with a short enough path can be written.
    """
    longest = SOCKET_PATH_LIMIT - RAY_SESSION_BYTES
    candidates = ["/tmp", "/var/tmp", "/dev/shm", tempfile.gettempdir()]
    for parent in candidates:
        if os.access(parent, os.W_OK | os.X_OK):
            _remove_abandoned(Path(parent))
            folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=parent))
            if len(os.fsencode(folder)) <= longest:
                return folder
            folder.rmdir()
    raise MissingResourceError(
        f"Ray needs a writable folder whose path has at most {longest} bytes, none of "
        f"{', '.join(candidates)} is; use --ray none, or --ray ADDRESS of a running cluster"
    )


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user's drivers that no longer run."""
    for folder in parent.glob(f"{FOLDER_PREFIX}*-*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not process_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def process_exists(pid: int) -> bool:
    """Whether a process of that number runs on this host (another user's too)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
