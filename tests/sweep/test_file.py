from __future__ import annotations

import dataclasses
import json

import pytest

from planner.errors import InputError
from planner.words.records import GUARDED, Decoding, Optimisation, to_json
from runner.sweep.file import load_spec
from runner.sweep.keys import OptimisationSection

BAD = [
    pytest.param("reduction =", "reductions =", "did you mean axes.reduction?", id="misspelt-axis"),
    pytest.param("steps = 30", "step = 30", "did you mean optimisation.steps?", id="misspelt-rate"),
    pytest.param('name = "asr"', "steps = 3", "steps belongs under [optimisation]", id="misplaced"),
    pytest.param("cpus = 1", "seeds = [1]", "seeds belongs at the top", id="misplaced-top"),
    pytest.param("[design]", "[desing]", "did you mean design?", id="misspelt-table"),
    pytest.param("n_train", "ntrain", "did you mean data.n_train?", id="misspelt-data-key"),
    pytest.param("whisper-base", "whisper-bas", "did you mean whisper-base?", id="unknown-backbone"),
    pytest.param("[4, 8, 12]", "[]", "axes.audio_seconds: has no level", id="empty-axis"),
    pytest.param("[4, 8, 12]", "[4, -8]", "axes.audio_seconds[1]: must be greater than 0, got -8", id="negative"),
    pytest.param("[4, 8, 12]", "[4, nan]", "axes.audio_seconds[1]: must be", id="not-a-number"),
    pytest.param("[4, 8, 12]", "[31]", "use at most 30 s", id="longer-than-the-backbone"),
    pytest.param("stem:4", "layer9:2", "whisper-tiny.en does not have", id="missing-layer"),
    pytest.param("stem:4", "stem:4000", "leaves no token", id="no-token-left"),
    pytest.param("stem:4", "stim:4", "cannot be read; use none", id="unreadable-reduction"),
    pytest.param("lora:8", "lore:8", "cannot be read; use none, full", id="unreadable-adaptation"),
    pytest.param('"star"', '"stars"', "'grid', 'list' or 'isoflop', got 'stars'", id="unknown-design"),
    pytest.param('"star"', '"list"', "kind list needs runs", id="list-without-runs"),
    pytest.param('"star"', '"star"\ncentre = {audio_seconds = 5}', "is no level of axes", id="centre-off-grid"),
    pytest.param("steps = 30", 'schedule = "lineer"', "did you mean linear?", id="unknown-schedule"),
    pytest.param("steps = 30", "batch_size = 4\nbatch_audio_seconds = 32", "give one", id="two-batches"),
    pytest.param("cpus = 1", 'memory = "8 gigs"', "unknown memory unit", id="wrong-unit"),
    pytest.param("[data]", '[data]\ntask = "emotion"', "is not the sweep's task", id="other-task"),
    pytest.param('task = "asr"', 'task = "asr', "is not TOML", id="broken-toml"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BAD)
def test_a_wrong_sweep_file_is_one_line_that_names_the_file_and_what_to_do(
    tmp_path, old, new, says, good_text
):
    assert old in good_text
    (tmp_path / "asr.toml").write_text(good_text.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_spec(tmp_path / "asr.toml")
    message = str(caught.value)
    assert says in message
    assert "asr.toml" in message
    assert "\n" not in message


def test_a_missing_sweep_file_says_so(tmp_path):
    with pytest.raises(InputError, match=r"cannot read sweep file .*nothing\.toml: No such file"):
        load_spec(tmp_path / "nothing.toml")


def test_a_relative_data_path_starts_at_the_sweep_file(tmp_path, good_text):
    (tmp_path / "asr.toml").write_text(good_text.replace("[data]", '[data]\npath = "train.jsonl"'))
    assert load_spec(tmp_path / "asr.toml").data.path == str(tmp_path / "train.jsonl")


def test_a_single_level_needs_no_brackets(spec_with):
    spec = spec_with(("[4, 8, 12]", "8"), ('["lora:8"]', '"full"'))
    assert (spec.axes.audio_seconds, spec.axes.adaptation) == ([8.0], ["full"])


def test_the_optimisation_table_has_every_field_of_the_record():
    record = {f.name for f in dataclasses.fields(Optimisation)}
    assert set(OptimisationSection.model_fields) == record | {"batch_audio_seconds", "arms"}


def test_the_lora_table_reaches_every_lora_adaptation(spec_with):
    text = "[resources]\ncpus = 1"
    spec = spec_with((text, f"[lora]\nalpha = 4\ndropout = 0.1\n{text}"))
    adaptation = spec.adaptation("lora:8")
    assert (adaptation.lora_alpha, adaptation.lora_dropout) == (4.0, 0.1)
    assert spec.adaptation("full").lora_dropout == 0.0


@pytest.mark.parametrize(("seconds", "size"), [(4.0, 8), (12.0, 3), (30.0, 1), (60.0, 1)])
def test_a_batch_given_by_its_audio_holds_about_as_much_at_any_length(seconds, size):
    assert OptimisationSection(batch_audio_seconds=32.0).at(seconds).batch_size == size


def test_resources_left_out_take_one_gpu_where_the_cluster_has_one(spec_with):
    spec = spec_with()
    assert [spec.resources.on(n).gpus for n in (0, 1, 8)] == [0.0, 1.0, 1.0]


def test_resources_that_are_given_hold_on_any_cluster(spec_with):
    spec = spec_with(("cpus = 1", 'cpus = 2\ngpus = 0.25\nmemory = "8GiB"'))
    assert spec.resources.on(8).gpus == 0.25
    assert spec.resources.on(8).memory_bytes == 8 * 2**30


CTC = (('["whisper-tiny.en", "whisper-base"]', '["wav2vec2-base"]'),)


def test_an_encoder_that_writes_by_ctc_is_asked_for_text(spec_with):
    assert spec_with(*CTC).axes.backbone == ["wav2vec2-base"]


@pytest.mark.parametrize("key", ["beams = 4", "no_repeat_ngram = 3", "max_new_tokens = 9"])
def test_a_decoders_settings_are_refused_where_nothing_decodes(spec_with, key):
    with pytest.raises(InputError, match=rf"decoding\.{key.split()[0]}: it steers a decoder"):
        spec_with(*CTC, ("[resources]", f"[decoding]\n{key}\n[resources]"))
    mixed = ('["whisper-tiny.en", "whisper-base"]', '["whisper-tiny.en", "wav2vec2-base"]')
    spec_with(mixed, ("[resources]", f"[decoding]\n{key}\n[resources]"))


def decoding_of(spec_with, **keys):
    table = "[decoding]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in keys.items())
    return spec_with(("[resources]", f"{table}\n[resources]")).decoding


@pytest.mark.parametrize(
    "before",
    [
        Decoding(max_new_tokens=99),
        dataclasses.replace(GUARDED, cut_repeats=None),
        dataclasses.replace(GUARDED, cut_repeats=None, min_log_probability=None),
    ],
    ids=["before guards", "before repeats were cut", "with some guards"],
)
def test_a_decoding_that_was_stored_whole_stays_what_it_was(spec_with, before):
    assert decoding_of(spec_with, **to_json(before)) == before


def test_a_decoding_that_says_little_is_guarded_and_one_that_switches_guards_off_is_not(spec_with):
    assert decoding_of(spec_with, max_new_tokens=99) == dataclasses.replace(
        GUARDED, max_new_tokens=99
    )
    assert decoding_of(spec_with, fallback_ngram=0) == GUARDED.unguarded
    assert not decoding_of(spec_with, cut_repeats=False).cut_repeats
