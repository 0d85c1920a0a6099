"""Commands behind a pseudo-terminal of several widths: one process of the whole program, resized between them."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
MARK = "-- screen --"

EACH = f"""
import fcntl, json, struct, sys, termios
from functools import cache
from planner.service import next_runs
from tests.cli.examples import whole

# The runs to do next are worked out once; what differs by width is how they are printed.
next_runs.suggest_runs = cache(next_runs.suggest_runs)
group = whole()
for columns, words in json.loads(sys.argv[1]):
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    code = group.main(words, prog_name="soundscale", standalone_mode=False)
    assert not code, (words, code)
    sys.stdout.flush()
    for out in (sys.stdout, sys.stderr):
        print({MARK!r}, file=out, flush=True)
"""


def screens(
    shown: Sequence[tuple[int, Sequence[str]]],
) -> list[tuple[list[str], str]]:
    """Of each (columns, arguments): the lines that the terminal got on stdout, and stderr.

    The process is the real one, its stdout and stdin a pseudo-terminal of 24 lines.
    """
    import json

    asked = json.dumps([[columns, list(words)] for columns, words in shown])
    out, said = _behind([sys.executable, "-c", EACH, asked])
    out = ESCAPES.sub("", out)
    outs, saids = out.split(MARK + "\n"), said.split(MARK + "\n")
    assert len(outs) == len(saids) == len(shown) + 1, said
    return [(o.rstrip("\n").split("\n"), s) for o, s in zip(outs[:-1], saids[:-1], strict=True)]


def raw_of(columns: int, *arguments: str, **environment: str) -> str:
    """What a terminal of that width got on stdout from the program itself, its escapes with it."""
    return _behind([sys.executable, "-m", "planner.cli.main", *arguments], columns, environment)[0]


def _behind(
    command: Sequence[str], columns: int = 80, more: Mapping[str, str] | None = None
) -> tuple[str, str]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color"} | dict(more or {})
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, stdin=theirs, env=environment, cwd=ROOT
    ) as process:
        os.close(theirs)
        got = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed: Linux says so by an error
                break
            if not part:
                break
            got += part
        assert process.stderr is not None
        said = process.stderr.read().decode()
    os.close(ours)
    return got.decode(), said
