from __future__ import annotations

import functools

import pytest
import torch

from runner.engines.formats import format_of
from runner.engines.runtime import open_folder
from runner.engines.trained import load_trained
from runner.engines.writing.export import write_export
from tests.models.micro import make_trial, speechlike

REDUCTIONS = ("none", "stem:2", "layer1:2", "output:2")

WINDOWS = [speechlike(2.0, seed) for seed in range(3)] + [speechlike(1.1, 9)]
"""Whole windows of two seconds, and a shorter one."""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.lru_cache(maxsize=8)
def micro(reduction="none", **more):
    """A randomly initialised model of test size with its axes applied."""
    return load_trained(make_trial(reduction=reduction, **more), None)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Folder of an export, written once for each format, precision and reduction."""
    made = {}

    def get(form, precision="float32", reduction="none"):
        key = (form, precision, reduction)
        if key not in made:
            out = tmp_path_factory.mktemp("exports") / "model"
            write_export(micro(reduction), format_of(form), precision, out, lambda line: None)
            made[key] = out
        return made[key]

    return get


def written_by_torch(trained, windows=WINDOWS):
    """Ids that our own decoding gives for windows."""
    from runner.models.guard import token_limit

    model, trial = trained.model, trained.trial
    limits = [token_limit(trial.decoding, len(w)) for w in windows]
    found = model.decode(model.encode(model.features(windows)), trial.decoding, limits)
    return [one.token_ids for one in found]


def written_by_engine(folder, windows=WINDOWS):
    """Ids that the engine of an exported folder gives, windows together and one by one."""
    engine = open_folder(folder).engine
    together = [one.ids for one in engine.run(windows)]
    alone = [engine.run([window])[0].ids for window in windows]
    return together, alone
