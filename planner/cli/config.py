"""Settings from files: what commands take where neither an option nor the environment says otherwise.

`soundscale.toml` in the working directory, `[tool.soundscale]` of its pyproject.toml, then
`$XDG_CONFIG_HOME/soundscale/config.toml` (`~/.config` by default): the first that has a key gives it.

    db = "postgresql://me@lab/runs"     # as --db
    artifacts = "s3://lab/soundscale"   # as --artifacts
    device = "h100"                     # as --device of questions
    format = "json"                     # as -f, where the command can print it

Imports the standard library and click alone, and a TOML reader only where there is a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

from planner.cli.options import FORMATS
from planner.errors import InputError, UnknownNameError

KEYS = {"db": "db", "artifacts": "artifacts", "device": "device", "format": "output_format"}
"""Key in a file -> parameter of commands."""
VARIABLES = {"db": "SOUNDSCALE_DB"}
"""Keys that the environment may give; it wins over files."""
NOT_A_QUESTION = frozenset({"sweep", "probe", "devices", "quickstart"})
"""Commands whose --device is not the one that a question is about."""
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ConfiguredValue:
    """A value, and the file and line that it is from."""

    value: str
    file: str
    line: int

    @property
    def origin(self) -> str:
        """`soundscale.toml, line 3`."""
        return f"{self.file}, line {self.line}"


def files() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Files that are looked for, the first wins, and the table of each that is ours."""
    yield "soundscale.toml", ()
    yield "pyproject.toml", ("tool", "soundscale")
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    yield os.path.join(home, "soundscale", "config.toml"), ()


def settings() -> dict[str, ConfiguredValue]:
    """Every setting that a file gives, by key.

    Raises:
        InputError: a file cannot be read, or a value is not what it should be.
        UnknownNameError: a key is not known.
    """
    found: dict[str, ConfiguredValue] = {}
    for path, table in files():
        if os.path.isfile(path):
            for key, setting in _of_file(path, table).items():
                found.setdefault(key, setting)
    return found


def _of_file(path: str, table: tuple[str, ...]) -> dict[str, ConfiguredValue]:
    text = _read(path)
    if table and table[-1] not in text:
        return {}  # spares a TOML reader to the many projects that say nothing of us
    import tomllib

    try:
        values: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"settings file {path} is not TOML: {problem}") from None
    for name in table:
        values = values.get(name, {})
        if not isinstance(values, dict):
            raise InputError(
                f"settings file {path}: {name} must be a table, as in [{'.'.join(table)}]"
            )
    lines, heading = text.splitlines(), f"[{'.'.join(table)}]"
    start = next((i for i, row in enumerate(lines) if row.strip().startswith(heading)), 0)
    return {
        key: _setting(path, key, value, _line(lines, start if table else 0, key))
        for key, value in values.items()
    }


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read(MAX_BYTES)
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8; save it as UTF-8"
        raise InputError(f"settings file {path} cannot be read: {reason}") from None


def _line(lines: list[str], start: int, key: str) -> int:
    """The line, from 1, on which a key is set; the table's own where it is written otherwise."""
    pattern = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*[=.\]]|\s*\[\s*{re.escape(key)}\b""")
    for i in range(start, len(lines)):
        if pattern.match(lines[i]):
            return i + 1
    return start + 1


def _setting(path: str, key: str, value: Any, line: int) -> ConfiguredValue:
    where = f"settings file {path}, line {line}"
    if key not in KEYS:
        raise UnknownNameError("setting", key, KEYS, remedy=f"in {where}")
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {key} must be text in quotes")
    if key == "format" and value not in FORMATS:
        raise InputError(f"{where}: format must be one of {', '.join(FORMATS)}, got {value!r}")
    return ConfiguredValue(value, path, line)


def defaults(name: str, command: click.Command) -> dict[str, Any]:
    """What files say of a command's parameters, in click's own form: nested by subcommand.

    Raises:
        InputError: as `settings`.
    """
    given = settings()
    for key, variable in VARIABLES.items():
        if os.environ.get(variable):
            given.pop(key, None)
    if name in NOT_A_QUESTION:
        given.pop("device", None)
    return _nested(command, given) if given else {}


def _nested(command: click.Command, given: Mapping[str, ConfiguredValue]) -> dict[str, Any]:
    known = {p.name: p for p in command.params if isinstance(p, click.Option)}
    out: dict[str, Any] = {}
    for key, setting in given.items():
        option = known.get(KEYS[key])
        if option is not None and _takes(option, setting.value):
            out[KEYS[key]] = setting.value
    if isinstance(command, click.Group):
        out |= {name: _nested(inner, given) for name, inner in command.commands.items()}
    return out


def _takes(option: click.Option, value: str) -> bool:
    """Whether an option that has choices has this one: `plan` prints no CSV."""
    return not isinstance(option.type, click.Choice) or value in option.type.choices
