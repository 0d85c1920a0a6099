"""A study as it is now: in JSON, in a terminal that follows it, and over HTTP."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest

from planner.errors import UnknownNameError
from planner.report.study_progress import progress_line, progress_sections, watched_text
from planner.service.study_progress import progress
from planner.store import studies
from planner.store.engine import opened
from runner.commands.study_watch import follow
from tests.studies.databases import two_studies


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    return two_studies(tmp_path_factory.mktemp("two"))


def now(db, name):
    with opened(db) as engine:
        return progress(engine, name)


def titles(found):
    return [one.title for one in progress_sections(found)]


def test_a_study_that_goes_on_says_what_it_believes_what_is_next_and_why(db):
    found = now(db, "goes-on")
    assert (found["state"], found["answer"], found["verdict"]) == ("open", None, None)
    assert found["n_runs"] == sum(run["state"] == "finished" for run in found["runs"])
    assert found["next"]
    assert all(run["state"] == "waiting" and run["why"] for run in found["next"])
    assert sum(one["hours"] for one in found["spent"]) == pytest.approx(found["hours"])
    assert found["regret"][-1]["regret_bound"] == found["belief"]["regret_bound"]
    assert titles(found)[:2] == ["The answer so far", "What is next, and why"]
    assert titles(found)[2:5] == [
        "What it was spent on", "How the regret fell", "What was ruled out, and why",
    ]  # fmt: skip


def test_what_was_ruled_out_so_far_counts_every_candidate_and_lists_the_first(db):
    found = now(db, "goes-on")
    assert sum(found["n_ruled_out"].values()) == found["n_candidates"] - 1 == 26
    assert len(found["ruled_out"]) == 12
    (section,) = [one for one in progress_sections(found) if "ruled out" in one.title]
    assert "The 12 that err least" in section.sentences[-1]


def test_a_study_that_has_ended_is_its_report_and_every_run(db):
    found = now(db, "simulated")
    assert found["state"] == "ended"
    assert found["next"] == []
    assert titles(found)[0] == "The answer"
    assert titles(found)[-1] == "Every run, and why"
    (runs,) = [one for one in progress_sections(found) if one.title == "Every run, and why"]
    assert len(runs.rows) == found["n_runs"]


def test_there_is_no_progress_of_what_is_not_there(db):
    with pytest.raises(UnknownNameError, match="unknown study 'none'"):
        now(db, "none")


@pytest.mark.parametrize("width", [80, 120])
def test_a_screen_that_is_followed_says_the_choice_and_what_is_next(db, width):
    text = watched_text(now(db, "goes-on"), width)
    assert "What is next, and why" in text
    assert "How the regret fell" in text
    sentences = [line for line in text.splitlines() if " · " not in line and "  " not in line]
    assert max(map(len, sentences)) <= width


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_watch_follows_a_study_until_it_ends(db, stream, capsys):
    with opened(db) as engine:
        study = studies.study_named(engine, "goes-on")
        # Open again, whatever ran before, as with more to spend.
        spend = dataclasses.replace(study.spend, hours=stream.isatty() + 50.0)
        studies.begin_study(engine, "goes-on", study.spec_json, study.question_json, spend)
        stored = studies.study_named(engine, "simulated").report_json or ""
        report = json.loads(stored) | {"verdict": "enough was seen"}
    looks: list[float] = []

    def ends_at_the_third_look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            with opened(db) as engine:
                studies.end_study(engine, study.study_id, "enough was seen", None, report)

    ended = follow(db, "goes-on", 7.0, stream, ends_at_the_third_look)
    assert ended["verdict"] == "enough was seen"
    assert looks == [7.0] * 3
    said = stream.getvalue() or capsys.readouterr().err
    assert "so far whisper-" in said
    assert said.count("so far") == 1 or stream.isatty(), "the same line is said once"


def test_a_line_tells_how_far_it_is(db):
    assert progress_line(now(db, "simulated")).startswith(
        f"{now(db, 'simulated')['n_runs']} runs, "
    )
