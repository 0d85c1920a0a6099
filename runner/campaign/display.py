"""What a person sees while a sweep runs: a live table on a terminal, plain lines elsewhere.

All of it comes from the database (`planner.store.read.sweep_status`), so that `sweep watch` on
another machine shows the same as the driver.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from planner.words.terminal import shown
from planner.words.units import format_duration

if TYPE_CHECKING:
    from planner.store.read import SweepStatus, TrialStatus

OPEN_STATES = ("queued", "running")
ORDER = {"failed": 0, "running": 1, "queued": 2, "finished": 3, "cancelled": 4}
"""Failures first: they are what a person can act on."""

LINE_SECONDS = 15.0
"""Between two plain progress lines of a running trial (s)."""


class Display(Protocol):
    """Shows a sweep; every method may be called often."""

    def say(self, line: str) -> None:
        """One line of talk."""
        ...

    def show(self, status: SweepStatus, seconds_left: float | None) -> None:
        """The state of the sweep now."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found."""
        ...


class Quiet:
    """Shows nothing; what went wrong is still raised and counted in the exit code."""

    def say(self, line: str) -> None:
        """Nothing."""

    def show(self, status: SweepStatus, seconds_left: float | None) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainLines:
    """A line for each change of state, and one every quarter of a minute while trials run."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._states: dict[int, str] = {}
        self._last = -LINE_SECONDS

    def say(self, line: str) -> None:
        """The line, at once."""
        print(shown(line), file=self._stream, flush=True)

    def show(self, status: SweepStatus, seconds_left: float | None) -> None:
        """Changes since the last call; now and then the running trials."""
        for row in status.rows:
            before = self._states.get(row.trial_id)
            self._states[row.trial_id] = row.state
            if before is not None and row.state != before and row.state != "queued":
                self.say(f"  {totals(status, seconds_left)} · {row.trial.label}: {summary(row)}")
                self._last = time.monotonic()
            elif before == "running" and row.state == "queued":
                self.say(f"  {row.trial.label}: queued again ({reason(row)})")
        running = [row for row in status.rows if row.state == "running"]
        if running and time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            now = "; ".join(f"{row.trial.label} {summary(row)}" for row in running[:4])
            self.say(f"  {totals(status, seconds_left)} · {now}")

    def close(self) -> None:
        """Nothing to put back."""


class LiveTable:
    """One row a trial, redrawn in place on a terminal (stderr: the answer stays alone on stdout)."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=False)
        self._started = False

    def say(self, line: str) -> None:
        """A line above the table."""
        self._console.print(shown(line), highlight=False, markup=False)

    def show(self, status: SweepStatus, seconds_left: float | None) -> None:
        """The table, at most as tall as the terminal."""
        if not self._started:
            self._live.start()
            self._started = True
        room = max(5, self._console.height - 6)
        self._live.update(_rich_table(status, seconds_left, room))

    def close(self) -> None:
        """The last table stays on the screen."""
        if self._started:
            self._live.stop()


def choose(quiet: bool) -> Display:
    """A live table where stderr is a terminal, else plain lines; nothing when quiet."""
    if quiet:
        return Quiet()
    return LiveTable() if sys.stderr.isatty() else PlainLines()


def _rich_table(status: SweepStatus, seconds_left: float | None, room: int) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=Text(f"{status.name}  {totals(status, seconds_left)}"),
        title_justify="left",
    )
    for heading in ("trial", "state", "now"):
        table.add_column(heading, overflow="ellipsis", no_wrap=heading != "now")
    colours = {"failed": "red", "running": "cyan", "finished": "green"}
    rows = sorted(status.rows, key=lambda row: ORDER.get(row.state, 9))
    for row in rows[:room]:
        state = Text(row.state, style=colours.get(row.state, "dim"))
        table.add_row(Text(row.trial.label), state, Text(summary(row)))
    if len(rows) > room:
        table.add_row(Text(f"… and {len(rows) - room} more", style="dim"), "", "")
    return table


def counts(status: SweepStatus) -> dict[str, int]:
    """Trials in each state, all five states named."""
    n_by_state = dict.fromkeys(("queued", "running", "finished", "failed", "cancelled"), 0)
    for row in status.rows:
        n_by_state[row.state] += 1
    return n_by_state


def totals(status: SweepStatus, seconds_left: float | None) -> str:
    """`7 of 12 done, 2 running, 1 failed, about 3 min 20 s left`."""
    n = counts(status)
    parts = [f"{n['finished']} of {len(status.rows)} done"]
    parts += [f"{n[k]} {k}" for k in ("running", "failed", "cancelled") if n[k]]
    if seconds_left is not None and n["queued"] + n["running"]:
        parts.append(f"about {format_duration(seconds_left)} left")
    return ", ".join(parts)


def summary(row: TrialStatus) -> str:
    """What to say of one trial now, in one line."""
    if row.state == "finished":
        return error_text(row)
    if row.state == "failed":
        return reason(row)
    if row.state == "running":
        return _running(row)
    return f"attempt {row.n_attempts + 1} next: {reason(row)}" if row.n_attempts else ""


def _running(row: TrialStatus) -> str:
    parts = [row.phase or "starting"]
    if row.step is not None and row.n_steps:
        parts.append(f"{row.step}/{row.n_steps}")
    if row.loss is not None:
        parts.append(f"loss {row.loss:.3f}")
    if row.host:
        parts.append(f"on {row.host}")
    if row.n_attempts > 1:
        parts.append(f"attempt {row.n_attempts}")
    return " ".join(parts)


METRIC_WORDS = {"wer": "WER", "unweighted_error": "error"}


def error_text(row: TrialStatus) -> str:
    """`WER 8.1 % ± 0.5 (se)`: the error and its standard error over utterances."""
    if row.error is None:
        return "finished"
    text = f"{METRIC_WORDS.get(row.metric or '', row.metric or 'error')} {100 * row.error:.1f} %"
    if row.std_error is not None:
        text += f" ± {100 * row.std_error:.1f} (se)"
    return text


def reason(row: TrialStatus) -> str:
    """`out-of-memory: the last line of its text`."""
    lines = [line.strip() for line in (row.failure_text or "").splitlines() if line.strip()]
    # The last line of a traceback names the error; of a sentence there is only one.
    text = lines[-1] if lines else ""
    return ": ".join(part for part in (row.failure_class, text) if part) or "no reason recorded"


@dataclass(slots=True)
class TimeLeft:
    """Estimates the time left from the work done since the campaign began.

    The work of a trial is a number that grows with its duration (its FLOPs); a running trial counts
    by its share of steps. Nothing is said before 2 % of the work is done.
    """

    work: Mapping[int, float]
    began: float
    done_before: frozenset[int]

    def seconds(self, rows: Sequence[TrialStatus], now: float) -> float | None:
        """Seconds left at the pace so far, or None when too little is done to tell."""
        todo = [r for r in rows if r.trial_id not in self.done_before and r.state != "cancelled"]
        total = sum(self.work.get(r.trial_id, 0.0) for r in todo)
        done = sum(self.work.get(r.trial_id, 0.0) * _share(r) for r in todo)
        if total <= 0 or done < 0.02 * total:
            return None
        return (now - self.began) * (total - done) / done


PHASE_SHARES = {"train": (0.0, 0.7), "score": (0.7, 0.25), "probe": (0.95, 0.05)}
"""Where a phase begins in a trial and how much of its time it takes (share; assumption)."""


def _share(row: TrialStatus) -> float:
    """How much of a trial is behind it, 0 to 1."""
    if row.state in ("finished", "failed"):
        return 1.0
    if row.state != "running" or not row.n_steps or row.step is None:
        return 0.0
    begins, length = PHASE_SHARES.get(row.phase or "", (0.0, 0.0))
    return begins + length * min(1.0, row.step / row.n_steps)
