"""The long form of the model check (issue 7, R12): claims against their model, by hand.

python tests/chaos/model.py --db /tmp/model.db --examples 5000 --steps 50
python tests/chaos/model.py --db throw-away-postgresql --examples 5000 --steps 50

The database is emptied before each example: name one that may be.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hypothesis import HealthCheck, settings  # noqa: E402
from hypothesis.stateful import run_state_machine_as_test  # noqa: E402

from planner.store.engine import open_store  # noqa: E402
from tests.chaos.chaos import database  # noqa: E402
from tests.store.machine import Claims  # noqa: E402


def main() -> int:
    """Raise at the first divergence, with the shortest list of events that shows it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--db", required=True, help="URL, path or throw-away-postgresql")
    parser.add_argument("--examples", type=int, default=5_000)
    parser.add_argument("--steps", type=int, default=50)
    asked = parser.parse_args()
    server, url = database(asked.db)
    engine = open_store(url)
    checked = settings(
        max_examples=asked.examples, stateful_step_count=asked.steps, deadline=None,
        database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    began = time.monotonic()
    try:
        run_state_machine_as_test(lambda: Claims(engine), settings=checked)
    finally:
        engine.dispose()
        if server is not None:
            server.stop()
    print(f"{asked.examples} x {asked.steps} steps agree, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
