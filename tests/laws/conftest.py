"""Tables of runs and public data sets for the laws' tests."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from planner.laws.observations import Observations

AXES = ("n_params", "audio_seconds", "tokens_per_second")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
"""Public tables beside the checkout; they are not part of it."""


def true_error(x):
    """An additive law on three axes, in the unit of a WER."""
    return (
        0.04
        + 0.05 * (x[:, 0] / 1e8) ** -0.4
        + 0.03 * (x[:, 1] / 8) ** -1.2
        + 0.02 * (x[:, 2] / 25) ** -0.8
    )


@pytest.fixture
def grid_points():
    return np.array(
        list(itertools.product((39e6, 74e6, 244e6, 769e6), (4, 8, 15, 30), (12.5, 25, 50))), float
    )


@pytest.fixture
def star_points():
    sizes = (37.76e6, 72.59e6)
    rest = ((12, 50), (8, 50), (4, 50), (12, 25), (12, 12.5), (4, 12.5))
    return np.array([(n, *r) for n in sizes for r in rest], float)


@pytest.fixture
def table(grid_points):
    """Four by four by three runs with 2 % noise."""
    noise = np.random.default_rng(3).standard_normal(len(grid_points))
    return Observations(
        axes=AXES, x=grid_points, error=true_error(grid_points) * np.exp(0.02 * noise)
    )


def public(name):
    """A file of the public data, or a skip that says what is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"public data {name} is not beside the checkout")
    return path


@pytest.fixture
def chinchilla():
    """The 245 points of Besiroglu et al. 2024: parameters, tokens (FLOP / 6 N), loss."""
    with public("chinchilla_epoch/svg_extracted_data.csv").open() as file:
        rows = list(csv.DictReader(file))
    n = np.array([float(row["Model Size"]) for row in rows])
    flops = np.array([float(row["Training FLOP"]) for row in rows])
    loss = np.array([float(row["loss"]) for row in rows])
    return Observations(
        axes=("n_params", "n_tokens"),
        x=np.stack([n, flops / 6 / n], axis=1),
        error=loss,
        metric="loss",
    )


@pytest.fixture
def clean_chinchilla(chinchilla):
    """Without the five largest losses, as in the paper's protocol."""
    return chinchilla.rows(np.sort(np.argsort(chinchilla.error)[:-5]))


@pytest.fixture
def gemstones():
    """Reads a Gemstones table by its name: axes columns and final loss."""

    def read(name, axes):
        path = public(f"gemstones/wandb_df_for_fitting_{name}.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        x = np.array([[float(row[axis]) for axis in axes] for row in rows])
        error = np.array([float(row["final_loss"]) for row in rows])
        return Observations(axes=axes, x=x, error=error, metric="loss")

    return read


@pytest.fixture
def scalebench():
    """Columns of a ScaleBench task's train or test table."""

    def read(task, part):
        with public(f"scalebench/{task}.{part}.csv").open() as file:
            rows = list(csv.DictReader(file))
        return {name: [row[name] for row in rows] for name in rows[0]}

    return read


@pytest.fixture
def llava():
    """Columns of the LLaVA token table for one task."""

    def read(task):
        with public("llava_tokens_n_v/runs.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["task"] == task]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["error"] = [1.0 - float(row["accuracy"]) for row in rows]
        return columns

    return read
