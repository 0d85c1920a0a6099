"""Further test sets of a sweep: each finished run is scored on them once, whenever they are added to the file."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import soundfile

from planner.cli import main
from planner.store import read
from planner.store.engine import open_store
from runner.data.test_set import TestSet
from runner.exports.on_sets import trial_on
from tests.campaign.made import NO_LATENCY, write_sweep, write_tones

MORE = (
    '[[data.test]]\nname = "general"\npath = "general.jsonl"\n'
    '[[data.test]]\nname = "same"\npath = "tones.jsonl"\n\n[axes]'
)


def swept(folder, *options):
    """What `sweep run` ends with and says."""
    said = io.StringIO()
    arguments = ["sweep", "run", "asr.toml", "--ray", "none", "--artifacts", "a", *options]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(said):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["soundscale", *arguments, "--db", f"sqlite:///{folder}/r.db"])
        with pytest.raises(SystemExit) as ended:
            main.main()
    return ended.value.code or 0, said.getvalue()


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A sweep of two trials, swept without further sets and again with two; its folder and what the second said."""
    folder = tmp_path_factory.mktemp("sets")
    tones = write_tones(folder)
    rows = []
    for i in range(5):
        noise = np.random.default_rng(i).normal(0, 0.1, 20_000).astype(np.float32)
        soundfile.write(folder / f"other{i}.wav", noise, 16_000)
        rows.append(json.dumps({"path": f"other{i}.wav", "text": "hold on", "speaker": f"o{i}"}))
    # Of the clips that are trained on, one is in the further set too.
    rows.append(json.dumps({"path": "0.wav", "text": "one", "speaker": "s0"}))
    (folder / "general.jsonl").write_text("\n".join(rows))
    path = write_sweep(folder, tones, NO_LATENCY, ("[2, 3]", "2"))
    assert swept(folder)[0] == 0
    path.write_text(path.read_text().replace("[axes]", MORE))
    code, said = swept(folder)
    assert code == 0
    return folder, said


@pytest.fixture
def folder(scored):
    """Its folder, with its file as it was after the test."""
    path = scored[0] / "asr.toml"
    text = path.read_text()
    yield scored[0]
    path.write_text(text)


def test_a_set_that_is_added_later_is_scored_and_nothing_is_trained_again(scored):
    folder, said = scored
    assert "nothing was trained" in said
    assert "left out 1 clips that are trained on" in said
    store = open_store(f"sqlite:///{folder}/r.db")
    rows = [r for r in read.runs(store, sweep="micro", status="finished")]
    assert len(rows) == 2
    for row in rows:
        general, same = read.run_on(store, row, "general"), read.run_on(store, row, "same")
        assert general.n_utterances == 5
        assert general.n_units == 10
        assert general.evaluation_details["test_set"]["dataset"] == "general"
        # The rows that the sweep tests on, by another name: the stored tensors say what the trained model said.
        assert (same.n_errors, same.n_units) == (row.n_errors, row.n_units)
        first = read.utterances(store, row.run_id)
        assert [u.hypothesis for u in read.utterances(store, row.run_id, "same")] == [
            u.hypothesis for u in first
        ]
    before = [read.evaluations(store, row.run_id) for row in rows]
    code, said = swept(folder)
    assert code == 0
    assert "runs · " not in said
    assert [read.evaluations(store, row.run_id) for row in rows] == before
    store.dispose()


@pytest.mark.parametrize("change", ["n_test = 3", 'normaliser = "none"', 'language = "de"'])
def test_a_set_that_is_changed_under_a_name_that_was_used_is_told_and_keeps_its_scores(
    folder, change
):
    path = folder / "asr.toml"
    text = path.read_text()
    changed = text.replace('path = "general.jsonl"', f'path = "general.jsonl"\n{change}')
    name = f"new-{change.partition(' ')[0]}"
    path.write_text(changed.replace('name = "same"', f'name = "{name}"'))
    store = open_store(f"sqlite:///{folder}/r.db")
    first = read.runs(store, sweep="micro", status="finished")[0]
    before = read.run_on(store, first, "general")
    code, said = swept(folder)
    assert code == 0
    assert "general is left out: runs were scored under that name" in said
    assert f"{name} wer" in said
    assert read.run_on(store, first, "general") == before
    store.dispose()


def test_another_sweep_does_not_score_other_clips_under_a_name_that_was_used(folder):
    path = folder / "asr.toml"
    text = path.read_text()
    changed = text.replace('name = "micro"', 'name = "second"').replace("steps = 2", "steps = 3")
    path.write_text(changed.replace('path = "general.jsonl"', 'path = "general.jsonl"\nn_test = 2'))
    code, said = swept(folder)
    assert code == 0
    assert "general is left out" in said
    assert "same wer" in said


def test_a_copy_of_a_clip_that_is_trained_on_is_left_out_wherever_it_lies(folder):
    shutil.copy(folder / "0.wav", folder / "elsewhere.wav")
    rows = [json.loads(line) for line in (folder / "general.jsonl").read_text().splitlines()]
    rows.append({"path": "elsewhere.wav", "text": "one", "speaker": "s0"})
    (folder / "copied.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = folder / "asr.toml"
    text = path.read_text()
    path.write_text(text.replace('path = "general.jsonl"', 'path = "copied.jsonl"'))
    code, said = swept(folder, "--dry-run")
    assert code == 0
    assert "general: 5 clips of copied to score" in said


def test_tensors_that_moved_are_found_in_the_folder_of_artifacts_that_is_given(folder):
    path = folder / "asr.toml"
    text = path.read_text()
    store = open_store(f"sqlite:///{folder}/r.db")
    first = read.runs(store, sweep="micro", status="finished")[0]
    (folder / "a").rename(folder / "moved")
    try:
        path.write_text(text.replace('name = "same"', 'name = "gone"'))
        assert "gone left out: " in swept(folder)[1]
        assert read.run_on(store, first, "gone") is None
        path.write_text(text.replace('name = "same"', 'name = "found"'))
        code, said = swept(folder, "--artifacts", "moved")
    finally:
        shutil.rmtree(folder / "a", ignore_errors=True)
        (folder / "moved").rename(folder / "a")
    assert code == 0
    assert "nothing was trained" in said
    found, before = (read.run_on(store, first, name) for name in ("found", "same"))
    assert (found.n_errors, found.n_units) == (before.n_errors, before.n_units)
    store.dispose()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "general"', 'name = "test"', "cannot be a test set's"),
        ('name = "same"', 'name = "general"', "given twice"),
        ('path = "general.jsonl"', 'pth = "general.jsonl"', "data.test[0].path"),
        ('path = "general.jsonl"', "", "neither a dataset nor a path"),
        ('path = "general.jsonl"', 'path = "gone.jsonl"', "test set general: "),
        ('path = "general.jsonl"', 'path = "general.jsonl"\nnormaliser = "englsh"', "normaliser"),
        ('path = "general.jsonl"', 'path = "general.jsonl"\nlanguage = "xx"', "language"),
        (
            'path = "general.jsonl"',
            'path = "general.jsonl"\nn_test = 99',
            "test set general: n_test = 99 was asked, but only 5",
        ),
        (
            'path = "general.jsonl"',
            'path = "general.jsonl"\nn_test = "many"',
            "data.test[0].n_test",
        ),
    ],
)
def test_a_set_that_cannot_be_had_is_told_before_anything_is_trained(folder, old, new, said):
    path = folder / "asr.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    code, told = swept(folder, "--dry-run")
    assert code not in (0, 70)
    assert said in told
    assert "Traceback" not in told


def test_a_set_is_scored_in_its_language_by_that_languages_scorer():
    from tests.store.samples import trial

    english = trial()
    assert trial_on(english, TestSet(name="a", path="x"), None) is english
    french = trial_on(english, TestSet(name="a", path="x", language="fr"), None)
    assert (french.language, french.normaliser) == ("fr", "unicode")
    assert trial_on(english, TestSet(name="a", path="x", language="en"), "fr").language is None
    assert (
        trial_on(english, TestSet(name="a", path="x", normaliser="none"), None).normaliser == "none"
    )
