"""Comparing stored runs: a real quickstart's, emotion runs made for it, and what is refused."""

import csv
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import InputError
from planner.service import compare as service
from planner.service import lists
from planner.store import claims
from planner.store.engine import open_store, upgrade
from planner.store.write import register_sweep
from planner.words.records import Evaluation, Resources, Utterance
from tests.notebooks.conftest import STORED
from tests.store.samples import LEASE, WORKER, claim_any, finished, trial


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    copy = str(shutil.copy(STORED, tmp_path_factory.mktemp("compare") / "quickstart.db"))
    upgrade(copy)
    return copy


def said(i, hypothesis, n_errors, **changes):
    values = {
        "utterance_id": f"u{i:03d}", "speaker": f"s{i % 8}", "reference": "press one now",
        "hypothesis": hypothesis, "n_units": 3, "n_errors": n_errors, "n_substitutions": n_errors,
        "n_insertions": 0, "n_deletions": 0, "audio_seconds": 2.0,
    }  # fmt: skip
    return Utterance(**values | changes)


def stored(folder, scored, metric="wer", **changes):
    """A database with one run for each list of utterances; `changes` are lists of a trial's fields."""
    db = str(folder / "made.db")
    engine = open_store(db)
    per_run = [{k: v[i] for k, v in changes.items()} for i in range(len(scored))]
    trials = [(trial(seed=i, **c), Resources()) for i, c in enumerate(per_run)]
    sweep = register_sweep(engine, "made", "{}", trials).sweep_id
    for rows in scored:
        evaluation = Evaluation(
            split="test", metric=metric, error=0.1, n_utterances=len(rows), utterances=tuple(rows)
        )
        claim = claim_any(engine, sweep, WORKER, LEASE)
        assert claims.finish(engine, claim, finished(evaluations=(evaluation,), latencies=()))
    engine.dispose()
    return db


def test_the_table_of_a_real_quickstart(quickstart):
    found = service.compare(quickstart, [1, 4, 5])
    assert [r["n_errors"] for r in found["runs"]] == [25, 41, 49]
    for run in found["runs"]:
        assert run["error"] == pytest.approx(lists.run_detail(quickstart, run["run_id"])["error"])
    worse, unsure = found["comparisons"]
    assert worse["told_apart"]
    assert worse["better_run_id"] == 1
    assert not unsure["told_apart"]
    assert worse["p"] < worse["p_holm"] < 0.05
    assert "this one speaker" in found["scope"]


def test_what_decides_adds_up(quickstart):
    every = service.compare(quickstart, [1, 4], n_deciding=28)["comparisons"][0]
    total = sum(u["contribution"] for u in every["deciding"])
    assert total == pytest.approx(every["difference"])
    assert len(every["deciding"]) == every["n_differing"]
    sizes = [abs(u["contribution"]) for u in every["deciding"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_words_shown_spell_what_was_heard(quickstart):
    for u in service.compare(quickstart, [1, 5])["comparisons"][0]["deciding"]:
        heard = "".join(w for kind, _, w in u["words"] if kind != "d")
        letters = "".join(c for c in u["hypothesis"].lower() if c.isalnum() or c == "'")
        assert heard.replace("'", "") == letters.replace("'", "")


def test_a_copy_reads_as_equal(tmp_path):
    rows = [said(i, "press won now", 1) for i in range(30)]
    db = stored(tmp_path, [rows, rows])
    text = CliRunner().invoke(cli, ["compare", "1", "2", "--db", db]).stdout
    found = service.compare(db, [1, 2])["comparisons"][0]
    assert (found["p"], found["p_improvement"], found["told_apart"]) == (1.0, 0.5, False)
    assert found["tests"]["bootstrap"]["p_improvement"] == 0.5
    assert "the same number of errors in every utterance" in text


def test_one_error_more_in_every_utterance_is_sure(tmp_path):
    right = [said(i, "press one now", 0) for i in range(30)]
    wrong = [said(i, "press won now", 1) for i in range(30)]
    found = service.compare(stored(tmp_path, [right, wrong]), [1, 2])["comparisons"][0]
    assert found["told_apart"]
    assert all(test["p"] < 0.01 for test in found["tests"].values())
    assert found["p_improvement"] < 0.01


def test_speakers_are_drawn_where_several_were_scored(tmp_path):
    rng = np.random.default_rng(0)
    runs = [[said(i, "x", int(rng.integers(0, 3))) for i in range(40)] for _ in range(2)]
    found = service.compare(stored(tmp_path, runs), [1, 2])
    assert (found["clustered_by"], found["n_clusters"]) == ("speaker", 8)
    assert "new speakers" in found["scope"]


def test_a_file_that_one_run_could_not_read_is_left_out_of_both(tmp_path):
    rows = [said(i, "press one now", 0) for i in range(10)]
    broken = [dataclasses.replace(rows[0], hypothesis="", n_units=0, failure_text="cut"), *rows[1:]]
    found = service.compare(stored(tmp_path, [rows, broken]), [1, 2])
    assert (found["n_utterances"], found["n_broken"]) == (9, 1)


def emotions(right):
    labels = ["anger", "joy", "calm", "fear"]
    return [
        said(
            i, labels[i % 4] if right(i) else labels[(i + 1) % 4], int(not right(i)),
            reference=labels[i % 4], n_units=1, n_substitutions=None, n_insertions=None,
            n_deletions=None,
        )
        for i in range(80)
    ]  # fmt: skip


@pytest.fixture
def two_classifiers(tmp_path):
    """The first is right about half, the second never about fear and always about the rest."""
    scored = [emotions(lambda i: i % 3 > 0), emotions(lambda i: i % 4 != 3)]
    return stored(
        tmp_path, scored, metric="unweighted_error",
        task=["emotion"] * 2, backbone=["wav2vec2-base"] * 2,
    )  # fmt: skip


def test_emotion_is_compared_by_mean_recall_and_classes_keep_an_error(two_classifiers):
    found = service.compare(two_classifiers, [1, 2])
    assert found["runs"][1]["error"] == pytest.approx(0.25)
    one = found["comparisons"][0]
    assert one["difference"] == pytest.approx(0.25 - found["runs"][0]["error"])
    assert "mapsswe" not in one["tests"]
    fear = next(c for c in one["classes"] if c["label"] == "fear")
    assert fear["recall"] == 0.0
    assert fear["recall_interval"][0] == 0.0
    assert 0.05 < fear["recall_interval"][1] < 0.2
    assert fear["p"] < 0.01


@pytest.mark.parametrize(
    ("scored", "changes", "message"),
    [
        ((10, 8), {}, "10 and 8 scored utterances.*8 of them shared"),
        ((6, 6), {"normaliser": ["none", "whisper-basic"]}, "normaliser none, and whisper-basic"),
        ((0, 6), {}, "no utterances"),
    ],
    ids=["sets", "normalisers", "none kept"],
)
def test_what_was_not_scored_alike_is_refused_with_what_differs(tmp_path, scored, changes, message):
    runs = [[said(i, "press one now", 0) for i in range(n)] for n in scored]
    db = stored(tmp_path, runs, **changes)
    with pytest.raises(InputError, match=message):
        service.compare(db, [1, 2])


def test_another_reference_of_the_same_utterance_is_refused(tmp_path):
    rows = [said(i, "press one now", 0) for i in range(4)]
    other = [dataclasses.replace(r, reference="press one  now!") for r in rows]
    with pytest.raises(InputError, match="u000 has two references"):
        service.compare(stored(tmp_path, [rows, other]), [1, 2])


@pytest.mark.parametrize(
    ("ids", "message"),
    [([1], "two or more"), ([1, 1], "two or more different"), ([1, 999], "no run 999"),
     (list(range(1, 40)), "at most 20")],
    ids=["one", "twice", "unknown", "many"],
)  # fmt: skip
def test_a_comparison_that_cannot_be_is_refused(quickstart, ids, message):
    with pytest.raises(InputError, match=message):
        service.compare(quickstart, ids)


def test_a_split_that_was_not_scored_names_those_that_were(quickstart):
    with pytest.raises(InputError, match="not scored on dev by wer; splits that it has: test"):
        service.compare(quickstart, [1, 2], split="dev")


def test_rows_have_one_line_a_run_in_csv_and_json_lines(quickstart):
    def run(kind):
        done = CliRunner().invoke(cli, ["compare", "1", "4", "5", "--db", quickstart, "-f", kind])
        return done.stdout

    lines = [json.loads(line) for line in run("jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(run("csv"))))
    assert [r["run_id"] for r in lines] == [1, 4, 5] == [int(r["run_id"]) for r in table]
    assert lines[0]["difference"] is None
    assert lines[1]["p_mapsswe"] < 0.001


def test_the_text_says_who_is_better_how_sure_and_why(quickstart):
    text = CliRunner().invoke(cli, ["compare", "1", "4", "5", "--db", quickstart]).stdout
    assert "run 4 makes more errors than run 1: 1.93 points" in text
    assert "run 5 and run 1 are not told apart at 0.05" in text
    assert "one point needs 521 such utterances" in text
    assert "[-login-]{+lagan+}" in text


def test_classes_stand_in_the_text_of_emotion(two_classifiers):
    text = CliRunner().invoke(cli, ["compare", "1", "2", "--db", two_classifiers]).stdout
    assert "recall of run 2" in text
    assert "0.0 % [0.0, " in text
