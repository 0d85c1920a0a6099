"""An import can be looked at, corrected and undone."""

from __future__ import annotations

import pytest

from planner.errors import FitError, InputError
from planner.service import fitting, lists
from planner.store.engine import opened

HEADER = "task,backbone,audio_seconds,wer"


@pytest.fixture
def files(tmp_path):
    path, db = tmp_path / "r.csv", str(tmp_path / "a.db")

    def write(*rows, header=HEADER):
        path.write_text("\n".join([header, *rows]))
        return str(path)

    return write, db


def errors(db):
    return [r["error"] for r in lists.runs(db) if r["status"] == "finished"]


def test_a_dry_run_shows_the_rows_and_leaves_no_database(files, tmp_path):
    write, db = files
    report = fitting.import_results(db, write("asr,whisper-tiny,8,0.1"), dry_run=True)
    assert report.dry_run == ("whisper-tiny · 8 s · 50 tokens/s · none: wer 10.00 %",)
    assert not (tmp_path / "a.db").exists()


def test_a_dry_run_on_a_database_changes_nothing_in_it(files):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.1"))
    report = fitting.import_results(
        db, write("asr,whisper-tiny,8,0.2", "asr,whisper-base,8,0.1"), dry_run=True
    )
    assert (report.n_new, len(report.changes)) == (2, 1)
    assert errors(db) == [0.1]


def test_a_corrected_file_replaces_its_own_rows_and_names_the_changes(files):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.9", "asr,whisper-base,8,0.1"))
    report = fitting.import_results(db, write("asr,whisper-tiny,8,0.09", "asr,whisper-base,8,0.1"))
    assert (report.n_new, report.n_known) == (1, 1)
    assert "wer 0.9 is 0.09 now (run 1 is kept as removed)" in report.changes[0]
    assert sorted(errors(db)) == [0.09, 0.1]


def test_one_table_with_two_results_of_one_trial_is_refused(files):
    write, db = files
    with pytest.raises(InputError, match=r"is 0.1 in one row and 0.2 in another"):
        fitting.import_results(db, write("asr,whisper-tiny,8,0.1", "asr,whisper-tiny,8,0.2"))


def test_a_latency_that_comes_later_is_added(files):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.1"))
    later = write("asr,whisper-tiny,8,0.1,gpu,20", header=f"{HEADER},device,latency_p50_ms")
    assert "latency added to run 1" in fitting.import_results(db, later).changes[0]
    assert fitting.import_results(db, later).changes == ()
    assert lists.runs(db)[0]["latency_p50_ms"] == 20


def test_a_removed_run_is_kept_with_who_and_why_and_no_law_learns_from_it(files):
    write, db = files
    path = write("asr,whisper-tiny,8,0.1")
    fitting.import_results(db, path)
    assert fitting.remove_runs(db, [1], who="ann", why="typed in percent") == 1
    shown = lists.run_detail(db, 1)
    assert (shown["status"], shown["failure_class"]) == ("failed", "removed")
    assert shown["failure_text"].endswith(": typed in percent")
    with opened(db) as engine, pytest.raises(FitError, match="no finished run"):
        fitting.fit(engine, "asr")
    with pytest.raises(InputError, match="removed before"):
        fitting.remove_runs(db, [1], who="ann", why="again")
    assert fitting.import_results(db, path).n_new == 1
