"""The `chinchilla` package of PyPI on its README grid; run by fit_speed.py in an environment of its own.

Reads [N, D, loss] as JSON from stdin, prints its seconds and its objective: the sum over rows of Huber's
loss at 1e-3 on ln(loss), as ours is counted.
"""

import csv
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from chinchilla import Chinchilla
from chinchilla._metrics import log_huber

DELTA = 1e-3
GRID = {
    "E": np.linspace(1, 2, 5), "a": np.linspace(1, 10, 5), "b": np.linspace(1, 10, 5),
    "alpha": np.linspace(0.1, 0.7, 5), "beta": np.linspace(0.1, 0.7, 5),
}  # fmt: skip
"""The grid of its README: 3,125 starts."""


def main() -> None:
    """Fit, and print one line of JSON."""
    n, tokens, loss = (np.array(v, dtype=float) for v in json.load(sys.stdin))
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "df.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["C", "N", "D", "loss"])
            rows.writerows(zip(6 * n * tokens, n, tokens, loss, strict=True))
        rival = Chinchilla(
            folder, param_grid=GRID, loss_fn=partial(log_huber, delta=DELTA), log_level=50
        )
        started = time.perf_counter()
        rival.fit()
        seconds = time.perf_counter() - started
    predicted = rival.E + rival.A / n**rival.alpha + rival.B / tokens**rival.beta
    objective = float(np.sum(log_huber(loss, predicted, DELTA)))
    print(json.dumps({"seconds": seconds, "objective": objective, "n_starts": 5**5}))


if __name__ == "__main__":
    main()
