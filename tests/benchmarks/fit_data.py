"""Public tables for the fit benchmarks, read from ../shared/data beside the checkout."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from planner.laws.observations import Observations

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

GEMSTONE_AXES = {
    2: ("params_active_precise", "tokens"),
    3: ("width", "depth", "tokens"),
    4: ("width", "depth", "params_active_precise", "tokens"),
}


def available() -> bool:
    """Whether the public data are beside the checkout; says so where they are not."""
    if DATA.is_dir():
        return True
    print(f"skipped: no public data in {DATA.parent.name}/{DATA.name} beside the checkout")
    return False


def chinchilla(*, raw: bool = False) -> Observations:
    """245 points of Besiroglu et al. 2024, without the five largest losses unless raw."""
    rows = columns("chinchilla_epoch/svg_extracted_data.csv")
    n = np.array(rows["Model Size"], dtype=float)
    tokens = np.array(rows["Training FLOP"], dtype=float) / 6 / n
    loss = np.array(rows["loss"], dtype=float)
    table = Observations(
        axes=("n_params", "n_tokens"), x=np.stack([n, tokens], axis=1), error=loss, metric="loss"
    )
    return table if raw else table.rows(np.sort(np.argsort(loss)[:-5]))


def gemstones(name: str, n_terms: int) -> Observations:
    """A Gemstones table with 2, 3 or 4 axes."""
    text = (DATA / f"gemstones/wandb_df_for_fitting_{name}.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    axes = GEMSTONE_AXES[n_terms]
    x = np.array([[float(row[axis]) for axis in axes] for row in rows])
    error = np.array([float(row["final_loss"]) for row in rows])
    return Observations(axes=axes, x=x, error=error, metric="loss")


def columns(name: str) -> dict[str, list[str]]:
    """Columns of a CSV file under the data folder."""
    with (DATA / name).open() as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in rows[0]}
