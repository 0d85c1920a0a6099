"""The command `soundscale`: parse, one service call, print.

Exit codes: 0 done; 1 a bug (with its traceback); 2 bad input or usage; 3 no configuration meets the
limits; 4 no usable fit; 5 weights, data or a package missing; 6 the database; 7 trials failed;
8 probability too low; 9 too far outside the data; 10 Ray or storage is away. `--help` imports click alone.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Any

import click

from planner.cli import plugins
from planner.cli.options import talk
from planner.errors import MissingResourceError, SoundscaleError
from planner.words.secrets import redacted

_COLLECT_AFTER = (50_000, 20, 50)
"""When cycles are looked for (objects; assumption: some MB of them may wait). At Python's 700 a command that
only imports and answers spent a tenth of its time on it (notebooks/LOG.md: speed of the planner)."""

# Command -> (module, attribute, one line of help). The module is imported when the command is used.
_LAZY: dict[str, tuple[str, str, str]] = {
    "plan": (
        "planner.cli.commands.plan",
        "plan",
        "The configuration with the fewest expected errors under a FLOP and latency budget.",
    ),
    "frontier": (
        "planner.cli.commands.plan",
        "frontier_command",
        "The lowest expected error at each cost: the Pareto frontier with its intervals.",
    ),
    "whatif": (
        "planner.cli.commands.plan",
        "whatif_command",
        "One configuration's predicted error, costs and chance of meeting each limit.",
    ),
    "suggest": (
        "planner.cli.commands.plan",
        "suggest",
        "Which runs to do next: the value of information about this decision for each hour.",
    ),
    "design": (
        "planner.cli.commands.design",
        "design",
        "A sweep before any run: its points, and the interval widths to expect from it.",
    ),
    "answers": (
        "planner.cli.commands.answers",
        "answers",
        "Stored answers: list, show and replay them.",
    ),
    "fit": (
        "planner.cli.commands.fit",
        "fit",
        "Fit scaling laws and look at them.",
    ),
    "runs": (
        "planner.cli.commands.runs",
        "runs",
        "List, show and import runs.",
    ),
    "compare": (
        "planner.cli.commands.compare",
        "compare",
        "Runs against the first, paired by utterance and speaker: difference, p, and what decides.",
    ),
    "costs": (
        "planner.cli.commands.costs",
        "costs",
        "FLOPs by part, memory and training cost of one configuration.",
    ),
    "backbones": (
        "planner.cli.commands.costs",
        "backbones",
        "Known backbones by their dimensions; add your own.",
    ),
    "devices": (
        "planner.cli.commands.costs",
        "devices",
        "Devices that latencies were measured on.",
    ),
    "db": (
        "planner.cli.commands.db",
        "db",
        "Create, upgrade and describe the database.",
    ),
    "serve": (
        "planner.cli.commands.serve",
        "serve",
        "Serve the planner page and the HTTP API.",
    ),
    "tokens": (
        "planner.cli.commands.serve",
        "tokens",
        "Tokens of the HTTP service: who may ask, and what.",
    ),
    "plot": (
        "planner.cli.commands.plot",
        "plot",
        "Draw the frontier, a fit or the axes: in the terminal, or as PNG, SVG or HTML.",
    ),
    "config": (
        "planner.cli.commands.settings",
        "config",
        "Where settings come from.",
    ),
    "completion": (
        "planner.cli.commands.settings",
        "completion",
        "Print the script that completes commands, options and names from the database.",
    ),
}
"""The line of help stands here too, so that a list of commands imports none; a test compares the two."""


class SoundscaleGroup(click.Group):
    """Loads commands when they are named, and turns errors raised on purpose into one line.

    Attributes:
        offers: what plug-ins offer to commands of the planner by name, such as `transcriber` to `serve`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.offers: dict[str, Any] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The planner's commands, then those of installed plug-ins such as the runner."""
        return sorted({*_LAZY, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if name in _LAZY:
            module, attribute, _ = _LAZY[name]
            command: click.Command = getattr(importlib.import_module(module), attribute)
        else:
            found = super().get_command(ctx, name)
            if found is None:
                return None
            command = found
        if "_SOUNDSCALE_COMPLETE" in os.environ:
            from planner.cli import completion

            completion.attach(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Like click's, with a line of progress for what takes longer than two seconds."""
        from planner.cli import progress

        with progress.shown(" ".join(w for w in sys.argv[1:3] if not w.startswith("-"))):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Like click's, with the lines of help that are known without importing the commands."""
        width = formatter.width - 6 - max(len(name) for name in self.list_commands(ctx))
        rows = []
        for name in self.list_commands(ctx):
            text = _LAZY[name][2] if name in _LAZY else None
            command = click.Command(name, help=text) if text else self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(width)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, but an unknown command names the nearest known one."""
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            self._unknown(ctx, name)
        found = super().resolve_command(ctx, args)
        if found[0] is not None and found[1] is not None and not ctx.resilient_parsing:
            from planner.cli import config

            # `config` itself tells where values come from, and reads the files for it.
            asked = {"-h", "--help"} & set(args)
            if not asked and found[0] not in ("config", "completion"):
                ctx.default_map = {found[0]: config.defaults(found[0], found[1])}
        return found

    def _unknown(self, ctx: click.Context, name: str) -> None:
        import difflib

        known = self.list_commands(ctx)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if name in ("sweep", "quickstart", "probe", "data", "export", "transcribe", "classify"):
            hint = "; it comes with the runner: pip install 'soundscale[runner]'"
        ctx.fail(f"unknown command {name!r}; known: {', '.join(known)}{hint}")


@click.group(cls=SoundscaleGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="soundscale", prog_name="soundscale")
def cli() -> None:
    """Which speech model, how much audio and how many encoder tokens make the fewest errors.

    Runs the experiments, keeps every run in SQL, fits scaling laws and plans from them.

    \b
    A fit and a plan in seconds, without a GPU:
      soundscale runs import same2026
      soundscale fit run --task asr
      soundscale plan --task asr --flops 520G
    The whole path on real speech:
      soundscale quickstart
    """


def _register_plugins() -> None:
    for register in plugins.registrars():
        register(cli)


_EXTRAS = {
    "runner": (
        "torch transformers peft ray jiwer soundfile soxr safetensors pydantic huggingface_hub"
    ),
    "service": "fastapi uvicorn starlette structlog prometheus_client python_multipart",
    "notebooks": "altair vl_convert",
    "parquet": "pyarrow",
    "hub": "datasets",
    "onnx": "onnx onnxscript onnxruntime",
    "openvino": "openvino nncf",
    "ctranslate2": "ctranslate2",
    "vad": "faster_whisper",
}
"""Extra -> the modules that come with it."""


def _extra_of(module: str) -> str | None:
    """The extra that brings a module that is not there; None for one that should be."""
    root = module.split(".")[0]
    return next((extra for extra, names in _EXTRAS.items() if root in names.split()), None)


def _one_line(problem: click.ClickException) -> str:
    """The message of a usage error, with the help to turn to."""
    text = problem.format_message().rstrip(".")
    text = f"{text[:1].lower()}{text[1:]}".replace("\n", " ")
    where = getattr(problem, "ctx", None)
    return f"{text}; see: {where.command_path} --help" if where is not None else text


def main() -> None:
    """Run the command; an error raised on purpose is one line on stderr and its exit code."""
    if sys.argv[1:2] and sys.argv[1] in _LAZY.keys() - {"serve"}:
        # What imports, answers and ends; serving and the runner's commands go on for hours.
        gc.set_threshold(*_COLLECT_AFTER)
    _register_plugins()
    try:
        code: Any = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except SoundscaleError as problem:
        talk(f"soundscale: {redacted(str(problem))}")
        sys.exit(problem.exit_code)
    except ModuleNotFoundError as problem:
        extra = _extra_of(problem.name or "")
        if extra is None:
            raise
        need = f"this command needs {problem.name}, which is not installed"
        click.echo(f"soundscale: {need}; run: pip install 'soundscale[{extra}]'", err=True)
        sys.exit(MissingResourceError.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        click.echo("soundscale: interrupted", err=True)
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as bare:
        # A bare command asks what there is: its help as it stands, with the code of wrong usage.
        click.echo(bare.ctx.get_help())
        sys.exit(bare.exit_code)
    except click.ClickException as problem:
        talk(f"soundscale: {redacted(_one_line(problem))}")
        sys.exit(problem.exit_code)
    except BrokenPipeError:
        # The reader (head, less) went away: not an error of ours.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
