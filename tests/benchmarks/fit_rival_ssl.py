"""`simple-scaling-laws` of PyPI on rows that were kept back; run by fit_quality.py in an environment of its own.

Reads {"train": [N, D, loss], "test": [N, D]} as JSON from stdin, prints its seconds and, for each test row, the
median and the 90 % interval of its prediction.
"""

import json
import sys
import time

import polars as pl
from simple_scaling_laws import fit

DRAWS = 200
QUANTILES = [0.05, 0.5, 0.95]
LOSS = "test_loss__loss"


def main() -> None:
    """Fit, predict, and print one line of JSON."""
    told = json.load(sys.stdin)
    n, tokens, loss = told["train"]
    names = [f"run {i}" for i in range(len(n))]
    runs = pl.DataFrame(
        {"training_run_id": names, "train_set_id": ["one"] * len(n), "test_set_id": ["one"] * len(n),
         "optimizer_seed": list(range(len(n))), "model_size__n": n, "dataset_size__d": tokens, LOSS: loss}
    )  # fmt: skip
    started = time.perf_counter()
    model = fit(runs, law="separable-power", n_draws=DRAWS, seed=0)
    seconds = time.perf_counter() - started
    asked = pl.DataFrame({"model_size__n": told["test"][0], "dataset_size__d": told["test"][1]})
    found = model.predict(asked, quantiles=QUANTILES)
    columns = {
        end: found[f"{LOSS}__{name}"].to_list()
        for end, name in (("low", "q050"), ("mean", "median"), ("high", "q950"))
    }
    print(json.dumps({"seconds": seconds, **columns}))


if __name__ == "__main__":
    main()
