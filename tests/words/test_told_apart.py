"""Labels that are printed alike are of trials that are alike."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from planner.words.records import Adaptation, Decoding, Optimisation, Trial
from planner.words.told_apart import full_labels, told_apart

BASE = Trial(
    task="asr", dataset="a", dataset_digest="", split_policy="official", n_train=1, n_test=5,
    backbone="whisper-tiny", audio_seconds=8.0,
)  # fmt: skip
CHANGES = {
    "task": "emotion", "dataset": "b", "dataset_digest": "x" * 64, "split_policy": "speaker-disjoint",
    "n_train": 20, "normaliser": "none", "precision": "float32", "padding": "bucketed",
    "adaptation": Adaptation(targets="q_proj"), "decoding": Decoding(beams=5), "seed": 1,
    "optimisation": Optimisation(learning_rate=1.0000001e-3), "reference_policy": "filter",
}  # fmt: skip
TRIALS = st.sets(st.sampled_from(sorted(CHANGES)), max_size=2).map(
    lambda names: replace(BASE, **{name: CHANGES[name] for name in names})
)


@given(st.lists(TRIALS, max_size=12))
def test_two_trials_share_a_label_only_where_nothing_but_their_task_differs(trials):
    labels = full_labels(trials)
    for one, its in zip(trials, labels, strict=True):
        for other, others in zip(trials, labels, strict=True):
            if its == others and one.task == other.task:
                assert one == other


@given(TRIALS, st.integers(0, 3))
def test_seeds_alone_need_no_further_words(trial, seed):
    assert told_apart([trial, replace(trial, seed=seed)]) == ["", ""]
