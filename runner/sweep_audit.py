"""What `sweep audit` does, between parsing and printing."""

from __future__ import annotations

from planner.cli.options import echo_json, echo_rows, talk
from planner.errors import StoreError
from planner.store.audit import Audit, audit
from planner.store.engine import opened

COLUMNS = (("invariant", "invariant"), ("holds", "holds"), ("trials", "broken by trials"))


def run(db: str | None, name: str, output_format: str) -> None:
    """Print every invariant of a sweep's history.

    Raises:
        StoreError: one was broken.
    """
    with opened(db, must_exist=True) as engine:
        found = audit(engine, name)
    rows = [
        {
            "invariant": one.invariant,
            "holds": "no" if one.trial_ids else "yes",
            "trials": ", ".join(map(str, one.trial_ids)) or None,
        }
        for one in found.invariants
    ]
    if output_format == "json":
        attempts = found.attempts_by_status
        echo_json({"name": name, "clean": found.clean, "attempts": attempts, "invariants": rows})
    else:
        echo_rows(rows, output_format, COLUMNS)
    talk(summary(found))
    if not found.clean:
        broken = [one.invariant for one in found.invariants if one.trial_ids]
        raise StoreError(
            f"the history of sweep {name!r} breaks {len(broken)} of {len(rows)} promises, first: "
            f"{broken[0]}; keep the database as it is (soundscale db export FOLDER) and report it"
        )


def summary(found: Audit) -> str:
    """A sweep's attempts, in one line."""
    counted = ", ".join(f"{n} {status}" for status, n in found.attempts_by_status.items())
    return f"sweep {found.name!r}: {counted or 'no attempt yet'}"
