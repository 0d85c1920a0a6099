"""The command `soundscale`: parse, one service call, print.

Exit codes: 0 done; 1 a bug (with its traceback); 2 bad input or usage; 3 no configuration meets the
limits; 4 no usable fit; 5 weights, data or a package missing; 6 the database; 7 trials failed;
8 probability too low; 9 too far outside the data. `--help` imports click alone.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points
from typing import Any

import click

from planner.errors import MissingResourceError, SoundscaleError

# Command -> (module, attribute, one line of help). The module is imported when the command is used.
_LAZY: dict[str, tuple[str, str]] = {
    "plan": ("planner.commands.plan", "plan"),
    "frontier": ("planner.commands.plan", "frontier"),
    "whatif": ("planner.commands.plan", "whatif"),
    "suggest": ("planner.commands.plan", "suggest"),
    "design": ("planner.commands.design", "design"),
    "answers": ("planner.commands.plan", "answers"),
    "fit": ("planner.commands.fit", "fit"),
    "runs": ("planner.commands.runs", "runs"),
    "costs": ("planner.commands.costs", "costs"),
    "backbones": ("planner.commands.costs", "backbones"),
    "devices": ("planner.commands.costs", "devices"),
    "db": ("planner.commands.db", "db"),
    "serve": ("planner.commands.serve", "serve"),
    "tokens": ("planner.commands.serve", "tokens"),
}


class SoundscaleGroup(click.Group):
    """Loads commands when they are named, and turns errors raised on purpose into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The planner's commands, then those of installed plug-ins such as the runner."""
        return sorted({*_LAZY, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if name in _LAZY:
            module, attribute = _LAZY[name]
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, but an unknown command names the nearest known one."""
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            self._unknown(ctx, name)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> None:
        import difflib

        known = self.list_commands(ctx)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        if name in ("sweep", "quickstart", "probe", "data"):
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
    for point in entry_points(group="soundscale.commands"):
        try:
            point.load()(cli)
        except ImportError:
            # The runner's extra is not installed: its commands answer with how to get it.
            continue


_EXTRAS = {
    "runner": (
        "torch transformers peft ray jiwer soundfile soxr safetensors pydantic huggingface_hub"
    ),
    "service": "fastapi uvicorn starlette structlog prometheus_client",
    "notebooks": "altair vl_convert",
    "parquet": "pyarrow",
    "hub": "datasets",
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
    _register_plugins()
    try:
        code: Any = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except SoundscaleError as problem:
        click.echo(f"soundscale: {problem}", err=True)
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
    except click.ClickException as problem:
        click.echo(f"soundscale: {_one_line(problem)}", err=True)
        sys.exit(problem.exit_code)
    except BrokenPipeError:
        # The reader (head, less) went away: not an error of ours.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
