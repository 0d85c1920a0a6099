"""Write `lock/EXTRA.txt`: every package of an extra with its version and the hashes of its files.

    make locks

Versions are those of constraints.txt wherever it names one, so that all locks agree. `runner-cpu.txt`
is `runner.txt` without torch and what only its CUDA build needs: on a machine without a GPU torch comes
first, from its own index. `all.txt` has every extra but `dev` at once.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "lock"
PYTHON = "3.11"
"""The oldest Python that is supported; markers in the files tell the others apart."""

CUDA = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
"""torch, and packages that its CUDA build alone asks for (its metadata on the registry)."""

HEADER = "# Made by `make locks`; install with: pip install --require-hashes -r lock/{name}\n"


def compiled(extras: list[str]) -> str:
    """The packages of these extras, as uv resolves them."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--universal"]
    command += ["--python-version", PYTHON, "-c", "constraints.txt", "--generate-hashes", "--quiet"]
    # No address of an index and no name of a machine: the hashes say what the files are.
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    for extra in extras:
        command += ["--extra", extra]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def without_cuda(lock: str) -> str:
    """A lock's entries but those of `CUDA`."""
    entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", lock)
    return "".join(entry for entry in entries if not CUDA.match(entry))


def write(name: str, text: str) -> None:
    """One lock, under a line that says what it is for."""
    (LOCK / name).write_text(HEADER.format(name=name) + text)


def main() -> None:
    """Write all of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = sorted(project["optional-dependencies"])
    LOCK.mkdir(exist_ok=True)
    for extra in extras:
        write(f"{extra}.txt", compiled([extra]))
    runner = compiled(["runner"])
    write("runner-cpu.txt", without_cuda(runner))
    write("all.txt", compiled([extra for extra in extras if extra != "dev"]))


if __name__ == "__main__":
    main()
