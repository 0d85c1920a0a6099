"""The best run within a latency is what looking at every run finds, from whichever side it is searched."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from planner.store import best_run, read
from planner.store.schema import metadata
from planner.store.write import ImportedRun, import_runs
from planner.words.records import Evaluation, RunRecord
from tests.store.samples import CPU, latency, trial

PHONE = dataclasses.replace(CPU, name="phone")
MS = st.sampled_from([10.0, 20.0, 30.0])
LATENCIES = st.tuples(st.sampled_from([CPU, PHONE]), MS, st.booleans())
RUNS = st.tuples(
    st.sampled_from(["finished", "finished", "failed"]),
    st.sampled_from(["asr", "asr", "emotion"]),
    st.sampled_from(["test", "test", "dev"]),
    st.sampled_from([0.1, 0.2, 0.3]),
    st.lists(LATENCIES, max_size=2),
)
QUESTIONS = st.tuples(
    st.none() | MS | st.just(5.0), st.sampled_from([None, CPU.name, PHONE.name, "unknown"])
)


def stored(store, world):
    with store.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(text(f"DELETE FROM {table.name}"))
    import_runs(store, [imported(seed, *run) for seed, run in enumerate(world)], "imported")


def imported(seed, status, task, split, error, measured):
    taken = tuple(
        latency(device=on, p50_ms=ms, audio_seconds=8.0 if own else 4.0) for on, ms, own in measured
    )
    evaluations = (Evaluation(split=split, metric="wer", error=error),)
    record = RunRecord(status=status, evaluations=evaluations, latencies=taken)
    return ImportedRun(trial=trial(seed=seed, task=task), record=record, source="a table")


def by_looking_at_each(world, most, device):
    def fits(on, ms, own):
        return own and device in (None, on.name) and (most is None or ms <= most)

    asked = most is not None or device is not None
    good = [
        (error, seed)
        for seed, (status, task, split, error, measured) in enumerate(world)
        if (status, task, split) == ("finished", "asr", "test")
        and (not asked or any(fits(*one) for one in measured))
    ]
    return min(good)[1] if good else None


@pytest.mark.parametrize("few", [0, 2, best_run.FEW], ids="few={}".format)
def test_the_best_run_is_the_one_that_looking_at_each_finds(store, monkeypatch, few):
    monkeypatch.setattr(best_run, "FEW", few)

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(world=st.lists(RUNS, max_size=8), questions=st.lists(QUESTIONS, min_size=3, max_size=3))
    def agree(world, questions):
        stored(store, world)
        for most, device in questions:
            found = read.best_run(store, "asr", max_latency_ms=most, device=device)
            seed = None if found is None else found.trial.seed
            assert seed == by_looking_at_each(world, most, device)

    agree()
