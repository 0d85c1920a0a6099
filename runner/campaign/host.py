"""This machine as a place for Ray: a folder short enough for its sockets, and who is still alive.

A process number alone says little: containers of one host name, and machines cloned from one
image, each have a process 33. A process is known by four things together: the machine's boot, the
table of processes (PID namespace) that its number is of, the number, and the time it began.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from planner.errors import MissingResourceError

SOCKET_PATH_LIMIT = 107
"""Longest path of a Unix socket on Linux (bytes, `sun_path` of unix(7) less its final zero)."""

RAY_SESSION_BYTES = 66
"""What Ray appends to its folder: `/session_2026-11-24_09-39-54_123456_1234567/sockets/plasma_store`."""

FOLDER_PREFIX = "sscale-"
"""Begins the name of a local cluster's folder; the driver's process number follows."""

OWNER_FILE = "owner.json"
"""Says in such a folder which process it belongs to; a folder without it is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """What tells one process from every other that ever has its number.

    `boot`: the kernel's random name of this boot (`/proc/sys/kernel/random/boot_id`). `namespace`:
    the table of processes, as `/proc/self/ns/pid` names it; a number means something only within
    it. `began`: clock ticks from boot to the process's start (field 22 of `/proc/PID/stat`, proc(5)).
    """

    host: str
    boot: str
    namespace: str
    began: str

    @classmethod
    def of_this_process(cls) -> ProcessIdentity | None:
        """This process; None where the system has no /proc to ask."""
        began = _began(os.getpid())
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            namespace = os.readlink("/proc/self/ns/pid")
        except OSError:
            return None
        if began is None:
            return None
        return cls(host=socket.gethostname(), boot=boot, namespace=namespace, began=began)

    @classmethod
    def read(cls, stored: object) -> ProcessIdentity | None:
        """What a claim or a folder says of its process; None where it says nothing complete."""
        names = ("host", "boot", "namespace", "began")
        if not isinstance(stored, dict) or not all(isinstance(stored.get(n), str) for n in names):
            return None
        return cls(**{name: stored[name] for name in names})

    def stored(self) -> dict[str, str]:
        """As JSON keeps it."""
        return asdict(self)


def shares_processes(other: ProcessIdentity | None) -> bool:
    """Whether a process is, or was, of the table of processes that this one sees."""
    here = ProcessIdentity.of_this_process()
    return (
        here is not None
        and other is not None
        and (here.host, here.boot, here.namespace) == (other.host, other.boot, other.namespace)
    )


def is_gone(pid: int, identity: ProcessIdentity | None) -> bool:
    """Whether that very process is known to have ended; False where it cannot be seen from here."""
    if not shares_processes(identity):
        return False
    assert identity is not None
    return not process_exists(pid) or _began(pid) not in (identity.began, None)


def _began(pid: int) -> str | None:
    """Start of a process in clock ticks since boot, None where it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the command, may hold spaces and brackets; the 22nd is 20 after its end.
    fields = stat.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 else None


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
                _write_owner(folder)
                return folder
            folder.rmdir()
    raise MissingResourceError(
        f"Ray needs a writable folder whose path has at most {longest} bytes, none of "
        f"{', '.join(candidates)} is; use --ray none, or --ray ADDRESS of a running cluster"
    )


def _write_owner(folder: Path) -> None:
    me = ProcessIdentity.of_this_process()
    if me is not None:
        owner = {"pid": os.getpid(), "process": me.stored()}
        (folder / OWNER_FILE).write_text(json.dumps(owner))


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user's drivers that are known to run no more."""
    for folder in parent.glob(f"{FOLDER_PREFIX}*-*"):
        try:
            owner = json.loads((folder / OWNER_FILE).read_text())
            pid, process = int(owner["pid"]), ProcessIdentity.read(owner["process"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if is_gone(pid, process):
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
