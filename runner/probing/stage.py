"""The stage of a sweep that measures latency: alone on the host, contestants in turns.

    hold the host -> wait until nothing of ours runs there -> one fresh process loads every contestant
    -> rounds of one request each, contestants in another order in every round -> a latency for every run

Each turn is stored before the next one begins, so that a stage that was killed goes on where it was, by
whichever process comes next. The rounds are as many as fit into a tenth of what the training took, at
least `FEWEST_ROUNDS`, and even in number: the even ones against the odd ones are the noise floor.
"""

from __future__ import annotations

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from planner.errors import InputError
from planner.store import latency_stages, read
from planner.store.latency_stages import StageRow, TurnRow
from planner.words.units import format_duration
from runner.probing.contestants import Contestant
from runner.probing.finished import busy_seconds, data_of, finished_runs, of_exports, of_runs
from runner.probing.groups import groups_that_fit
from runner.probing.holding import WAIT_SECONDS, HostHold
from runner.probing.stage_process import StageProcess
from runner.probing.stage_results import Facts, Measured, results_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from runner.data.clips import DataSpec

SHARE = 0.1
"""Of what the training took, the part that a stage may take."""

FEWEST_ROUNDS = 4
"""Rounds that are taken however long they last. Of 36 configurations on a quiet machine the stated p95 of requests lay
6.5 % from the real one by 2 rounds (median), 4.6 by 4 and 3.9 by 8 (`tests/benchmarks/quiet_latency.py`)."""

PASSES = 2
"""As many rounds as take every timed request so often are enough."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """What is measured, where, and how long it may take.

    Attributes:
        sweep: name of the stored sweep.
        host: this machine, as claims name it.
        only_here: only runs that were trained on this host; else all of the sweep.
        seconds: that the stage may take; None: `SHARE` of the training.
        again: also what a stage measured before.
        engines: also the exports of these runs for those engines; `any`: for all.
        more: contestants of other engines (`runner.probing.contestants`).
    """

    sweep: str
    host: str
    only_here: bool = True
    seconds: float | None = None
    again: bool = False
    engines: tuple[str, ...] = ()
    more: tuple[Contestant, ...] = ()
    wait_seconds: float = WAIT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """What a stage came to: None of it where every configuration was measured before."""

    stage: StageRow | None
    n_contestants: int
    problems: dict[str, str]


def measure(engine: Engine, asked: StageRequest, say: Say) -> StageOutcome:
    """Measure the latency of a sweep's finished configurations on this host.

    Raises:
        HostBusyError: trials run on the host for too long, or another measures there.
        InputError: none of the configurations can be timed here; the first one's reason.
        SoundscaleError: the measuring process ended early; nothing but finished turns was stored.
    """
    rows = finished_runs(engine, asked.sweep, asked.host if asked.only_here else None)
    sweep_id = read.sweep_id_of(engine, asked.sweep)
    done = set() if asked.again else _measured_before(engine, sweep_id)
    own = of_runs(engine, asked.sweep, rows)
    exported = of_exports(engine, own, asked.engines) if asked.engines else []
    contestants = [*own, *exported, *asked.more]
    left = [c for c in contestants if not set(keys_of(c)) <= done]
    if not left:
        return StageOutcome(stage=None, n_contestants=0, problems={})
    took = busy_seconds(rows)
    allowed = SHARE * took if asked.seconds is None else asked.seconds
    with HostHold(engine, asked.host, say, wait_seconds=asked.wait_seconds) as hold:
        hold.wait_until_alone()
        # Another driver may have measured them while this one waited for the host.
        done = set() if asked.again else _measured_before(engine, sweep_id)
        left = [c for c in left if not set(keys_of(c)) <= done]
        stage = left and latency_stages.open_stage(
            engine, hold.holder, sweep_id, sweep_seconds=took, allowed_seconds=allowed,
            details={"contestants": sorted(c.key for c in left)},
        )  # fmt: skip
        if not stage:
            return StageOutcome(stage=None, n_contestants=0, problems={})
        return _Stage(engine, asked, hold, stage, left, data_of(engine, asked.sweep), say).run()


def keys_of(contestant: Contestant) -> list[str]:
    """Names of the contestant and of the runs that it stands for too."""
    same = [dataclasses.replace(contestant, run_id=run_id).key for run_id in contestant.also]
    return [contestant.key, *same]


def _measured_before(engine: Engine, sweep_id: int) -> set[str]:
    ended = [s for s in latency_stages.stages(engine, sweep_id) if s.state == "finished"]
    return {key for s in ended for key in s.details.get("measured", ())}


@dataclass(slots=True)
class _Stage:
    """One stage on its held host."""

    engine: Engine
    asked: StageRequest
    hold: HostHold
    stage: StageRow
    contestants: list[Contestant]
    data: DataSpec
    say: Say
    facts: dict[str, Facts] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    turns: dict[tuple[str, int], TurnRow] = field(default_factory=dict)
    spent: float = 0.0
    n_rounds_whole: int = 0

    def run(self) -> StageOutcome:
        """All groups, then the latencies."""
        stage, n = self.stage, len(self.contestants)
        self.spent = stage.seconds
        known = latency_stages.turns(self.engine, stage.latency_stage_id)
        self.turns = {(t.contestant, t.round): t for t in known}
        self.say(
            f"latency: {n} configurations in turns, alone on {self.asked.host}, at most "
            f"{format_duration(stage.allowed_seconds)} of {format_duration(stage.sweep_seconds)}"
            + (f"; going on after {stage.n_rounds} rounds" if known else "")
        )
        groups = groups_that_fit(self.contestants, read.catalogue(self.engine))
        for place, group in enumerate(groups):
            remaining = sum(len(g) for g in groups[place:])
            left = max(0.0, stage.allowed_seconds - self.spent)
            self._measure(group, self.spent + left * len(group) / remaining)
        return self._finish()

    def _measure(self, group: Sequence[Contestant], until: float) -> None:
        began = time.monotonic()
        with StageProcess(group, self.data, read.catalogue(self.engine)) as process:
            found = process.loaded()
            self.problems |= {f["contestant"]: f["problem"] for f in found if "problem" in f}
            timed = {f["contestant"]: Facts(**f) for f in found if "problem" not in f}
            self.facts |= timed
            self._spend(time.monotonic() - began)
            if timed:
                self._rounds(process, [c for c in group if c.key in timed], until)

    def _rounds(
        self, process: StageProcess, contestants: Sequence[Contestant], until: float
    ) -> None:
        whole = PASSES * max(self.facts[c.key].n_timed for c in contestants)
        whole = max(FEWEST_ROUNDS, whole + whole % 2)
        self.n_rounds_whole = max(self.n_rounds_whole, whole)
        began, n_taken = self.spent, 0
        for round_ in range(whole):
            missing = [c for c in contestants if (c.key, round_) not in self.turns]
            pair = 2 * (self.spent - began) / n_taken if n_taken else 0.0
            may_end = round_ >= FEWEST_ROUNDS and round_ % 2 == 0
            if may_end and missing and self.spent + pair > until:
                return
            random.Random(round_).shuffle(missing)
            for contestant in missing:
                self._turn(process, contestant, round_)
            n_taken += bool(missing)

    def _turn(self, process: StageProcess, contestant: Contestant, round_: int) -> None:
        """Time one request; what was timed beside a trial is timed again."""
        while True:
            self.hold.wait_until_alone()
            began = time.monotonic()
            timed = process.turn(contestant.key, round_)
            if self.hold.alone():
                break
        seconds = time.monotonic() - began
        turn = TurnRow(
            contestant=contestant.key, round=round_, run_id=contestant.run_id, timed=timed
        )
        self.turns[contestant.key, round_] = turn
        self._spend(seconds, turn)

    def _spend(self, seconds: float, turn: TurnRow | None = None) -> None:
        self.spent += seconds
        if turn is not None:
            stage_id = self.stage.latency_stage_id
            if not latency_stages.save_turn(self.engine, self.hold.holder, stage_id, turn, seconds):
                self.hold.lost.set()
                self.hold.alone()

    def _finish(self) -> StageOutcome:
        measured = [
            result
            for contestant in self.contestants
            if contestant.key in self.facts
            for result in results_of(
                self.engine, contestant, self.facts[contestant.key], list(self.turns.values())
            )
        ]
        if not measured:
            _, why = min(self.problems.items())
            raise InputError(
                f"no configuration of sweep {self.asked.sweep!r} can be timed here: {why}"
            )
        summary = _summary(measured, self)
        details = self.stage.details | {
            "measured": sorted(m.key for m in measured),
            "problems": self.problems,
            "left_out": _left_out(self, summary["n_rounds"]),
        }
        kept = latency_stages.finish(
            self.engine, self.hold.holder, self.stage.latency_stage_id,
            latencies=[(m.run_id, m.latency) for m in measured if m.in_engine is None],
            in_engines=[(m.run_id, m.in_engine) for m in measured if m.in_engine is not None],
            summary=summary, details=details,
        )  # fmt: skip
        if not kept:
            self.hold.lost.set()
            self.hold.alone()
        found = latency_stages.stages(self.engine, self.stage.sweep_id)
        ended = next(s for s in found if s.latency_stage_id == self.stage.latency_stage_id)
        return StageOutcome(
            stage=ended, n_contestants=len(self.contestants), problems=self.problems
        )


def _summary(measured: Sequence[Measured], stage: _Stage) -> dict[str, Any]:
    """The columns of a stage that its measurements fill in."""
    floors = [m.latency.noise_floor for m in measured if m.latency.noise_floor is not None]
    shares = [
        (m.latency.share_above_p95, m.latency.n_requests or 0)
        for m in measured
        if m.latency.share_above_p95 is not None
    ]
    n = sum(weight for _, weight in shares)
    return {
        "seconds": stage.spent,
        "n_rounds": 1 + max((r for _, r in stage.turns), default=-1),
        "n_rounds_whole": stage.n_rounds_whole,
        "noise_floor": statistics.median(floors) if floors else None,
        "noise_floor_largest": max(floors, default=None),
        "share_above_p95": sum(share * weight for share, weight in shares) / n if n else None,
    }


def _left_out(stage: _Stage, n_rounds: int) -> list[str]:
    """What a stage did not do, in words."""
    out = [f"{key}: {why}" for key, why in sorted(stage.problems.items())]
    if n_rounds < stage.n_rounds_whole:
        out.append(f"{stage.n_rounds_whole - n_rounds} of {stage.n_rounds_whole} rounds")
    return out
