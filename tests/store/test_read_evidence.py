"""What a law learns from is read quickly, and is what reading whole runs gives."""

import pytest

from planner.store import read
from planner.store.read_evidence import learned_runs
from planner.store.row_types import LearnedRun
from planner.store.write import ImportedRun, import_runs
from planner.words.records import Evaluation, RunRecord
from tests.store.samples import latency, trial

OWN = ("trial", "mean_windows")
WORLD = (
    *({"seed": seed} for seed in (0, 1, -3, 12345678901)),
    {"seed": 1, "audio_seconds": 4.0},
    # Words that look like the key of the seed.
    {"seed": 2, "dataset": 'a "seed":9 b'},
    {"seed": 4, "task": "emotion", "backbone": "wav2vec2-base"},
)


@pytest.fixture
def world(store):
    rows = [
        ImportedRun(
            trial=trial(**changes),
            record=RunRecord(
                status="failed" if i == 1 else "finished",
                evaluations=(
                    Evaluation(
                        split="test", metric="wer", error=0.1 + i / 100,
                        details={"windows_per_utterance": 1.5} if i % 2 else None,
                    ),
                ),
                latencies=(latency(), latency(p50_ms=41.0)),
            ),
            source="a table",
        )
        for i, changes in enumerate(WORLD)
    ]  # fmt: skip
    import_runs(store, rows, "imported")
    return store


@pytest.mark.parametrize("task", ["asr", "emotion"])
def test_each_run_is_what_reading_it_whole_gives(world, task):
    whole = read.runs(world, task=task, status="finished")
    found = learned_runs(world, task)
    assert [r.run_id for r in found] == [r.run_id for r in whole]
    names = [n for n in LearnedRun._fields if n not in ("setup", "seed")]
    for quick, slow in zip(found, whole, strict=True):
        for name in (*names, *OWN):
            assert getattr(quick, name) == getattr(slow, name), name
        assert quick.trial.fingerprint == slow.fingerprint


def test_runs_that_differ_by_their_seed_share_one_trial(world):
    setups = {id(r.setup) for r in learned_runs(world, "asr")}
    assert len(setups) == len(learned_runs(world, "asr")) - 2
