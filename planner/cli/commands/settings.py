"""`soundscale config` and `completion`: where settings come from, and what the shell completes."""

from __future__ import annotations

import os

import click

from planner.cli.options import db_option, echo_rows, format_option

_SETTINGS = (
    ("db", "SOUNDSCALE_DB", "soundscale.db"),
    ("artifacts", None, "soundscale-artifacts"),
    ("device", None, None),
    ("format", None, "table"),
    ("colour", "NO_COLOR", None),
    ("model hub cache", "HF_HOME", "~/.cache/huggingface"),
    ("model hub offline", "HF_HUB_OFFLINE", None),
)
"""Setting, the environment's variable for it, and the default."""


@click.group()
def config() -> None:
    """Where settings come from."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
@db_option
@format_option()
def show(origin: bool, db: str | None, output_format: str) -> None:
    """The settings that a command would run with: an option wins over the environment over files.

    Files are soundscale.toml here, [tool.soundscale] of pyproject.toml, and
    ~/.config/soundscale/config.toml; they may set db, artifacts, device and format.

    \b
    Examples:
      soundscale config show --origin
      soundscale config show --origin --db lab.db -f json
    """
    from planner.cli.config import settings
    from planner.store.engine import exists, redacted, resolve_url

    files, rows = settings(), []
    for name, variable, default in _SETTINGS:
        value, source = default, "default"
        if name == "db" and db:
            value, source = db, "option --db"
        elif variable is not None and variable in os.environ:
            value, source = os.environ[variable], f"environment {variable}"
        elif name in files:
            value, source = files[name].value, files[name].origin
        if name == "db":
            value = redacted(resolve_url(value)) + ("" if exists(value) else " (not there yet)")
        elif name == "artifacts":
            value = redacted(str(value))
        rows.append({"setting": name, "value": value} | ({"origin": source} if origin else {}))
    echo_rows(rows, output_format)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and names from the database.

    \b
    Examples:
      soundscale completion bash > soundscale.bash
      soundscale completion zsh > _soundscale
    """
    from click.shell_completion import get_completion_class

    from planner.cli.completion import VARIABLE
    from planner.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(
        found(cli, {}, "soundscale", VARIABLE).source()
    )  # a script: its lines stay as they are
