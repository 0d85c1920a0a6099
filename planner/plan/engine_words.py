"""What engines and precisions do to an answer, in words and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.evidence.study import Evidence
from planner.plan.configurations import Config
from planner.plan.deployment import Z95
from planner.plan.engines import Deployed, offset_of
from planner.plan.table import CandidateTable
from planner.plan.wording import amount

MAX_ENGINES = 4
"""Other engines that the reasons compare with, quickest first (assumption: a screen)."""


def engines_json(engines: Sequence[Deployed | None], evidence: Evidence) -> list[dict[str, Any]]:
    """What is known of each engine: runs scored, the offset of its error with its 90 % interval, latency."""
    out = []
    for one in engines:
        if one is None:
            out.append({"engine": "torch", "precision": "float32", "n_runs": len(evidence.rows)})
            continue
        found = offset_of(one, evidence)
        out.append(
            {
                "engine": one.engine,
                "precision": one.precision,
                "versions": sorted({s.engine_version for s in one.scores}),
                "n_runs": len({s.run_id for s in one.scores}),
                "error_ratio": math.exp(found.mean),
                "error_ratio_low": math.exp(found.mean - Z95 * found.sd),
                "error_ratio_high": math.exp(found.mean + Z95 * found.sd),
                "n_latency_configurations": one.latency.n_configurations if one.latency else 0,
            }
        )
    return out


def engine_reasons(table: CandidateTable, best: int, level: float) -> list[str]:
    """What the chosen configuration would come to in the other engines and precisions, quickest first.

    Empty where there is one engine alone.
    """
    base = table.configs[best].trained
    others = [j for j, c in enumerate(table.configs) if j != best and c.trained == base]
    key = "latency_ms" if "latency_ms" in table.costs else "size_bytes"
    value = table.costs[key].value
    others.sort(key=lambda j: (float(value[j]), table.configs[j].label))
    return [_sentence(table, best, j, key, level) for j in others[:MAX_ENGINES]]


def _sentence(table: CandidateTable, best: int, j: int, key: str, level: float) -> str:
    mine, other = (float(table.costs[key].value[k]) for k in (best, j))
    change = f"{amount(key, other)} in place of {amount(key, mine)}"
    gap = table.draws[:, j].astype(np.float64) - table.draws[:, best]
    low, high = 100 * np.quantile(gap, [0.5 - level / 2, 0.5 + level / 2])
    points = 100 * float(table.error[j] - table.error[best])
    size = ""
    if key != "size_bytes" and "size_bytes" in table.costs:
        size = f", {amount('size_bytes', float(table.costs['size_bytes'].value[j]))} on disk"
    return (
        f"in {engine_name(table.configs[j])} it would take {change}{size}, at {points:+.2f} points of error "
        f"[{low:+.2f}, {high:+.2f}], paired"
    )


def engine_name(config: Config) -> str:
    """`ctranslate2 int8` of a configuration; `torch float32` where it names none."""
    extra = dict(config.extra)
    return f"{extra.get('engine', 'torch')} {extra.get('precision', 'float32')}"
