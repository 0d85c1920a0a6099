"""Whatever other people's files wrote into a database, no listing sends what steers a terminal."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from planner.cli import main
from planner.store import engine
from planner.store.write import add_backbone
from planner.words.catalogue import Whisper

STORED = Path(__file__).resolve().parents[1] / "fixtures/quickstart.db"
WRITTEN_BY_OTHERS = {
    "devices": ("name", "model", "driver"),
    "trials": ("dataset", "split_policy"),
    "runs": (
        "source", "failure_text", "host", "worker_version", "code_revision", "weights_source",
        "data_source", "artifact",
    ),
    "utterances": ("speaker", "reference", "hypothesis", "failure_text"),
    "latencies": ("dtype", "attention", "method"),
    "sweeps": ("name",),
}  # fmt: skip
"""Columns whose text comes from a file, a host or a name that somebody gave."""

STEERS = "\x1b]52;c;aGk=\x07\x9b31m\u202e"
SENT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The quickstart's database, with such text in every one of those columns and in a backbone's name."""
    path = str(shutil.copy(STORED, tmp_path_factory.mktemp("steering") / "runs.db"))
    engine.upgrade(path)
    own = Whisper(
        name=f"mine{STEERS}", d_model=64, encoder_layers=2, decoder_layers=2, n_heads=2, n_mels=80,
        vocab_size=100, ffn_dim=256,
    )  # fmt: skip
    with engine.opened(path) as store:
        add_backbone(store, own)
    with sqlite3.connect(path) as connection:
        for table, columns in WRITTEN_BY_OTHERS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = coalesce({column}, '') || ?", [STEERS]
                )
    connection.close()
    return path


SWEEP = f"quickstart{STEERS}"
LISTINGS = [
    ["runs", "list"], ["runs", "show", "1"], ["backbones", "list"], ["devices", "list"],
    ["answers", "list"], ["sweep", "list"], ["sweep", "status", SWEEP], ["sweep", "audit", SWEEP],
    ["sweep", "report", SWEEP], ["fit", "run", "--task", "asr"], ["fit", "list"],
    ["db", "query", "SELECT name, model FROM devices"],
    ["db", "query", "SELECT hypothesis, failure_text FROM utterances"],
]  # fmt: skip
REFUSED = [
    ["runs", "show", f"x{STEERS}"], ["sweep", "status", f"no such{STEERS}"],
    ["plan", "--task", f"asr{STEERS}"], ["compare", "1", "2"],
]  # fmt: skip


def said_by(monkeypatch: pytest.MonkeyPatch, capsys: Any, *words: str) -> tuple[object, str]:
    """The command's exit code and all that it says, as its process would."""
    main._register_plugins()
    monkeypatch.setattr(sys, "argv", ["soundscale", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    said = capsys.readouterr()
    return end.value.code, said.out + said.err


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda words: " ".join(words[:2]))
def test_no_listing_sends_what_the_database_holds_to_steer_a_terminal(
    db, listing, monkeypatch, capsys
):
    for output_format in ("table", "json"):
        code, said = said_by(monkeypatch, capsys, *listing, "--db", db, "-f", output_format)
        assert (code, SENT.findall(said)) == (0, [])
        assert said


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(words[:2]))
def test_no_error_sends_what_was_typed_or_stored_to_steer_a_terminal(
    db, words, monkeypatch, capsys
):
    code, said = said_by(monkeypatch, capsys, *words, "--db", db)
    assert (code, SENT.findall(said)) == (2, [])
    assert "soundscale: " in said
