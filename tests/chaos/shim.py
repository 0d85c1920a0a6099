"""Faults below Python: processes whose wall clock is wrong, or that die at a chosen system call."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(__file__).with_name("shim.c")


@functools.cache
def library() -> Path | None:
    """The compiled shim, or None where no C compiler or another system than Linux is at hand."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    built = Path(tempfile.mkdtemp(prefix="shim_")) / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, check=False)
    return built if done.returncode == 0 else None


def environment(clock_seconds: float = 0.0) -> dict[str, str]:
    """The environment of a process that the shim is loaded into, its wall clock wrong by so much."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    faults = {"LD_PRELOAD": str(library()), "SHIM_CLOCK_SECONDS": str(int(clock_seconds))}
    return os.environ | faults | {"PYTHONPATH": paths}


class DyingForks:
    """A process that forks one child a request, which dies at its k-th change of a file.

    Forked from a process that has imported everything, a child costs what its work costs.

    Args:
        target: `module:function` of one argument, a path.
    """

    def __init__(self, target: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.shim", target],
            env=environment(), cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> DyingForks:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def dies(self, path: Path, point: int) -> bool:
        """Whether the work has so many points; then its process died at this one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(point, path, file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        assert code in (0, 9), f"the work ended with {code} at point {point}"
        return code == 9


def _fork(work: Callable[[str], object], path: str, point: int) -> int:
    child = os.fork()
    if child == 0:
        ctypes.CDLL(os.environ["LD_PRELOAD"]).shim_arm(ctypes.c_long(point))
        try:
            work(path)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Serve requests `POINT PATH` on stdin; answer each with the exit code of its child."""
    import importlib

    module, name = sys.argv[1].split(":")
    work = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        point, path = line.rstrip("\n").split(" ", 1)
        print(_fork(work, path, int(point)), flush=True)


if __name__ == "__main__":
    main()
