"""A process of its own that loads an exported folder and runs one window: its peak memory, as JSON on stdout.

python -m runner.engines.cold FOLDER THREADS
"""

from __future__ import annotations

import json
import sys

import numpy as np

from runner.engines.runtime import open_folder


def main() -> None:
    """Load, run a window of faint noise, and tell."""
    import resource

    model = open_folder(sys.argv[1], int(sys.argv[2]))
    rng = np.random.default_rng(0)
    window = (1e-3 * rng.standard_normal(model.about.n_samples)).astype(np.float32)
    exactly = 20 if model.about.task == "asr" else None
    model.engine.run([window], exactly=exactly)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak}))


if __name__ == "__main__":
    main()
