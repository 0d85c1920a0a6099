"""Comparing over HTTP: the JSON of the command, and what is refused."""

import json
import shutil

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.store.engine import upgrade
from tests.http.conftest import client_of
from tests.notebooks.conftest import STORED


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    copy = str(shutil.copy(STORED, tmp_path_factory.mktemp("compare") / "quickstart.db"))
    upgrade(copy)
    with client_of(copy) as client:
        yield client, copy


@pytest.mark.parametrize("options", [[], ["--level", "0.95"]], ids=["as it is", "level"])
def test_a_comparison_is_the_json_of_the_command(quickstart, options):
    client, db = quickstart
    done = CliRunner().invoke(cli, ["compare", "1", "4", "5", "--db", db, "-f", "json", *options])
    query = "&level=0.95" if options else ""
    answered = client.get(f"/v1/compare?run=1&run=4&run=5{query}")
    assert answered.status_code == 200
    assert answered.json() == json.loads(done.stdout)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("run=1", "at least 2"),
        ("run=1&run=1", "two or more different runs"),
        ("run=1&run=777", "no run 777"),
        ("run=1&run=2&split=dev", "not scored on dev"),
        ("run=1&run=2&level=1", "less than or equal to 0.999"),
        ("run=1&run=x", "integer"),
    ],
)
def test_what_cannot_be_compared_is_a_problem_that_says_why(quickstart, query, said):
    answered = quickstart[0].get(f"/v1/compare?{query}")
    assert answered.status_code == 422
    assert said in answered.json()["detail"]
