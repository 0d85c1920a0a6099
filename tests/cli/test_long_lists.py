"""A list of runs of any length: the newest by default, all of it a page at a time, the same text either way."""

import csv
import io
import json
import tracemalloc

import pytest
from click.testing import CliRunner

from planner.cli.commands.runs import NEWEST, runs
from planner.service import lists
from planner.service.fitting import import_results

HEADER = "task,backbone,audio_seconds,reduction,adaptation,seed,error"
N = 130


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    rows = [f"asr,whisper-base,{5 + k % 20},none,lora:16,{k},{0.1 + k / 1000}" for k in range(N)]
    (folder / "runs.csv").write_text("\n".join([HEADER, *rows]))
    db = str(folder / "runs.db")
    import_results(db, str(folder / "runs.csv"))
    return db


def listed(db, *arguments):
    done = CliRunner().invoke(runs, ["list", "--db", db, *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_the_newest_are_listed_in_the_order_of_their_ids_and_the_rest_is_told(many):
    done = listed(many, "-f", "json")
    ids = [row["run_id"] for row in json.loads(done.stdout)]
    assert ids == list(range(N - NEWEST + 1, N + 1))
    assert f"the newest {NEWEST} of {N} runs" in done.stderr


def test_a_limit_or_a_page_is_as_asked_from_the_first_one(many):
    assert [r["run_id"] for r in json.loads(listed(many, "--limit", "3", "-f", "json").stdout)] == [
        1,
        2,
        3,
    ]
    page = listed(many, "--limit", "2", "--after", "60", "-f", "json")
    assert [r["run_id"] for r in json.loads(page.stdout)] == [61, 62]
    assert page.stderr == ""


@pytest.mark.parametrize("pages", [1, 7, 130, 1000])
@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_all_of_them_read_as_one_list_however_the_pages_fall(many, monkeypatch, form, pages):
    monkeypatch.setattr(lists, "PAGE", pages)
    text = listed(many, "--all", "-f", form).stdout
    if form == "json":
        rows = json.loads(text)
        assert text == json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    elif form == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(text)))
    assert [int(row["run_id"]) for row in rows] == list(range(1, N + 1))
    assert {float(row["audio_seconds"]) for row in rows} == {float(s) for s in range(5, 25)}


def test_none_of_them_is_an_empty_list(many):
    assert json.loads(listed(many, "--all", "-f", "json", "--task", "emotion").stdout) == []
    assert listed(many, "--all", "-f", "csv", "--task", "emotion").stdout == ""


def test_all_and_a_limit_together_are_refused(many):
    done = CliRunner().invoke(runs, ["list", "--db", many, "--all", "--limit", "3"])
    assert done.exit_code == 2
    assert "leave out --limit" in done.output


def test_a_page_alone_is_held_in_memory(many, monkeypatch):
    monkeypatch.setattr(lists, "PAGE", 5)
    most = 0
    list(lists.all_runs(many))  # what is cached once is not a row's
    tracemalloc.start()
    for page in lists.all_runs(many):
        most = max(most, tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        assert len(page) <= 5
    held_by_pages = most
    tracemalloc.stop()
    tracemalloc.start()
    whole = lists.runs(many)
    held_by_all = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(whole) == N
    assert held_by_pages < held_by_all / 2
