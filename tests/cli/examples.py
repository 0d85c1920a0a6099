"""A folder with all that examples name, and an example run in it as it stands."""

from __future__ import annotations

import copy
import csv
import json
import shlex
import shutil
import sqlite3
import wave
from collections.abc import Sequence
from pathlib import Path

import click
from click.testing import CliRunner, Result

from planner.cli.main import cli
from planner.store.engine import upgrade
from tests.notebooks.conftest import STORED

SHOWN = {
    "7f3a9100ab12": "SELECT answer_id FROM plans",
    "f7802f7f3f76": "SELECT fit_id FROM law_fits",
}
"""Ids in examples -> where one that exists comes from."""
SLOW = ("--html", "--png", "--svg", "suggest", "fit compare", "--predict", "--runs 24 --backbone")
"""Examples that take seconds."""


def whole() -> click.Group:
    """The command with the runner's, which a plug-in adds; the planner's own group stays as it is."""
    from runner.cli import register

    group = copy.copy(cli)
    group.commands, group.offers = dict(cli.commands), dict(cli.offers)
    register(group)
    return group


def run(arguments: Sequence[str], group: click.Group = cli) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=False)


def words_of(line: str) -> list[str]:
    """The arguments of a line for the shell, without its comment and where its output goes."""
    words = shlex.split(line, comments=True)[1:]
    return words[: words.index(">")] if ">" in words else words


def run_line(line: str, group: click.Group = cli) -> Result:
    """Run `soundscale …` in the working folder, ids being those that its database holds."""
    words = words_of(line)
    if any(word in SHOWN for word in words):
        known = sqlite3.connect("soundscale.db")
        words = [known.execute(SHOWN[w]).fetchone()[0] if w in SHOWN else w for w in words]
        known.close()
    return run(words, group)


def fill(folder: Path) -> None:
    """A database with an answer, tables, a token, an export, a manifest, a backbone."""
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
    _fill_tables(folder)
    _fill_recordings(folder)


def _fill_tables(folder: Path) -> None:
    axes = [(n, d) for n in (1e6, 4e6, 16e6) for d in (1e8, 4e8, 16e8)]
    loss = [1.5 + 40 * n**-0.3 + 90 * d**-0.3 for n, d in axes]
    rows = [(*a, x) for a, x in zip(axes, loss, strict=True)]
    table(folder / "runs.csv", ["params", "tokens", "loss"], rows)
    words = [
        (n, t, 0.03 + 0.05 * (n / 1e8) ** -0.5 + 0.02 * (t / 8) ** -0.9)
        for n in (39e6, 74e6, 244e6, 769e6)
        for t in (4, 8, 12, 30)
    ]
    table(folder / "wer.csv", ["n_params", "audio_seconds", "wer"], words)
    table(folder / "next.csv", ["params", "tokens"], [(32e6, 3.2e9)])
    curves = [
        (s, n, w * n**-0.1)
        for s, w in zip("abcd", (0.4, 0.5, 0.7, 0.9), strict=True)
        for n in (39, 244, 1550)
    ]
    table(folder / "curves.csv", ["set", "params", "wer"], curves)
    table(folder / "ahead.csv", ["set", "params"], [("a", 2000), ("", 2000)])
    asked = ["--axes", "params,tokens", "--error", "loss", "--law", "additive"]
    run(["fit", "table", str(folder / "runs.csv"), *asked, "--save", str(folder / "law.json")])
    results = [("asr", "whisper-tiny", 30.0, 0.1), ("asr", "whisper-base", 30.0, 0.08)]
    table(folder / "results.csv", ["task", "backbone", "audio_seconds", "error"], results)
    board = ["model", "RTFx", "License", "Size (B)", "# Languages", "Encoder", "Decoder", "AMI WER"]
    ranked = [
        "openai/whisper-large-v3",
        146,
        "Apache 2.0",
        1.55,
        99,
        "Transformer",
        "Transformer",
        15.95,
    ]
    table(folder / "leaderboard.csv", board, [ranked])


def _fill_recordings(folder: Path) -> None:
    (folder / "clips").mkdir()
    rows = []
    for i in range(12):
        with wave.open(str(folder / "clips" / f"{i}.wav"), "wb") as clip:
            clip.setparams((1, 2, 16000, 0, "NONE", ""))
            clip.writeframes(bytes([0, 0, 0, 16, 0, 0, 0, 240]) * 8000)
        split = "train" if i < 2 else "test"
        rows.append((f"clips/{i}.wav", f"sentence of clip {'abcdefghijkl'[i]}", "anna", split))
    table(folder / "mine.csv", ["path", "text", "speaker", "split"], rows)


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
