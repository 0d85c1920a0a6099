from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from runner.campaign.display import LiveTable, PlainLines, TimeLeft, choose, reason, summary, totals


def row(trial_id: int = 1, state: str = "queued", **more: object) -> SimpleNamespace:
    values = {
        "trial_id": trial_id, "state": state, "n_attempts": 0, "phase": None, "step": None,
        "n_steps": None, "loss": None, "host": None, "metric": "wer", "error": None,
        "std_error": None, "failure_class": None, "failure_text": None,
        "trial": SimpleNamespace(label=f"trial {trial_id}"),
    }  # fmt: skip
    return SimpleNamespace(**(values | more))


def status(*rows: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(name="asr", rows=rows)


DONE = row(state="finished", error=0.081, std_error=0.005)
EMOTION = row(state="finished", error=0.3, metric="unweighted_error")
RUNNING = row(state="running", phase="train", step=3, n_steps=30, loss=2.0)
FAILED = row(state="failed", failure_class="diverged", failure_text="a\nthe last line\n")
AGAIN = row(n_attempts=1, failure_class="lost-node")
ROWS = [
    pytest.param(DONE, "WER 8.1 % ± 0.5 (se)", id="done"),
    pytest.param(EMOTION, "error 30.0 %", id="emotion"),
    pytest.param(RUNNING, "train 3/30 loss 2.000", id="running"),
    pytest.param(FAILED, "diverged: the last line", id="failed"),
    pytest.param(row(), "", id="waiting"),
    pytest.param(AGAIN, "attempt 2 next: lost-node", id="again"),
]


@pytest.mark.parametrize(("trial", "text"), ROWS)
def test_a_trial_is_told_in_one_line(trial, text):
    assert summary(trial) == text


def test_totals_leave_out_what_there_is_none_of():
    rows = [row(1, "finished"), row(2, "running"), row(3)]
    assert totals(status(*rows), 200.0) == "1 of 3 done, 1 running, about 3 min 20 s left"
    assert totals(status(row(1, "finished")), 5.0) == "1 of 1 done"


def test_a_failure_without_text_says_so():
    assert reason(row(state="failed")) == "no reason recorded"


def test_plain_lines_tell_each_change_once():
    out = io.StringIO()
    lines = PlainLines(out)
    for state in ("queued", "running", "running", "finished", "finished"):
        lines.show(status(row(1, state, error=0.5)), None)
    told = out.getvalue().splitlines()
    assert len(told) == 2
    assert told[-1].endswith("trial 1: WER 50.0 %")


def test_the_time_left_is_the_work_left_at_the_pace_so_far():
    left = TimeLeft(work={1: 30.0, 2: 10.0, 3: 99.0}, began=100.0, done_before=frozenset({3}))
    rows = [row(1, "finished"), row(2), row(3, "finished")]
    assert left.seconds(rows, now=160.0) == pytest.approx(20.0)


def test_no_time_left_is_told_before_anything_is_done():
    left = TimeLeft(work={1: 1.0, 2: 1.0}, began=0.0, done_before=frozenset())
    assert left.seconds([row(1), row(2)], now=50.0) is None


def test_the_live_table_shows_failures_first_and_fits_the_screen(monkeypatch):
    monkeypatch.setenv("LINES", "14")
    monkeypatch.setenv("COLUMNS", "80")
    table = LiveTable()
    table._console.file = io.StringIO()
    rows = [row(i, "finished", error=0.1) for i in range(40)]
    rows.append(row(99, "failed", failure_class="diverged", failure_text="nan"))
    table.show(status(*rows), None)
    table.close()
    shown = table._console.file.getvalue().splitlines()
    assert sum("trial" in line for line in shown) <= 14
    assert "diverged: nan" in next(line for line in shown if "trial 99" in line)
    assert any("more" in line for line in shown)


def test_without_a_terminal_progress_is_plain_lines(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(choose(quiet=False), PlainLines)
