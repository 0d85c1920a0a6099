"""Workers whose clocks are wrong by minutes (issue 7, R7), in processes of their own.

A server's clock decides on leases, so that only PostgreSQL can be met with other clocks than its own:
the processes of a SQLite file share the clock of their machine.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.chaos import note, worker
from tests.chaos.shim import ROOT, environment


def work_with_wrong_clocks(
    url: str, sweep_id: int, folder: Path, lease: float, wrong_by: Sequence[float]
) -> None:
    """Work on a sweep until nothing is open, one worker for each error of a clock (s)."""
    arguments = [url, str(sweep_id), str(folder), str(lease)]
    command = [sys.executable, "-m", "tests.chaos.clocks", *arguments]
    started = [subprocess.Popen(command, env=environment(s), cwd=ROOT) for s in wrong_by]
    assert [process.wait() for process in started] == [0] * len(started)


def main() -> None:
    """One worker; its clock is noted, so that a test can see that it was wrong."""
    url, sweep_id, folder, lease = sys.argv[1:]
    note(folder, "clock", int(time.time()))
    worker(url, int(sweep_id), folder, float(lease))


if __name__ == "__main__":
    main()
