"""An import can be looked at, corrected and undone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from planner.errors import FitError, InputError
from planner.evidence.fit_report import warnings_of
from planner.evidence.published.tables import load_table
from planner.service import asking, fitting, lists
from planner.service.circumstances import AsOf
from planner.service.prepared import prepare
from planner.service.replay import replay
from planner.store.engine import opened
from planner.words.question import PlanQuery

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


LATENCY = f"{HEADER},device,latency_p50_ms,latency_p95_ms"
COUNTED = f"{HEADER},std_error,n_units"


def test_a_corrected_latency_count_or_standard_error_replaces_what_was_stored(files):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.1,gpu,20,30", header=LATENCY))
    report = fitting.import_results(db, write("asr,whisper-tiny,8,0.1,gpu,25,30", header=LATENCY))
    assert "latency_p50_ms 20 is 25 now" in report.changes[0]
    assert lists.runs(db)[0]["latency_p50_ms"] == 25
    fitting.import_results(db, write("asr,whisper-base,8,0.1,0.01,500", header=COUNTED))
    report = fitting.import_results(db, write("asr,whisper-base,8,0.1,0.02,600", header=COUNTED))
    assert "std_error 0.01 is 0.02 now, n_units 500 is 600 now" in report.changes[0]


def test_a_row_that_is_not_in_the_file_any_more_is_named_with_its_remedy(files):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.1", "asr,whisper-base,8,0.1"))
    report = fitting.import_results(db, write("asr,whisper-tiny,18,0.1", "asr,whisper-base,8,0.1"))
    assert "runs 1" in report.notes[0]
    assert "soundscale runs remove 1 --why corrected" in report.notes[0]
    assert len(errors(db)) == 3


def _elsewhere(tmp_path, *rows, name="r.csv"):
    path = tmp_path / "elsewhere" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([HEADER, *rows]))
    return str(path)


def test_a_file_that_was_moved_is_the_same_source_and_may_correct_its_rows(files, tmp_path):
    write, db = files
    rows = ("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.2", "asr,whisper-small,8,0.1")
    fitting.import_results(db, write(*rows))
    report = fitting.import_results(db, _elsewhere(tmp_path, *rows[:2], "asr,whisper-small,8,0.15"))
    assert (report.n_new, report.n_known) == (1, 2)
    assert "wer 0.1 is 0.15 now" in report.changes[0]
    assert "from another folder: its rows are the same source" in report.notes[0]
    assert sorted(errors(db)) == [0.15, 0.2, 0.3]


def test_another_file_of_the_same_name_is_another_source(files, tmp_path):
    write, db = files
    fitting.import_results(db, write("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.2"))
    other = _elsewhere(tmp_path, "asr,whisper-tiny,8,0.25", "asr,whisper-base,8,0.15")
    assert fitting.import_results(db, other).n_new == 2
    assert sorted(errors(db)) == [0.15, 0.2, 0.25, 0.3]


def test_a_table_that_was_imported_before_folders_counted_is_known(files):
    from planner.store import write as store

    write, db = files
    path = write("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.2")
    with opened(db) as engine:
        before = [
            store.ImportedRun(
                trial=dataclasses.replace(r.trial, dataset_digest="imported:r.csv"),
                record=r.record, source=r.source, source_kind=r.source_kind,
            )
            for r in load_table(path).rows
        ]  # fmt: skip
        store.import_runs(engine, before, "imported")
    assert fitting.import_results(db, path).n_new == 0
    report = fitting.import_results(db, write("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.02"))
    assert "wer 0.2 is 0.02 now" in report.changes[0]


def test_an_answer_and_a_law_that_rest_on_removed_runs_say_so(files):
    write, db = files
    fitting.import_results(
        db,
        write(
            *(f"asr,whisper-{s},30,{e}" for s, e in (("tiny", 0.3), ("base", 0.2), ("small", 0.1)))
        ),
    )
    answer = asking.plan(db, PlanQuery(task="asr", flops=1e15)).json
    fitting.remove_runs(db, [2], who="ann", why="typed in percent")
    said = lists.answer(db, answer["answer_id"])["warnings"][0]
    assert said["code"] == "rests-on-removed-runs"
    assert "run 2, removed by ann" in said["message"]
    assert "typed in percent" in said["message"]
    assert [a["rests_on_removed_runs"] for a in lists.answers(db)] == [1]
    assert lists.fit(db, answer["fit_id"]).notes[-1]["code"] == "rests-on-removed-runs"
    with pytest.raises(InputError, match="cannot be made again: ask the question anew"):
        replay(db, answer["answer_id"])


def test_a_whole_import_is_taken_out_by_its_file_and_nothing_else_is(files, tmp_path):
    write, db = files
    path = write("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.2")
    fitting.import_results(db, path)
    fitting.import_results(db, _elsewhere(tmp_path, "asr,whisper-small,8,0.1", name="other.csv"))
    assert fitting.remove_runs(db, [], who="ann", why="another set", imported=path) == 2
    assert errors(db) == [0.1]
    with pytest.raises(InputError, match=r"no run was imported from r\.csv"):
        fitting.remove_runs(db, [], who="ann", why="again", imported="r.csv")
    assert fitting.import_results(db, path).n_new == 2


def test_imports_of_one_name_from_two_folders_are_told_apart(files, tmp_path):
    write, db = files
    here = write("asr,whisper-tiny,8,0.3", "asr,whisper-base,8,0.2")
    fitting.import_results(db, here)
    there = _elsewhere(tmp_path, "asr,whisper-small,8,0.1")
    fitting.import_results(db, there)
    with pytest.raises(InputError, match=r"several folders: r\.csv:\w{12} \(2 runs\)") as problem:
        fitting.remove_runs(db, [], who="ann", why="x", imported="r.csv")
    named = next(w for w in str(problem.value).split() if w.startswith("r.csv:"))
    assert fitting.remove_runs(db, [], who="ann", why="x", imported=named) == 2
    assert errors(db) == [0.1]
    assert fitting.remove_runs(db, [], who="ann", why="x", imported=there) == 1


def test_a_published_table_is_taken_out_by_its_name_and_a_file_that_was_not_imported_is_not(files):
    write, db = files
    fitting.import_results(db, "same2026")
    assert fitting.remove_runs(db, [], who="ann", why="x", imported="same2026") > 10
    assert errors(db) == []
    with pytest.raises(InputError, match="no run was imported from"):
        fitting.remove_runs(db, [], who="ann", why="x", imported=write("asr,whisper-tiny,8,0.3"))
    with pytest.raises(InputError, match="no run is named"):
        fitting.remove_runs(db, [], who="ann", why="x")


def test_two_languages_of_one_table_are_a_law_each(files):
    write, db = files
    sizes = (("tiny", 0.3), ("base", 0.2), ("small", 0.14), ("medium", 0.1))
    rows = [f"asr,whisper-{s},30,{e},en" for s, e in sizes]
    rows += [f"asr,whisper-{s},30,{2 * e},de" for s, e in sizes[:3]]
    fitting.import_results(db, write(*rows, header=f"{HEADER},language"))
    with opened(db) as engine:
        report = fitting.fit(engine, "asr")
    assert {row.setup.language for row in report.evidence.rows} == {None}
    assert "language 'de'" in str(warnings_of(report))
    with pytest.raises(InputError, match=r"row 1 of r\.csv.*unknown language 'gr'"):
        fitting.import_results(db, write("asr,whisper-tiny,30,0.1,gr", header=f"{HEADER},language"))


@pytest.mark.parametrize("seconds", ["8000", "30.5"])
def test_a_window_that_the_backbone_cannot_hear_is_refused(files, seconds):
    write, db = files
    with pytest.raises(InputError, match="is longer than a window of whisper-tiny, at most 30 s"):
        fitting.import_results(db, write(f"asr,whisper-tiny,{seconds},0.1"))


TIMED = f"{HEADER},device,latency_p50_ms,latency_p95_ms,mean_output_tokens"
SOON = PlanQuery(task="asr", latency_ms=60_000.0)


@pytest.mark.parametrize(("tokens", "p50"), [("", "400"), ("", ""), ("70", "400"), ("0", "400")])
def test_a_latency_that_a_table_tells_is_what_a_plan_shows_and_calls_imported(files, tokens, p50):
    write, db = files
    rows = [("tiny", 0.163, "100", 120), ("base", 0.12, "200", 220), ("small", 0.09, p50, 500)]
    told = [f"asr,whisper-{n},30,{e},gpu,{p50},{p95},{tokens}" for n, e, p50, p95 in rows]
    fitting.import_results(db, write(*told, header=TIMED))
    best = asking.plan(db, SOON).json["best"]
    assert best["config"]["backbone"] == "whisper-small"
    assert best["costs"]["latency_ms"]["value"] == pytest.approx(500)
    assert best["costs"]["latency_ms"]["source"] == "imported"


def test_an_answer_of_before_keeps_the_latency_that_it_gave(files):
    write, db = files
    told = [
        f"asr,whisper-{n},30,{e},gpu,{p50},{p95},{tokens}"
        for n, e, p50, p95, tokens in (
            ("tiny", 0.163, 100, 120, 60), ("base", 0.12, 200, 220, ""), ("small", 0.09, 400, 500, ""),
        )
    ]  # fmt: skip
    fitting.import_results(db, write(*told, header=TIMED))
    fresh = asking.plan(db, SOON).json
    known = AsOf(
        run_ids=frozenset(fresh["evidence"]), latency_id=fresh["evidence_latency_id"],
        fit_id=fresh["fit_id"], untold_as_none=True,
    )  # fmt: skip
    with opened(db) as engine:
        answer = asking.answer_from(prepare(engine, SOON, known)).json
        as_told = json.dumps(answer).replace('"source": "imported"', '"source": "measured window"')
        before = {**json.loads(as_told), "latency_rule": "requests/1", "answer_id": "0" * 12}
        asking.keep(engine, before)
    assert replay(db, "0" * 12)[0]
    shown, now = (a["best"]["costs"]["latency_ms"]["value"] for a in (before, fresh))
    assert abs(shown - now) > 1
