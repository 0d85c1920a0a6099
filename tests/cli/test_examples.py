"""Every example of a help text, run as it stands, on the database that a quickstart leaves."""

import csv
import json
import shlex
import shutil
import sqlite3

import click
import pytest
from click.testing import CliRunner

from planner.cli.main import _LAZY, cli
from planner.store.engine import upgrade
from tests.cli.readme_commands import README, commands, examples, replaced
from tests.notebooks.conftest import STORED

SHOWN = {
    "7f3a9100ab12": "SELECT answer_id FROM plans",
    "f7802f7f3f76": "SELECT fit_id FROM law_fits",
}
"""Ids in examples -> where one that exists comes from."""
SERVES = "serve"
"""Its examples run until they are stopped; tests/http starts real servers."""


COMMANDS = dict(commands(cli))
SLOW = ("--html", "--png", "--svg", "suggest", "fit compare", "--predict", "--runs 24 --backbone")
"""Examples that take seconds."""
EXAMPLES = [
    pytest.param(e, marks=[pytest.mark.slow] if any(s in e for s in SLOW) else [])
    for name, c in COMMANDS.items()
    if name != SERVES
    for e in examples(c)
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_text_has_an_example(name):
    assert examples(COMMANDS[name])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A folder with what the examples name: a database with an answer, tables, a token, an export."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(STORED, folder / "soundscale.db")
    db = str(folder / "soundscale.db")
    upgrade(db)
    run(["plan", "--task", "asr", "--flops", "20G", "--db", db])
    run(["runs", "import", "same2026", "--db", db])
    run(["db", "export", str(folder / "backup"), "--db", db])
    (folder / "lab.token").write_text("t" * 43)
    config = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
              "decoder_attention_heads": 2, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128,
              "num_mel_bins": 80, "vocab_size": 100, "max_source_positions": 1500,
              "max_target_positions": 448, "model_type": "whisper"}  # fmt: skip
    (folder / "my-whisper").mkdir()
    (folder / "my-whisper" / "config.json").write_text(json.dumps(config))
    axes = [(n, d) for n in (1e6, 4e6, 16e6) for d in (1e8, 4e8, 16e8)]
    loss = [1.5 + 40 * n**-0.3 + 90 * d**-0.3 for n, d in axes]
    table(
        folder / "runs.csv",
        ["params", "tokens", "loss"],
        [(*a, x) for a, x in zip(axes, loss, strict=True)],
    )
    table(folder / "next.csv", ["params", "tokens"], [(32e6, 3.2e9)])
    asked = ["--axes", "params,tokens", "--error", "loss", "--law", "additive"]
    run(["fit", "table", str(folder / "runs.csv"), *asked, "--save", str(folder / "law.json")])
    rows = [("asr", "whisper-tiny", 30.0, 0.1), ("asr", "whisper-base", 30.0, 0.08)]
    table(folder / "results.csv", ["task", "backbone", "audio_seconds", "error"], rows)
    return folder


def table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def run(arguments):
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_as_it_stands(example, filled, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    shutil.copytree(filled, folder)
    if "revoke" in example:
        run(["tokens", "add", "ci", "--db", str(folder / "soundscale.db")])
    if " backup" in example and " export " in example:
        shutil.rmtree(folder / "backup")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    words = shlex.split(example)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    known = sqlite3.connect("soundscale.db")
    words = [known.execute(SHOWN[w]).fetchone()[0] if w in SHOWN else w for w in words]
    known.close()
    done = run(words)
    assert done.exit_code == 0, done.stderr
    assert done.stdout or done.stderr


def test_the_list_of_commands_says_what_each_says_of_itself():
    for name, (_, _, line) in _LAZY.items():
        command = cli.get_command(click.Context(cli), name)
        opening = command.help.strip().split("\n\n")[0].replace("\n", " ")
        assert opening == line, name


def test_the_readme_lists_the_commands_as_their_help_does():
    text = README.read_text(encoding="utf-8")
    assert replaced(text) == text, "run: python tests/cli/readme_commands.py"
