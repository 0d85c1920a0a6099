"""The sweep and data commands as people type them: exit codes, stdout, stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from planner.cli import main
from tests.campaign.made import NO_LATENCY
from tests.probing.made import Fake


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def soundscale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Run the command in this process, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOUNDSCALE_DB", f"sqlite:///{tmp_path}/runs.db")

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["soundscale", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return run


ONE = (("[2, 3]", "2"), ('["none", "stem:2"]', '"none"'), NO_LATENCY)
"""Changes that leave one trial."""


def test_a_sweep_is_run_and_told_in_json_alone_on_stdout(soundscale, write_spec):
    done = soundscale("sweep", "run", write_spec(NO_LATENCY), "--ray", "none", "-f", "json")
    answer = json.loads(done.out)
    assert (done.code, answer["result"]["n_trained"], len(answer["trials"])) == (0, 3, 3)
    assert "3 trained now · 3 of 3 finished" in done.err
    again = soundscale("sweep", "run", write_spec(NO_LATENCY), "--ray", "none", "-f", "json")
    assert json.loads(again.out)["result"]["n_trained"] == 0
    assert "nothing was trained" in again.err


def test_a_host_is_drained_listed_and_given_back(soundscale, write_spec):
    assert soundscale("sweep", "run", write_spec(*ONE), "--ray", "none", "--quiet").code == 0
    drained = soundscale("sweep", "drain", "node7", "--wait", "5", "-f", "json")
    (row,) = json.loads(drained.out)
    assert (drained.code, row["host"], row["n_running"]) == (0, "node7", 0)
    assert "soundscale sweep drain node7 --undo" in drained.err
    assert soundscale("sweep", "drain", "node7", "--undo").code == 0
    assert json.loads(soundscale("sweep", "drain", "-f", "json").out) == []
    assert soundscale("sweep", "drain", "--undo").code == 2


def test_a_sweep_is_foretold_set_against_what_it_took_and_the_next_forecast_rests_on_it(
    soundscale, write_spec
):
    spec = write_spec()
    assert soundscale("sweep", "run", spec, "--ray", "none", "--quiet").code == 0
    found = json.loads(soundscale("sweep", "report", "micro", "-f", "json").out)
    for row in found["trials"]:
        planned = row["planned_trial_seconds"]
        assert planned["low"] < planned["value"] < planned["high"]
        assert row["trial_seconds"] > 0
        assert row["planned_train_flops"] == pytest.approx(row["train_flops"], rel=0.3)
    assert found["summary"]["trial_seconds"]["n_compared"] == 3
    text = soundscale("sweep", "report", "micro")
    assert "inside the 90 % interval" in text.err
    more = write_spec(("[2, 3]", "[2, 3, 4]"))
    found = json.loads(soundscale("sweep", "run", more, "--dry-run", "-f", "json").out)
    total = found["total"]
    assert (total["source"], total["n_earlier_trials"], total["n_trials"]) == ("measured", 3, 2)
    assert total["trial_seconds"]["low"] < total["trial_seconds"]["high"]


def test_a_dry_run_on_a_named_device_uses_its_data_sheet(soundscale, write_spec):
    found = soundscale(
        "sweep", "run", write_spec(), "--dry-run", "--device", "h100", "--workers", 2
    )
    assert "3 trials on h100" in found.err
    assert "from peak FLOP/s and assumptions alone" in found.err
    unknown = soundscale("sweep", "run", write_spec(), "--dry-run", "--device", "h900")
    assert (unknown.code, "unknown device 'h900'" in unknown.err) == (2, True)
    running = soundscale("sweep", "run", write_spec(), "--device", "h100")
    assert (running.code, "goes with --dry-run" in running.err) == (2, True)


def test_a_gpu_without_a_data_sheet_keeps_no_sweep_from_starting(write_spec, tmp_path):
    from planner.costs.trial_forecast import forecast
    from planner.words.records import Device
    from runner.sweep.forecast import place_of, work_of
    from runner.sweep.prepare import prepare

    gpu = Device(name="rtx-3090", kind="cuda", model="", n_threads=1, memory_bytes=24 * 2**30)
    place = place_of(None, gpu)
    prepared = prepare(write_spec(), f"sqlite:///{tmp_path}/none.db", print)
    works = [work_of(t, r, prepared.corpus, place.kind) for t, r in prepared.trials]
    found = [forecast(work, place.rates) for work in works]
    assert {(f.device, f.source) for f in found} == {("rtx-3090", "assumption")}
    assert all(f.trial_seconds.low < f.trial_seconds.value for f in found)


def test_a_trial_that_cannot_fit_the_machine_is_refused_before_it_starts(
    soundscale, write_spec, tmp_path, monkeypatch
):
    monkeypatch.setattr("runner.trial.device._total_memory", lambda: 2**20)
    done = soundscale("sweep", "run", write_spec(), "--ray", "none")
    assert done.code == 2
    assert "needs at least" in done.err
    assert "has 1 MiB" in done.err
    assert not (tmp_path / "runs.db").exists()


def test_failed_trials_end_in_exit_code_7_and_say_how_to_see_why(soundscale, write_spec):
    spec = write_spec(("steps = 2", "steps = 2\nlearning_rate = 1e30\nclip_norm = 1e30"))
    done = soundscale("sweep", "run", spec, "--ray", "none", "--quiet")
    assert done.code == 7
    assert "3 of 3 trials of sweep 'micro' failed; why: soundscale sweep status micro" in done.err
    status = soundscale("sweep", "status", "micro", "-f", "json")
    rows = json.loads(status.out)["trials"]
    assert {row["failure_class"] for row in rows} == {"diverged"}
    queued = soundscale("sweep", "retry", "micro", "--failed")
    assert "3 trials of sweep 'micro' are queued again" in queued.err


def test_missing_weights_end_before_anything_is_written(soundscale, write_spec, tmp_path):
    spec = write_spec(('initialisation = "random"', 'initialisation = "pretrained"'))
    done = soundscale("sweep", "run", spec, "--ray", "none")
    assert done.code == 5
    assert "weights of whisper-micro cannot be had" in done.err
    assert not (tmp_path / "runs.db").exists()


def test_missing_data_ends_before_anything_is_written(soundscale, write_spec, manifest, tmp_path):
    spec = write_spec()
    manifest.unlink()
    done = soundscale("sweep", "run", spec, "--ray", "none")
    assert done.code == 5
    assert "tones.jsonl does not exist" in done.err
    assert not (tmp_path / "runs.db").exists()


def test_a_window_that_no_training_clip_fits_is_refused_before_anything_runs(
    soundscale, write_spec, tmp_path
):
    done = soundscale("sweep", "run", write_spec(("[2, 3]", "[1, 2]")), "--ray", "none")
    assert done.code == 2
    assert "axes.audio_seconds: no training clip fits a window of 1 s" in done.err
    assert not (tmp_path / "runs.db").exists()


def test_a_wrong_spec_is_one_line_and_exit_2(soundscale, write_spec, tmp_path):
    done = soundscale("sweep", "run", write_spec(("steps", "stepps")))
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "did you mean optimisation.steps?" in done.err
    assert not (tmp_path / "runs.db").exists()


ONE = (('["none", "stem:2"]', '"none"'), ("[2, 3]", "2"))


def test_a_sweep_that_is_not_there_names_those_that_are(soundscale, write_spec):
    soundscale("sweep", "run", write_spec(*ONE), "--ray", "none", "-q")
    done = soundscale("sweep", "status", "mikro")
    assert done.code == 2
    assert "unknown sweep 'mikro'; known: micro (did you mean micro?)" in done.err
    listed = json.loads(soundscale("sweep", "list", "-f", "json").out)
    assert [(s["name"], s["trials"], s["finished"]) for s in listed] == [("micro", 1, 1)]
    watched = soundscale("sweep", "watch", "micro")
    assert (watched.code, watched.out) == (0, "")
    assert "sweep 'micro': 1 of 1 done" in watched.err


def test_retry_without_saying_which_is_a_usage_error(soundscale):
    assert soundscale("sweep", "retry", "micro").code == 2


def test_data_check_lists_every_unusable_row(soundscale, tmp_path):
    rows = [{"path": "gone.wav", "text": "one"}, {"path": "", "text": "two"}]
    (tmp_path / "bad.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = soundscale("data", "check", "bad.jsonl", "-f", "json")
    assert done.code == 2
    assert [row["row"] for row in json.loads(done.out)["faulty_rows"]] == [1, 2]


def test_data_check_tells_what_a_sound_manifest_holds(soundscale, manifest):
    report = json.loads(soundscale("data", "check", manifest, "-f", "json").out)
    assert (report["n_clips"], report["faulty_rows"], report["broken"]) == (12, [], [])
    assert "12 clips, 18 s of audio" in soundscale("data", "check", manifest).out


def test_a_programming_errors_trace_is_shown_with_its_run(soundscale, write_spec, monkeypatch):
    def broken(*args: object, **options: object) -> None:
        raise TypeError("a wrong turn")

    monkeypatch.setattr("runner.trial.run.run_trial", broken)
    assert soundscale("sweep", "run", write_spec(), "--ray", "none", "--quiet").code == 7
    shown = soundscale("runs", "show", 1)
    assert "Traceback (most recent call last)" in shown.out
    assert "TypeError: a wrong turn" in shown.out


def test_a_cancelled_sweep_is_watched_to_its_end_and_queued_again(
    soundscale, write_spec, monkeypatch
):
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.campaign.drive.Campaign._loop", interrupted)
    soundscale("sweep", "run", write_spec(), "--ray", "none", "--quiet")
    assert "3 trials of sweep 'micro' are cancelled" in soundscale("sweep", "cancel", "micro").err
    watched = soundscale("sweep", "watch", "micro")
    assert "sweep 'micro': 0 of 3 done, 3 cancelled" in watched.err
    again = soundscale("sweep", "retry", "micro", "--cancelled")
    assert "3 trials of sweep 'micro' are queued again" in again.err


def test_artifacts_go_to_a_url_and_results_say_where(soundscale, write_spec, tmp_path):
    location = f"file://{tmp_path}/bucket"
    spec = write_spec(NO_LATENCY)
    ran = soundscale("sweep", "run", spec, "--ray", "none", "-q", "--artifacts", location)
    assert ran.code == 0, ran.err
    places = [row["artifact"] for row in json.loads(soundscale("runs", "list", "-f", "json").out)]
    assert all(place.startswith(location) for place in places)
    assert len(list((tmp_path / "bucket").glob("*/adapter_model.safetensors"))) == 3
    assert not list((tmp_path / "bucket/checkpoints").rglob("*.safetensors"))


@pytest.fixture
def fake_process(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    Fake.turns, Fake.ends_after = 0, None
    monkeypatch.setattr("runner.probing.stage.StageProcess", Fake)
    return Fake


QUIET = ('latency = "beside"', 'latency = "quiet"')


def test_a_sweep_ends_with_its_latency_alone_on_the_host(soundscale, write_spec, fake_process):
    done = soundscale("sweep", "run", write_spec(QUIET), "--ray", "none")
    assert done.code == 0
    assert "latency: 3 configurations in turns, alone on" in done.err
    told = json.loads(soundscale("sweep", "report", "micro", "-f", "json").out)
    (stage,) = told["latency_stages"]
    assert (stage["state"], stage["n_contestants"], stage["n_rounds"]) == ("finished", 3, 8)
    assert "A against A" in soundscale("sweep", "report", "micro").err
    shown = json.loads(soundscale("runs", "show", 1, "-f", "json").out)["latencies"]
    assert len(shown) == 2
    assert (shown[0]["load"] != "quiet", shown[1]["load"]) == (True, "quiet")
    assert 0 <= shown[-1]["share_above_p95"] <= 1
    turns = fake_process.turns
    assert "nothing to measure" in soundscale("sweep", "latency", "micro").err
    assert fake_process.turns == turns
    again = json.loads(soundscale("sweep", "latency", "micro", "--again", "-f", "json").out)
    assert [row["quiet"] for row in again["runs"]] == [True, True, True]
    assert len(again["latency_stages"]) == 1


def test_a_sweep_that_is_stopped_while_it_measures_goes_on_there(
    soundscale, write_spec, fake_process
):
    fake_process.ends_after = 5
    stopped = soundscale("sweep", "run", write_spec(QUIET), "--ray", "none")
    assert (stopped.code, "finished turns are stored" in stopped.err) == (130, True)
    fake_process.ends_after = None
    done = soundscale("sweep", "run", write_spec(QUIET), "--ray", "none")
    assert (done.code, "going on after 2 rounds" in done.err) == (0, True)
    assert fake_process.turns == 3 * 8


def test_latency_can_be_left_out(soundscale, write_spec, fake_process):
    spec = write_spec(
        ("[2, 3]", "2"), ('"none", "stem:2"', '"none"'), (QUIET[0], 'latency = "none"')
    )
    assert soundscale("sweep", "run", spec, "--ray", "none").code == 0
    assert json.loads(soundscale("runs", "show", 1, "-f", "json").out)["latencies"] == []
    assert fake_process.turns == 0
    assert soundscale("sweep", "run", write_spec((QUIET[0], 'latency = "loud"'))).code == 2
