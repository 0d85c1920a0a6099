"""How the command behaves: what it imports, what it exits with, what goes to stdout."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import InputError
from planner.service.design import design_sweep

HEAVY = ("numpy", "scipy", "pandas", "torch", "ray", "sqlalchemy", "transformers", "peft", "rich", "pydantic",
         "importlib.metadata")  # fmt: skip


def imported_by(*arguments: str) -> set[str]:
    code = (
        "import sys, json\n"
        f"sys.argv = ['soundscale', *{list(arguments)!r}]\n"
        "from planner.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def soundscale(*arguments: str, cwd=None):
    command = [sys.executable, "-m", "planner.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "--help"],
        ["runs", "import", "--help"],
        ["sweep", "--help"],
        ["no-such"],
    ],
    ids=" ".join,
)
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    assert imported_by(*arguments) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "--task", "asr", "--flops", "0"], "positive"),
        (["plan", "--task", "asr", "--flops", "nan"], "positive"),
        (["plan", "--task", "asr", "--flops", "20Q"], "unknown FLOP unit"),
        (["plan", "--task", "asr", "--latency", "5parsec"], "unknown time unit"),
        (["plan", "--task", "asr"], "no limit is given"),
        (["plan", "--task", "translation", "--flops", "1G"], "unknown task"),
        (["runs", "import", "same2062"], "did you mean same2026?"),
        (["costs", "--backbone", "whisper-smal", "--audio-seconds", "30"], "did you mean"),
        (["pan"], "did you mean plan?"),
        *(
            (["costs", "--backbone", "whisper-tiny", "--audio-seconds", s], "must be positive")
            for s in ("nan", "inf", "0", "-3")
        ),
        (["costs", "--backbone", "whisper-tiny", "--audio-seconds", "31"], "use at most 30 s"),
        (
            [
                "costs",
                "--backbone",
                "whisper-tiny",
                "--audio-seconds",
                "9",
                "--reduction",
                "layer9:2",
            ],
            "use layer 1 to",
        ),
        (["probe", "--seconds", "nan"], "must be a positive number"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_bad_input_is_a_line_on_stderr_and_exit_2(arguments, said, tmp_path):
    done = soundscale(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["plot", "frontier", "--task", "asr", "--svg"],
        ["fit", "run", "--task", "asr", "--report"],
        ["suggest", "--task", "asr", "--hours", "1", "--emit"],
    ],
    ids=" ".join,
)
def test_a_file_for_a_folder_that_is_not_there_is_refused_before_any_work(words, tmp_path):
    done = CliRunner().invoke(cli, [*words, str(tmp_path / "none" / "out")])
    assert done.exit_code == 2
    assert "there is no folder" in done.output


def test_a_design_whose_windows_no_backbone_hears_says_where_they_end():
    with pytest.raises(InputError, match="their windows end at 30 s"):
        design_sweep("asr", 12, "optimal", audio_seconds=[31.0])


def test_a_database_that_is_not_there_says_how_to_fill_one(tmp_path):
    done = soundscale("plan", "--task", "asr", "--flops", "1G", cwd=tmp_path)
    assert done.returncode == 6
    assert "runs import same2026" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_lists_of_an_empty_database_are_empty_and_not_an_error(tmp_path):
    assert soundscale("db", "upgrade", cwd=tmp_path).returncode == 0
    for command in (["runs", "list"], ["fit", "list"], ["answers", "list"], ["devices", "list"]):
        done = soundscale(*command, "-f", "json", cwd=tmp_path)
        assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_what_takes_long_draws_a_line_until_somebody_writes():
    import io
    import threading

    from planner.cli.progress import Line

    class Stream(io.StringIO):
        drawn = threading.Event()

        def flush(self):
            self.drawn.set()

    stream = Stream()
    line = Line("fit run", stream, quiet_seconds=0.0)
    line.start()
    assert Stream.drawn.wait(60)
    line.end()
    written = stream.getvalue()
    line.end()
    assert "soundscale fit run" in written
    assert written.endswith("\r\033[K")
    assert stream.getvalue() == written


def test_what_is_quick_draws_nothing():
    import io

    from planner.cli.progress import Line

    stream = io.StringIO()
    line = Line("fit run", stream, quiet_seconds=3600.0)
    line.start()
    line.end()
    assert stream.getvalue() == ""
