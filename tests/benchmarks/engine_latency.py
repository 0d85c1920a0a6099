"""How well an engine's latency is told for configurations of which no export was timed: each left out once.

    python tests/benchmarks/engine_latency.py --db soundscale.db --device amd-epyc-1t

Prints predicted over measured median and whether the 90 % interval holds, then the median error.
"""

import argparse
from collections import defaultdict

import numpy as np

from planner.costs.latency.measured import configuration
from planner.costs.latency.model import window_of
from planner.service import devices
from planner.service.engines import model_of_engine
from planner.store import read
from planner.store.engine import opened
from planner.store.engine_results import engine_latencies


def main() -> None:
    """Leave each configuration out of each engine and precision."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--db", required=True)
    asked.add_argument("--device", required=True)
    given = asked.parse_args()
    with opened(given.db, must_exist=True) as engine:
        catalogue = read.catalogue(engine)
        own = devices.model_of(
            engine, given.device, [s.latency for s in read.latencies(engine, given.device)]
        )
        groups = defaultdict(list)
        for one in engine_latencies(engine, given.device):
            groups[one.measured.engine, one.measured.latency.dtype].append(one)
    errors, held = [], []
    for name, timed in sorted(groups.items()):
        for left in sorted({configuration(t.measured.latency) for t in timed}, key=str):
            rest = [t for t in timed if configuration(t.measured.latency) != left]
            if not rest:
                continue
            out = [t.measured.latency for t in timed if configuration(t.measured.latency) == left]
            model = model_of_engine(rest, own, catalogue)
            window = window_of(out[-1], catalogue.backbone(out[-1].backbone))
            assert model is not None
            (told,) = model.predict_each([window])
            seen = float(np.mean([m.p50_ms for m in out]))
            errors.append(abs(np.log(told.p50_ms / seen)))
            held.append(told.p50_low_ms <= seen <= told.p50_high_ms)
            print(
                f"{' '.join(name):22} {left[0]:16} {left[1]:>4g} s {left[2]:8} {seen:7.0f} ms "
                f"told {told.p50_ms:7.0f} [{told.p50_low_ms:.0f}, {told.p50_high_ms:.0f}] {told.source}"
            )
    if errors:
        print(f"{len(errors)} left out: median error {100 * np.expm1(np.median(errors)):.0f} %, "
              f"{sum(held)} of {len(held)} inside")  # fmt: skip


if __name__ == "__main__":
    main()
