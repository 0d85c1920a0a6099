"""A process of its own that loads an exported folder and runs one window: its peak memory, as JSON on stdout.

python -m runner.engines.cold FOLDER THREADS
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np

from runner.engines.runtime import open_folder


def main() -> None:
    """Load, run a window of faint noise, and tell."""
    model = open_folder(sys.argv[1], int(sys.argv[2]))
    rng = np.random.default_rng(0)
    window = (1e-3 * rng.standard_normal(model.about.n_samples)).astype(np.float32)
    exactly = 20 if model.about.task == "asr" else None
    model.engine.run([window], exactly=exactly)
    print(json.dumps({"peak_bytes": peak_bytes()}))


def peak_bytes() -> int | None:
    """Most memory that this process had resident; None where the kernel does not tell.

    Not ru_maxrss, which a child inherits from the process that started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else None


if __name__ == "__main__":
    main()
