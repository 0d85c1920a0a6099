"""`soundscale --help` against a bare click program and `optuna --help`, interleaved in one run.

Run: python tests/benchmarks/startup.py [PYTHON_WITH_OPTUNA] [ROUNDS]

Each round runs every program once, in an order that turns; a ratio is the median of the rounds' ratios.
The noise floor is the ratio of the bare program to itself, run twice in each round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """\
import click

@click.group()
def cli():
    "A program with one command."

@cli.command()
@click.option("--name", default="x", help="A name.")
def hello(name):
    "Say hello."
    click.echo(name)

if __name__ == "__main__":
    cli()
"""
OURS = "import sys; sys.argv = ['soundscale', '--help']; from planner.cli.main import main; main()"
OPTUNA = (
    "import sys; sys.argv = ['optuna', '--help']; from optuna.cli import main; sys.exit(main())"
)


def seconds(command: list[str]) -> float:
    """Wall time of one run that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def measured(programs: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Times by program; the first round warms up and is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    names = list(programs)
    for number in range(rounds + 1):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            took = seconds(programs[name])
            if number:
                times[name].append(took)
    return times


def ratio(times: dict[str, list[float]], one: str, other: str) -> float:
    """Median over rounds of one time over the other."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))


def main(optuna: str | None = None, rounds: int = 15) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        programs = {
            "ours": [sys.executable, "-c", OURS],
            "bare": [sys.executable, str(bare), "--help"],
            "bare again": [sys.executable, str(bare), "--help"],
        }
        if optuna:
            programs["optuna"] = [optuna, "-c", OPTUNA]
        times = measured(programs, rounds)
    for name, values in times.items():
        print(
            f"{name:12s} median {1e3 * statistics.median(values):7.1f} ms  least {1e3 * min(values):7.1f} ms"
        )
    print(f"noise floor (bare again / bare)  {ratio(times, 'bare again', 'bare'):.2f}")
    verdict("ours / bare click", ratio(times, "ours", "bare"), 1.6)
    if optuna:
        verdict("ours / optuna", ratio(times, "ours", "optuna"), 1 / 6)


def verdict(what: str, found: float, target: float) -> None:
    """One line: the ratio, its target and whether it is met."""
    print(
        f"{what:20s} {found:6.3f}  target <= {target:.3f}  {'met' if found <= target else 'MISSED'}"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 15)
