"""The wheel is whole: far from the repository, without extras, the planner's path works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd=None, check=True):
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SOUNDSCALE_DB")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def planner_only(tmp_path_factory):
    """The folder of a fresh environment that has the wheel and its base dependencies alone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    run(*build, str(ROOT))
    wheel = next(folder.glob("*.whl"))
    run(sys.executable, "-m", "venv", str(folder / "env"))
    pip = [str(folder / "env/bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-c", str(ROOT / "constraints.txt"), str(wheel))
    return folder


def test_the_planner_runs_without_torch_far_from_the_repository(planner_only, tmp_path):
    soundscale = str(planner_only / "env/bin/soundscale")
    run(soundscale, "db", "upgrade", cwd=tmp_path)
    run(soundscale, "runs", "import", "same2026", cwd=tmp_path)
    fit = run(soundscale, "fit", "run", "--task", "asr", "-f", "json", cwd=tmp_path)
    assert json.loads(fit.stdout)["n_runs"] == 7
    question = ["plan", "--task", "asr", "--flops", "520G", "--measured-only", "-f", "json"]
    answer = json.loads(run(soundscale, *question, cwd=tmp_path).stdout)
    assert answer["best"]["config"]["backbone"] == "whisper-small"


def test_torch_and_ray_are_not_there(planner_only, tmp_path):
    python = str(planner_only / "env/bin/python")
    for module in ("torch", "ray", "transformers", "peft"):
        done = run(python, "-c", f"import {module}", cwd=tmp_path, check=False)
        assert "ModuleNotFoundError" in done.stderr


def test_a_command_of_the_runner_says_how_to_get_it(planner_only, tmp_path):
    (tmp_path / "spec.toml").write_text('name = "x"\ntask = "asr"\n')
    command = [str(planner_only / "env/bin/soundscale"), "sweep", "run", "spec.toml"]
    done = run(*command, cwd=tmp_path, check=False)
    assert done.returncode == 5, done.stderr
    assert "pip install 'soundscale[runner]'" in done.stderr
