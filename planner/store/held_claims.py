"""Who holds what at this moment: what a driver looks at to find workers that died."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from planner.store import leases
from planner.store.claims import Claim, as_claim
from planner.store.transactions import read


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldClaim:
    """A claim that a worker holds at this moment, and who that is."""

    claim: Claim
    host: str | None
    pid: int | None
    process: dict[str, str] | None


def held_claims(engine: Engine, sweep_id: int) -> list[HeldClaim]:
    """The claims that workers hold on a sweep's trials now, by trial."""

    def work(connection: Connection) -> list[HeldClaim]:
        return [
            HeldClaim(
                claim=as_claim(taken),
                host=row.host,
                pid=row.pid,
                process=json.loads(row.details_json or "{}").get("process"),
            )
            for taken, row in leases.held(connection, sweep_id)
        ]

    return read(engine, work)
