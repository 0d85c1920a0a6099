"""What the documentation tells people to type is there, runs as it stands, and prints what is shown.

A page's blocks say what they are: `sh` is run here line by line, `console` is run and its output compared (`…`
stands for what is left out), `toml` is read as what it is, `python` is run. What needs a cluster, weights or a
server names the tests that hold it, in a comment `held by:` before it.
"""

import os
import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from planner.cli.config import KEYS
from runner.data import prompts
from runner.data.corpus import FOLDERS
from runner.sweep.file import load_spec
from runner.sweep.study_file import load_study
from tests.campaign.test_promises import defined_tests
from tests.cli.examples import SLOW, fill, run_line, whole, words_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?m)^(?:<!-- (?P<remark>.*) -->\n)?```(?P<kind>\w*)\n(?P<text>(?s:.*?))^```$")
SOUNDSCALE = whole()
KINDS = {"sh", "console", "toml", "python", "text"}
TWO_SCREENS = 140
"""Lines of a page: two of a tall window (assumption)."""
LONG = {
    "quickstart.md": "the whole transcript",
    "questions.md": "one table of every option",
    "commands.md": "one table of every command, and the exit codes",
}
"""Pages over two screens, each with its reason."""


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    remark: str

    @property
    def held(self) -> bool:
        return "held by:" in self.remark

    @property
    def lines(self) -> list[str]:
        """What is typed."""
        prompt = "$ " if self.kind in ("console", "text") else ""
        return [x.removeprefix(prompt) for x in self.text.splitlines() if x.startswith(prompt)]


def blocks(page: Path) -> list[Block]:
    return [
        Block(m["kind"], m["text"], m["remark"] or "") for m in BLOCK.finditer(page.read_text())
    ]


def commands(page: Path) -> list[list[str]]:
    typed = [line for block in blocks(page) for line in block.lines]
    return [words_of(line) for line in typed if line.startswith("soundscale ")]


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_every_command_and_option_of_a_page_exists(page):
    for words in commands(page):
        context = click.Context(SOUNDSCALE)
        command = SOUNDSCALE.get_command(context, words[0])
        if isinstance(command, click.Group) and words[1:] and not words[1].startswith("-"):
            command = command.get_command(context, words[1])
        assert command is not None, words
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


@each_page
def test_every_block_of_a_page_says_what_it_is(page):
    found = blocks(page)
    assert len(re.findall(r"(?m)^```", page.read_text())) == 2 * len(found)
    assert {block.kind for block in found} <= KINDS
    for block in found:
        named = re.findall(r"\btest_\w+", block.remark)
        assert bool(named) == block.held, block
        assert set(named) <= defined_tests(), block
        assert block.kind != "text" or not block.lines, "what is typed is run: sh or console"


@each_page
def test_whatever_is_said_to_be_held_is_held_by_tests_that_there_are(page):
    remarks = re.findall(r"<!-- (?:.*; )?held by: (.*?) -->", page.read_text())
    assert {
        name for remark in remarks for name in re.findall(r"\btest_\w+", remark)
    } <= defined_tests()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    fill(folder)
    return folder


def use(block: Block, slow: bool) -> None:
    """Do what the block says, in the working folder."""
    if block.kind == "toml":
        values = tomllib.loads(block.text)
        if "axes" in values:
            path = Path(f"{values['name']}.toml")
            path.write_text(block.text)
            load = load_study if "limits" in values else load_spec
            load(path)
            # A file names its data, which reading it does not ask for.
            source = values.get("data", {}).get("name", "manifest")
            assert "/" in source or source in (*prompts.NAMES, *FOLDERS)
        else:
            assert set(values) <= set(KEYS)
    if block.held:
        return
    if block.kind == "python":
        exec(compile(block.text, "documentation", "exec"), {})
    if block.kind not in ("sh", "console"):
        return
    for line in block.lines:
        if not line.startswith("soundscale ") or (not slow and any(s in line for s in SLOW)):
            continue
        done = run_line(line, SOUNDSCALE)
        assert done.exit_code == 0, (line, done.stderr)
        if block.kind == "console":
            shown = [part.strip("\n") for part in block.text.partition("\n")[2].split("\n…\n")]
            assert all(part in done.stdout for part in shown), (line, done.stdout)


def test_a_shown_output_that_is_not_printed_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = Block("console", "$ soundscale runs import same2026\n18 runs of same2026 stored\n", "")
    with pytest.raises(AssertionError):
        use(told, slow=False)


def typed_by_hand(page: Path) -> list[str]:
    """Lines that are no command of ours and that no test holds."""
    own = ("soundscale ", "make ", "pip install ")
    return [
        line
        for block in blocks(page)
        if block.kind in ("sh", "console") and not block.held
        for line in block.lines
        if not line.startswith(own)
    ]


@pytest.mark.parametrize(
    "slow", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["", "whole"]
)
@each_page
def test_every_example_of_a_page_runs_as_it_stands(page, slow, filled, tmp_path, monkeypatch):
    assert typed_by_hand(page) == []
    folder = tmp_path / "here"
    if any("an empty folder" in block.remark for block in blocks(page)):
        folder.mkdir()
        shutil.copy(filled / "results.csv", folder)
    else:
        shutil.copytree(filled, folder)
        shutil.rmtree(folder / "backup")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    for block in blocks(page):
        use(block, slow)


@each_page
def test_a_page_over_two_screens_has_a_reason(page):
    n_lines = len(page.read_text().splitlines())
    assert n_lines <= TWO_SCREENS or page.name in LONG


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_every_page_stands_in_the_list_of_the_site():
    listed = set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {page.name for page in PAGES} - {"README.md"}


@each_page
def test_every_file_that_a_page_points_to_is_there(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)[^)]*\)", page.read_text()):
        assert os.path.exists(page.parent / target), target
