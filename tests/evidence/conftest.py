"""Golden values of NIST's own tools, where the public data lies beside the checkout."""

import csv

import numpy as np
import pytest

from planner.evidence.paired.difference import Pair
from tests.laws.conftest import public

FOLDER = "paired_tests"


def pair_of(first, second, n_units=None, stratum=None, speakers=None):
    n = len(first)
    return Pair(
        first=np.array(first, np.int64),
        second=np.array(second, np.int64),
        n_units=np.full(n, 10, np.int64) if n_units is None else np.array(n_units, np.int64),
        stratum=np.zeros(n, np.int64) if stratum is None else np.array(stratum, np.int64),
        speakers=("s",) * n if speakers is None else tuple(speakers),
    )


def rows(name):
    with public(f"{FOLDER}/{name}.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def golden_pairs():
    """The 28 pairs: NIST's figures as printed, and other tests of the same counts."""
    return rows("pairs")


@pytest.fixture(scope="session")
def golden_counts():
    """Words of each utterance, and errors by run."""
    found = rows("utterances")
    words = [int(r["n_words"]) for r in found]
    runs = [k for k in found[0] if k.startswith("errors_run")]
    return words, {int(k.removeprefix("errors_run")): [int(r[k]) for r in found] for k in runs}


@pytest.fixture(scope="session")
def golden_slots():
    """Run -> the slots of each utterance in order."""
    out = {}
    for r in rows("slots"):
        out.setdefault(int(r["run"]), []).append([int(x) for x in r["slots"].split()])
    return out
