"""`soundscale study` as people type it: a micro study that really trains, listed, explained and shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.cli import main
from planner.service.studies import _use
from tests.campaign.made import write_tones

MICRO = """
name = "micro"
task = "emotion"
initialisation = "random"
latency = "none"

[data]
name = "manifest"
path = "{manifest}"

[axes]
backbone = "wav2vec2-micro"
audio_seconds = [1, 2, 3]
reduction = ["none", "stem:2"]
adaptation = "lora:2"

[optimisation]
steps = 1
batch_size = 2

[limits]
flops = "1T"

[spend]
hours = {hours}
"""


@pytest.fixture
def soundscale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process, in a working directory of its own; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOUNDSCALE_DB", f"sqlite:///{tmp_path}/runs.db")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["soundscale", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def write(folder: Path, hours: float = 0.02) -> Path:
    path = folder / "micro.toml"
    path.write_text(MICRO.format(manifest=write_tones(folder), hours=hours))
    return path


# Micro runs cost so little of its hours that it makes some hundred, with a law after each: nine minutes in CI.
@pytest.mark.slow
def test_a_study_is_run_listed_explained_and_shown_from_the_command_line(soundscale, tmp_path):
    code, out, err = soundscale("study", write(tmp_path), "--ray", "none", "-f", "json")
    assert code == 0, err
    report = json.loads(out)
    assert report["n_runs"] >= 5
    assert report["answer"] is not None or "no law" in report["verdict"]
    page = (tmp_path / "soundscale-reports" / "micro.html").read_text()
    assert "What was ruled out" in page
    assert (tmp_path / "soundscale-reports" / "micro.md").read_text().startswith("# Study micro")
    (row,) = json.loads(soundscale("study", "list", "-f", "json")[1])
    assert (row["name"], row["state"]) == ("micro", "ended")
    explained = json.loads(soundscale("study", "explain", "micro", "-f", "json")[1])
    assert len(explained["runs"]) == report["n_runs"]
    assert explained["runs"][0]["why"].startswith("first design")
    assert json.loads(soundscale("study", "show", "micro", "-f", "json")[1]) == report
    again = soundscale("study", "micro.toml", "--ray", "none")
    assert "has ended: nothing was trained" in again[2]
    assert "The answer" in again[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["study", "none.toml", "--hours", "1"], "cannot read study file none.toml"),
        (["study", "micro.toml", "--until", "soon"], "until 'soon' cannot be read"),
        (["study", "micro.toml", "--hours", "-1"], "hours must be a positive number"),
        (["study", "show", "none"], "unknown study 'none'"),
        (
            ["study", "micro.toml", "--hours", "1", "--gpu-hours", "1"],
            "both given; give one of them",
        ),
        (["study", "micro.toml", "--ray", "none", "--gpu-hours", "1"], "runs use no GPU here"),
        (
            ["study", "micro.toml", "--ray", "none", "--hours", "0.00001"],
            "too few for two runs of study",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, said, soundscale, tmp_path):
    write(tmp_path)
    soundscale("runs", "import", "same2026")
    code, _, err = soundscale(*arguments)
    assert code == 2
    (line,) = [each for each in err.splitlines() if each.startswith("soundscale: ")]
    assert said in line
    assert err.rstrip().endswith(line)


def test_a_file_may_be_changed_until_its_first_runs_are_chosen(soundscale, tmp_path):
    path = write(tmp_path)
    refused = soundscale("study", path, "--ray", "none", "--hours", "0.00001")
    assert refused[0] == 2
    path.write_text(path.read_text().replace("[1, 2, 3]", "[2, 3]"))
    again = soundscale("study", path, "--ray", "none", "--hours", "0.00001")
    assert "too few for two runs" in again[2]


def test_a_study_in_which_nothing_keeps_its_limits_ends_with_the_code_of_no_answer(
    soundscale, tmp_path
):
    path = write(tmp_path)
    path.write_text(path.read_text().replace('flops = "1T"', 'flops = "1T"\nmemory = "1kB"'))
    code, out, err = soundscale("study", path, "--ray", "none")
    assert code == 3, err
    assert "no answer: nothing meets the limits: no configuration of 6 meets" in out
    assert "relax one: memory" in out


@pytest.mark.parametrize(
    ("task", "engine", "commands"),
    [
        ("asr", None, ["transcribe FILE.wav --answer a1", "export a1 --to onnx OUT"]),
        ("asr", "ctranslate2", ["transcribe FILE.wav --answer a1", "export a1 OUT"]),
        ("emotion", "torch", ["classify FILE.wav --answer a1", "export a1 --to onnx OUT"]),
    ],
)
def test_a_report_names_commands_that_take_its_answer(task, engine, commands):
    """Torch is no format of an export, and classes are no text."""
    best = {"config": {"engine": engine}, "prediction": {"run_ids": [3]}}
    answer = {"answer_id": "a1", "query": {"task": task}, "best": best}
    assert _use(answer)[:-1] == [f"soundscale {command}" for command in commands]
    never_run = best | {"prediction": {"run_ids": []}}
    assert _use(answer | {"best": never_run}) == ["soundscale answers show a1"]
