"""Every sweep file that is written and read again gives the same trials, fingerprint for fingerprint."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.service.sweep_file import how_runs_are_made, sweep_of_runs, toml_text
from planner.words.records import canonical_json
from runner.data.clips import Clip, Corpus
from runner.sweep.expand import Combination, combinations, expand
from runner.sweep.file import parse_spec
from runner.sweep.keys import SweepSpec

CORPUS = Corpus(
    name='six "quoted"',
    task="asr",
    clips=tuple(
        Clip(
            utterance_id=f"u{i}",
            path=Path(f"u{i}.wav"),
            reference="one two three",
            speaker=f"s{i}",
            split=("train", "validation", "test")[i % 3],
            audio_seconds=2.0,
        )
        for i in range(6)
    ),
    split_policy="official",
    licence=None,
    source="test",
)

RATES = st.floats(1e-7, 1e-1) | st.sampled_from([1e-5, 1e-3])
ADAPTATIONS = ("lora:8", "lora:16+top1", "full", "none")


def some(values: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(values, min_size=1, max_size=2, unique=True)


def left_out(**keys: st.SearchStrategy) -> st.SearchStrategy:
    """A table in which every key may be missing."""
    return st.fixed_dictionaries({}, optional=keys)


@st.composite
def specs(draw: st.DrawFn) -> SweepSpec:
    """Checked sweeps with every table of the file, arms included."""
    adaptations = draw(some(st.sampled_from(ADAPTATIONS)))
    arm = left_out(learning_rate=some(RATES), head_learning_rate=RATES, top_k_learning_rate=RATES)
    arms = st.dictionaries(st.sampled_from(adaptations), arm)
    batch = draw(left_out(batch_size=st.integers(1, 9)) | left_out(batch_audio_seconds=RATES))
    optimisation = draw(
        left_out(
            learning_rate=some(RATES), steps=st.integers(0, 50), arms=arms,
            weight_decay=st.floats(0, 1), schedule=st.sampled_from(["linear", "constant"]),
        )
    )  # fmt: skip
    table = {
        "name": draw(st.text(min_size=1, max_size=8)),
        "task": "asr",
        "axes": {
            "backbone": draw(some(st.sampled_from(["whisper-tiny", "whisper-base"]))),
            "audio_seconds": draw(some(st.sampled_from([4, 8, 10.5]))),
            "reduction": draw(some(st.sampled_from(["none", "stem:2"]))),
            "adaptation": adaptations,
        },
        "design": {"kind": draw(st.sampled_from(["star", "grid"])), "corners": draw(st.booleans())},
        "seeds": draw(some(st.integers(0, 99))),
        "optimisation": batch | optimisation,
        **draw(
            left_out(
                lora=left_out(alpha=RATES, dropout=st.floats(0, 0.9), rslora=st.booleans()),
                decoding=left_out(max_new_tokens=st.integers(1, 90), kv_cache=st.booleans()),
                data=left_out(name=st.text(min_size=1, max_size=8), n_train=st.integers(1, 9)),
                resources=left_out(gpus=st.sampled_from([0.0, 0.5]), micro_batch=st.integers(1, 4)),
                padding=st.sampled_from(["dynamic", "padded30"]),
            )
        ),
    }  # fmt: skip
    return parse_spec(table, "drawn.toml")


def stored(spec: SweepSpec) -> dict:
    """A sweep as the store gives it back."""
    table: dict = json.loads(canonical_json(spec.model_dump(mode="json")))
    return table


def read_again(text: str) -> SweepSpec:
    return parse_spec(tomllib.loads(text), "again.toml")


def made(spec: SweepSpec) -> dict[str, object]:
    return {trial.fingerprint: resources for trial, resources in expand(spec, CORPUS)}


def config_of(levels: Combination) -> dict:
    return {
        "backbone": levels.backbone, "audio_seconds": levels.audio_seconds,
        "reduction": levels.reduction, "adaptation": levels.adaptation,
    }  # fmt: skip


@given(specs())
def test_a_sweep_that_is_written_and_read_again_gives_the_same_trials(spec):
    assert made(read_again(toml_text(stored(spec)))) == made(spec)


@given(specs())
def test_a_list_of_a_sweeps_own_configurations_gives_its_trials(spec):
    configs = [config_of(levels) for levels in combinations(spec)]
    written = toml_text(sweep_of_runs(stored(spec), configs, "again", spec.seeds))
    assert made(read_again(written)).keys() == made(spec).keys()


@given(specs(), st.data())
def test_one_configuration_keeps_its_rates_and_needs_no_other(spec, data):
    levels = data.draw(st.sampled_from(combinations(spec)))
    written = toml_text(sweep_of_runs(stored(spec), [config_of(levels)], "one", spec.seeds))
    assert made(read_again(written)).keys() <= made(spec).keys()


def sweep(task: str, *adaptations: str, name: str = "") -> str:
    return json.dumps({"name": name, "task": task, "axes": {"adaptation": list(adaptations)}})


FULL = [{"adaptation": "full"}]


def test_the_newest_sweep_of_the_task_that_trains_the_adaptation_tells_how():
    newest_first = [
        sweep("emotion", "full"),
        sweep("asr", "lora:8"),
        sweep("asr", "full", "lora:8", name="this"),
        sweep("asr", "full", name="older"),
    ]
    assert how_runs_are_made(newest_first, "asr", FULL)["name"] == "this"


def test_a_sweep_of_the_task_tells_more_than_one_of_the_adaptation():
    newest_first = [sweep("emotion", "full"), sweep("asr", "lora:8", name="this")]
    assert how_runs_are_made(newest_first, "asr", FULL)["name"] == "this"


def test_without_a_sweep_nothing_tells_how():
    with pytest.raises(InputError, match="no sweep in this database"):
        how_runs_are_made([], "asr", FULL)
