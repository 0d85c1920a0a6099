"""A sweep that names engines: its runs are exported, scored and timed in them, beside what is not trained."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from planner.cli import main
from planner.errors import MissingResourceError, UnknownNameError
from planner.store.engine import open_store
from planner.store.engine_results import engine_latencies, engine_results, exports
from planner.store.read import runs
from planner.words.catalogue import BUILT_IN
from planner.words.records import Adaptation, Reduction
from runner.engines import formats
from runner.exports.in_sweep import checked, chosen_runs, engines_of, longest_first
from runner.sweep.beside import verdict
from runner.sweep.file import parse_spec
from tests.campaign.made import SPEC, write_tones

TABLE = {
    "name": "s", "task": "asr", "engines": ["onnxruntime:int8", "ctranslate2"],
    "axes": {"backbone": "whisper-tiny.en", "audio_seconds": 4},
}  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of one micro trial and its untrained checkpoint, in CTranslate2."""
    folder = tmp_path_factory.mktemp("swept")
    text = SPEC.format(task="asr", backbone="whisper-micro", manifest=write_tones(folder))
    for old, new in (
        ("[2, 3]", "2"),
        ('["none", "stem:2"]', '"none"'),
        ('latency = "beside"', 'latency = "quiet"\nengines = ["ctranslate2"]\nreference = true'),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "micro.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SOUNDSCALE_DB", f"sqlite:///{folder}/runs.db")
        for arguments in (
            ["sweep", "run", "micro.toml", "--ray", "none", "--artifacts", "a", "--quiet"],
        ):
            patch.setattr(sys, "argv", ["soundscale", *arguments])
            with pytest.raises(SystemExit) as ended:
                main.main()
            assert not ended.value.code
    return folder


def test_every_finished_run_is_scored_and_timed_in_the_engine(swept):
    store = open_store(f"sqlite:///{swept}/runs.db")
    found = runs(store, status="finished")
    assert sorted(r.trial.adaptation.kind for r in found) == ["lora", "none"]
    assert {r.trial.audio_seconds for r in found} == {2.0, 30.0}
    results = engine_results(store)
    assert {(one.run_id, one.engine, one.precision) for one in results} == {
        (r.run_id, "ctranslate2", "float32") for r in found
    }
    assert all(one.n_equal_texts == one.n_utterances for one in results)
    assert all(exports(store, r.run_id)[0].folder.startswith(str(swept / "a")) for r in found)
    timed = {s.run_id: s.measured.latency for s in engine_latencies(store)}
    assert sorted(timed) == sorted(r.run_id for r in found)
    assert all(one.method.endswith("in turns") for one in timed.values())
    store.dispose()


def test_a_report_shows_engines_and_says_what_training_buys(swept, monkeypatch, capsys):
    monkeypatch.chdir(swept)
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "soundscale",
            "sweep",
            "report",
            "micro",
            "--db",
            f"sqlite:///{swept}/runs.db",
            "-f",
            "json",
        ],
    )
    with pytest.raises(SystemExit):
        main.main()
    report = json.loads(capsys.readouterr().out)
    assert {row["engine"] for row in report["engines"]} == {"ctranslate2"}
    (reference,) = report["references"]
    assert reference["verdict"].startswith("untrained whisper-micro · 30 s")
    assert "tuning and shortening buy" in reference["verdict"]


@pytest.mark.parametrize(
    ("difference", "half", "mine", "bought"),
    [
        (-0.02, 0.01, 100.0, "fewer errors"),
        (-0.02, 0.01, 50.0, "fewer errors and less time"),
        (0.0, 0.01, 50.0, "less time, errors not told apart"),
        (0.02, 0.01, 50.0, "less time, at more errors"),
        (-0.005, 0.01, 100.0, "nothing: take the untrained checkpoint"),
        (0.02, 0.01, 100.0, "nothing: take the untrained checkpoint"),
    ],
)
def test_a_verdict_says_plainly_when_training_buys_nothing(difference, half, mine, bought):
    row = {
        "label": "tiny", "error": 0.05, "best_label": "best", "cost_ms": 100.0, "engine": "torch",
        "best_cost_ms": mine, "best_engine": "torch", "difference": difference, "difference_half": half,
    }  # fmt: skip
    assert verdict(row).endswith(f"tuning and shortening buy {bought}")


def test_an_engine_that_is_not_installed_stops_a_sweep_or_is_told(monkeypatch):
    spec = parse_spec(TABLE, "s.toml")
    monkeypatch.setattr(
        formats, "find_spec", lambda name: None if name == "onnxruntime" else object()
    )
    with pytest.raises(MissingResourceError, match=r"pip install 'soundscale\[onnx\]'"):
        checked(spec, print)
    told = []
    assert checked(spec, told.append, lenient=True).engines == ["ctranslate2"]
    assert "left out: format onnx needs onnxruntime" in told[0]


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(UnknownNameError, match="unknown engine 'onnx'; known: onnxruntime"):
        checked(parse_spec(TABLE | {"engines": ["onnx"]}, "s.toml"), print)


def run(run_id, error, reduction="none", kind="lora:8"):
    trial = SimpleNamespace(
        backbone="whisper-tiny.en", audio_seconds=12.0, reduction=Reduction.parse(reduction),
        adaptation=Adaptation.parse(kind), padding="dynamic", task="asr",
    )  # fmt: skip
    return SimpleNamespace(run_id=run_id, error=error, provenance="measured", trial=trial)


def test_the_frontier_leaves_out_what_another_run_beats_in_errors_and_flops():
    rows = [run(1, 0.05), run(2, 0.06, "stem:2"), run(3, 0.07, "stem:2"), run(4, 0.9, kind="none")]
    spec = parse_spec(TABLE | {"engine_runs": "frontier"}, "s.toml")
    assert [r.run_id for r in chosen_runs(rows, spec, BUILT_IN)] == [1, 2, 4]
    assert len(chosen_runs(rows, parse_spec(TABLE, "s.toml"), BUILT_IN)) == 4


def test_the_frontier_ends_where_errors_are_twice_the_fewest():
    rows = [run(1, 0.05), run(2, 0.1, "stem:2"), run(3, 0.11, "stem:4")]
    spec = parse_spec(TABLE | {"engine_runs": "frontier"}, "s.toml")
    assert [r.run_id for r in chosen_runs(rows, spec, BUILT_IN)] == [1, 2]


def test_an_untrained_checkpoint_beside_a_frontier_takes_the_first_engine_alone():
    trained, untrained = run(1, 0.05), run(2, 0.04, kind="none")
    frontier = parse_spec(TABLE | {"engine_runs": "frontier"}, "s.toml")
    every = parse_spec(TABLE, "s.toml")

    def names(row, spec):
        return [form.engine for form, _ in engines_of(row, spec)]

    assert names(untrained, frontier) == ["onnxruntime"]
    both = ["onnxruntime", "ctranslate2"]
    assert names(trained, frontier) == names(untrained, every) == names(trained, every) == both


def test_the_run_that_was_scored_longest_is_exported_first():
    rows = [
        SimpleNamespace(run_id=i, score_seconds=s) for i, s in ((1, 20.0), (2, None), (3, 90.0))
    ]
    assert [row.run_id for row in longest_first(rows)] == [3, 1, 2]
