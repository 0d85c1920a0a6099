"""Options are made from the description of a question; old names work and are not shown."""

import json

import click
import pytest
from click.testing import CliRunner

from planner.cli.asked import Described
from planner.cli.main import cli
from planner.words.asked import named
from planner.words.question import CONFIGURATION, KINDS, STUDY
from tests.cli.docs_tables import commands
from tests.cli.test_manners import imported_by

COMMANDS = dict(commands(cli))
RENAMED = [
    (["costs", "--backbone", "whisper-tiny", "--audio-seconds", "9"], "--reduction", "--reduce", "stem:2"),
    (["costs", "--backbone", "whisper-tiny", "--audio-seconds", "9"], "--adaptation", "--adapt", "full"),
    (["design", "--task", "asr", "--runs", "8"], "--reduction", "--reduce", "stem:2"),
]  # fmt: skip


def options_of(name):
    return {p.name: p for p in COMMANDS[name].params if isinstance(p, click.Option)}


@pytest.mark.parametrize("command", KINDS)
def test_a_command_has_the_options_of_its_question(command):
    own = options_of(command)
    for one in KINDS[command]:
        shown = own[one.name]
        assert shown.opts == [one.option], one.name
        # click writes "nothing" as a value of its own.
        default = shown.to_info_dict()["default"]
        assert default in (one.default, None) or one.kind == "lines", one.name


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["costs"], "--backbone"),
        (["costs", "--backbone", "whisper-tiny"], "--audio-seconds"),
        (["fit", "run"], "--task"),
        (["plan", "--flops", "2G"], "--task"),
        (["plan", "target", "--task", "asr"], "--error"),
        (["whatif", "--task", "asr"], "--backbone"),
        (["suggest", "--task", "asr"], "--hours"),
        (["design"], "--task"),
    ],
    ids=lambda v: v if isinstance(v, str) else " ".join(v),
)
def test_what_is_needed_and_not_given_is_a_usage_error_that_names_it(words, missing):
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, missing in done.output) == (2, True), done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_one_option_has_one_name_and_an_old_one_is_not_in_the_help(command):
    text = CliRunner().invoke(cli, [*command.split(), "--help"]).output
    words = text.replace(",", " ").split()
    for old in ("--reduce", "--adapt", "--wer", "--gpu-hours", "--cpu-hours"):
        assert old not in words


@pytest.mark.parametrize(
    ("words", "new", "old", "value"), RENAMED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_an_old_name_does_the_same(words, new, old, value):  # fmt: skip
    by_new, by_old = (
        CliRunner().invoke(cli, [*words, name, value, "-f", "json"], catch_exceptions=False)
        for name in (new, old)
    )
    assert (by_new.exit_code, by_new.stdout) == (0, by_old.stdout)
    assert value in json.dumps(json.loads(by_new.stdout)) or value == "stem:2"


@pytest.mark.parametrize("old", ["--wer", "--gpu-hours", "--cpu-hours"])
def test_old_names_of_what_a_question_needs_are_read(old):
    command = "plan target" if old == "--wer" else "suggest"
    name = "error" if old == "--wer" else "hours"
    context = COMMANDS[command].make_context(command, [old, "0.5"])
    assert context.params[name] == 0.5


def test_the_same_field_is_the_same_option_in_every_command():
    described = {one.name: one for one in (*CONFIGURATION, *STUDY)}
    for command in COMMANDS:
        for name, own in options_of(command).items():
            if isinstance(own, Described) and name in described:
                assert own.opts == [described[name].option], command


def test_options_are_made_without_numpy_or_pydantic():
    for words in (
        ["plan", "--help"],
        ["whatif", "--help"],
        ["suggest", "--help"],
        ["costs", "--help"],
    ):
        assert imported_by(*words) == set(), words  # fmt: skip
    assert named(STUDY, "task").needed
