"""The strategies that a study is held against (study_worlds.py): orders of runs, Optuna's TPE and its ASHA."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from study_lab import CONFIGS, SHARES, Curve, Lab

from planner.plan.choice import decide

LAW_EVERY = 16
"""Runs of a rival between two answers by the product's law."""


def rival(lab: Lab, fits: np.ndarray, order: Iterator[int], *, law: bool) -> tuple[Curve, Curve]:
    """A strategy that runs in some order: regret by the lowest measured, and by the law of the same runs."""
    measured: dict[int, list[float]] = {}
    by_run: Curve = []
    by_law: Curve = []
    allowed = set(fits.tolist())
    least = float(lab.made.error[fits].min())
    for j in order:
        error = lab.run(j)
        if j in allowed:
            measured.setdefault(j, []).append(error)
        if measured:
            best = min(measured, key=lambda k: float(np.mean(measured[k])))
            by_run.append((lab.hours, float(lab.made.error[best]) - least))
        if law and len(lab.rows) % LAW_EVERY == 0 and len(lab.rows) >= 2 * LAW_EVERY:
            table = lab.prepared().table
            decision = decide(table, {"flops": lab.limit}, 0.9)
            assert decision.best is not None
            by_law.append((lab.hours, float(lab.made.error[decision.best]) - least))
    return by_run, by_law


def star() -> list[int]:
    """Each backbone at the longest window unreduced, and from there each other length and rate."""
    full = {(c.backbone, c.audio_seconds, str(c.reduction)): j for j, c in enumerate(CONFIGS)}
    out = []
    for backbone in dict.fromkeys(c.backbone for c in CONFIGS):
        out += [full[backbone, s, "none"] for s in sorted({c.audio_seconds for c in CONFIGS})]
        out += [
            full[backbone, 30.0, r]
            for r in dict.fromkeys(str(c.reduction) for c in CONFIGS)
            if r != "none"
        ]
    return out


def tpe(lab: Lab, fits: np.ndarray, n: int) -> Curve:
    """Optuna's TPE over the axes as ordered numbers, told each measured error; what is infeasible is not run."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=lab.seed)
    asked = optuna.create_study(sampler=sampler)
    levels = [
        list(dict.fromkeys(getattr(c, name) for c in CONFIGS))
        for name in ("backbone", "audio_seconds", "reduction")
    ]
    at = {(c.backbone, c.audio_seconds, c.reduction): j for j, c in enumerate(CONFIGS)}
    allowed, measured = set(fits.tolist()), dict[int, list[float]]()
    curve: Curve = []
    least, tried = float(lab.made.error[fits].min()), 0
    while len(lab.rows) < n and tried < 20 * n:
        tried += 1
        trial = asked.ask()
        picked = [v[trial.suggest_int(f"axis{k}", 0, len(v) - 1)] for k, v in enumerate(levels)]
        j = at[picked[0], picked[1], picked[2]]
        if j not in allowed:
            asked.tell(trial, 1.0)
            continue
        error = lab.run(j)
        asked.tell(trial, error)
        measured.setdefault(j, []).append(error)
        best = min(measured, key=lambda k: float(np.mean(measured[k])))
        curve.append((lab.hours, float(lab.made.error[best]) - least))
    return curve


def asha(lab: Lab, fits: np.ndarray, n: int) -> Curve:
    """Optuna's asynchronous successive halving over random configurations; a run pays for the steps that it made."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    asked = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=lab.seed), pruner=pruner)
    measured = dict[int, list[float]]()
    curve: Curve = []
    least, before = float(lab.made.error[fits].min()), 0.0
    words = lab.n_words
    for _ in range(n):
        trial = asked.ask()
        j = int(fits[trial.suggest_int("configuration", 0, len(fits) - 1)])
        for k, share in enumerate(SHARES[:-1]):
            trial.report(float(lab.errors(j, share).sum()) / words, 3**k)
            if trial.should_prune():
                before += share * float(lab.made.hours[j])
                asked.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            error = lab.run(j)
            asked.tell(trial, error)
            measured.setdefault(j, []).append(error)
            best = min(measured, key=lambda i: float(np.mean(measured[i])))
            curve.append((before + lab.hours, float(lab.made.error[best]) - least))
    return curve
