"""Stored texts by other scorers: from the database alone, beside a run's own error, apart from every law."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from planner.cli.commands.runs import runs
from planner.cli.main import cli
from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.evidence.limits import limits_of_evidence
from planner.evidence.study import gather
from planner.service import lists
from planner.store.engine import open_store
from planner.store.read_evidence import learned_runs
from planner.store.scorings import scorings
from planner.store.write import ImportedRun, import_runs
from planner.words.records import Evaluation, RunRecord, Utterance
from runner.cli import register
from runner.trial.rescore import rescored
from runner.trial.scoring import counted, part_ends
from tests.evidence.rows import run as finished_run
from tests.store.samples import trial

WORDS = st.lists(st.sampled_from(["hold", "ten", "11", "Line,", "one", "$5", "40"]), max_size=6)
PARTS = ["Dial ten eleven forty", "one"]


def heard(name, reference, hypothesis, parts=None, speaker="a"):
    words = counted("whisper-english", parts or [reference], [hypothesis]).words
    return Utterance(
        utterance_id=name, speaker=speaker, reference=reference, hypothesis=hypothesis,
        n_units=words.n_units, n_errors=words.n_errors, audio_seconds=3.0,
        part_ends=part_ends(parts or [reference]),
    )  # fmt: skip


TEXTS = (
    heard("a", "Hold the line", "hold the line"),
    heard("b", " ".join(PARTS), "dial 10 11 41", PARTS),
    heard("c", "Press the pound key", "press a pound key"),
    Utterance(
        utterance_id="d", speaker="a", reference="broken", hypothesis="", n_units=0, n_errors=0,
        audio_seconds=1.0, failure_text="no such file",
    ),
)  # fmt: skip


@pytest.fixture
def db(tmp_path):
    """A database of one run with texts, one without, and one of emotion."""
    path = str(tmp_path / "runs.db")
    engine = open_store(path)
    sound = [u for u in TEXTS if u.failure_text is None]
    evaluation = Evaluation(
        split="test", metric="wer", error=0.25, n_units=sum(u.n_units for u in sound),
        n_errors=sum(u.n_errors for u in sound), n_utterances=3, n_broken=1, utterances=TEXTS,
        details={"n_windows_at_limit": 2, "utterances_at_limit": ["a", "c"], "n_errors_at_cuts": 1},
    )  # fmt: skip
    bare = Evaluation(split="test", metric="wer", error=0.5)
    emotion = Evaluation(split="test", metric="unweighted_error", error=0.4)
    rows = [
        ImportedRun(trial=t, record=RunRecord(status="finished", evaluations=(e,)), source="t")
        for t, e in (
            (trial(seed=1), evaluation),
            (trial(seed=2), bare),
            (
                trial(seed=3, task="emotion", normaliser="none", reduction=trial().reduction),
                emotion,
            ),
        )
    ]
    import_runs(engine, rows, "imported")
    engine.dispose()
    return path


def asked(db, *words):
    register(cli)
    done = CliRunner().invoke(
        cli, ["runs", "rescore", *words, "--db", db, "-f", "json"], standalone_mode=False
    )
    if done.exception is not None:
        raise done.exception
    return json.loads(done.output)


def test_texts_are_scored_again_without_audio_and_stored_under_the_scorers_version(db):
    rows = asked(db, "--scorer", "english-digits", "--scorer", "raw/1")
    assert [(r["run_id"], r["scorer"]) for r in rows] == [(1, "english-digits/1"), (1, "raw/1")]
    # `forty one` was two prompts: 4 0 1, and 41 is one digit short of it.
    assert rows[0]["n_errors"] == 2
    assert rows[0]["n_units"] == 3 + 8 + 4
    engine = open_store(db)
    assert [s.scorer for s in scorings(engine, 1)] == ["english-digits/1", "raw/1"]
    assert scorings(engine, 1)[1].error == rows[1]["error"]
    engine.dispose()


def test_scoring_twice_stores_once_and_no_law_sees_it(db):
    before = learned_runs(engine := open_store(db), "asr")
    asked(db, "1", "--scorer", "leaderboard")
    again = asked(db, "1", "--scorer", "leaderboard")
    assert len(scorings(engine, 1)) == len(again) == 1
    assert learned_runs(engine, "asr") == before
    engine.dispose()


def test_the_own_scorer_gives_the_own_counts(db):
    (row,) = asked(db, "1", "--scorer", "none")
    sound = [u for u in TEXTS if u.failure_text is None]
    wanted = [counted("none", [u.reference], [u.hypothesis]).words for u in sound]
    assert row["n_errors"] == sum(w.n_errors for w in wanted)
    assert row["n_utterances"] == 3


def test_what_was_scored_again_and_what_was_cut_is_shown_with_the_run(db):
    asked(db, "1", "--scorer", "english-digits")
    shown = lists.run_detail(db, 1)
    assert shown["scorer"] == "whisper-english/1"
    assert shown["language"] == "en"
    assert [s["scorer"] for s in shown["scorings"]] == ["english-digits/1"]
    assert (shown["n_windows_at_limit"], shown["utterances_at_limit"]) == (2, "a, c")
    assert shown["share_of_errors_at_cuts"] == 1 / shown["n_errors"]


def test_runs_that_have_no_texts_and_names_that_are_not_known_are_refused(db):
    assert asked(db, "2") == []
    with pytest.raises(InputError, match="run 3 is of emotion"):
        asked(db, "3")
    with pytest.raises(UnknownNameError, match="english-digit"):
        asked(db, "--scorer", "english-digit")


def test_without_the_runner_the_message_says_how_to_get_it(db):
    done = CliRunner().invoke(runs, ["rescore", "--db", db], standalone_mode=False)
    assert isinstance(done.exception, MissingResourceError)
    assert "soundscale[runner]" in str(done.exception)


@given(
    st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5), st.sampled_from(["raw", "unicode"])
)
def test_counts_add_up_over_utterances(pairs, scorer):
    texts = [heard(str(i), " ".join(a), " ".join(b)) for i, (a, b) in enumerate(pairs)]
    one_by_one = [counted(scorer, [t.reference], [t.hypothesis]).words for t in texts]
    if not sum(w.n_units for w in one_by_one):
        with pytest.raises(InputError, match="no reference word"):
            rescored(texts, scorer)
        return
    found = rescored(texts, scorer)
    assert found["n_errors"] == sum(w.n_errors for w in one_by_one)
    kinds = ("n_substitutions", "n_insertions", "n_deletions")
    assert found["n_errors"] == sum(found[kind] for kind in kinds)
    assert found["error"] == found["n_errors"] / found["n_units"]


def test_runs_of_two_scorers_or_two_languages_are_never_one_law():
    def rows(**changes):
        return [finished_run(i, factor=2**i, **changes) for i in range(3)]

    mixed = [
        *rows(),
        *[dataclasses.replace(r, run_id=r.run_id + 5) for r in rows(normaliser="raw")],
    ]
    evidence = gather(mixed, "asr")
    assert len(evidence.rows) == 3
    assert all("normaliser" in why for _, why in evidence.exclusions)
    mixed = [*rows(), *[dataclasses.replace(r, run_id=r.run_id + 5) for r in rows(language="fr")]]
    assert all("language" in why for _, why in gather(mixed, "asr").exclusions)


def test_an_answer_warns_of_texts_that_were_cut_and_loops_and_of_nothing_from_before():
    def evidence(details):
        made = [finished_run(i, factor=2**i, n_units=10, n_errors=2) for i in range(3)]
        return gather([dataclasses.replace(r, evaluation_details=details) for r in made], "asr")

    new = {"n_windows_at_limit": 2, "n_windows_looped": 1, "utterances_at_limit": ["a"]}
    told = {w["code"]: w["message"] for w in limits_of_evidence(evidence(new), None)}
    assert told["texts-cut"].startswith("6 windows reached the limit")
    assert "runs 0, 1, 2" in told["texts-loop"]
    codes = {w["code"] for w in limits_of_evidence(evidence({"n_windows_at_limit": 2}), None)}
    assert not codes & {"texts-cut", "texts-loop"}
