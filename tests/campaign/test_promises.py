"""The promises of docs/ are the names of tests."""

import dataclasses
import re
from pathlib import Path

import pytest

from planner.words.question import PlanQuery
from runner.data.clips import DataSpec

ROOT = Path(__file__).resolve().parents[2]


def defined_tests() -> set[str]:
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }


def test_every_promise_of_a_campaign_is_a_test():
    page = (ROOT / "docs" / "campaign-promises.md").read_text()
    table = page.partition("| promise | held by |\n|---|---|\n")[2]
    promises = table.partition("\n\n")[0].splitlines()
    named = [set(re.findall(r"`(test_\w+)`", line)) for line in promises]
    assert len(named) >= 15
    assert all(named), "a promise that names no test"
    assert set.union(*named) <= defined_tests()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_every_row_of_what_happens_when_something_dies_names_its_test(page):
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    # Keys of questions and of sweep files that are called so.
    keys = {f.name for kind in (PlanQuery, DataSpec) for f in dataclasses.fields(kind)}
    assert named - keys <= defined_tests()
    rows = page.read_text().partition("| what | what happens |")[2].partition("\n\n")[0]
    for row in rows.splitlines()[2:]:
        assert "`test_" in row, row


def test_every_fault_that_was_found_once_names_the_tests_that_hold_it():
    page = (ROOT / "docs/running-a-cluster.md").read_text()
    table = page.split("| once | held by |\n|---|---|\n")[1].partition("\n\n")[0].splitlines()
    named = [re.findall(r"`(test_\w+)`", line) for line in table]
    assert len(named) == 15
    assert all(named), "a fault that names no test"
    assert {name for names in named for name in names} <= defined_tests()
