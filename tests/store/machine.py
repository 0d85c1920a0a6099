"""Claims against a small model of them: what hypothesis drives through every order of events."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Engine, text

from planner.store import claims
from planner.store.schema import metadata
from tests.store.samples import WORKER, failed, finished, let_time_pass, rows_of, sweep_of

N_TRIALS = 3
LEASES = st.sampled_from([100.0, 200.0])
# No sum of these lies within 10 s below a lease: the seconds that a test really takes change nothing.
PASSING = st.sampled_from([60.0, 150.0, 250.0])


@dataclass
class Modelled:
    """One trial: what its row must say, and the status of each of its runs by token."""

    state: str = "queued"
    token: int = 0
    left: int = 2
    lease_ends: float = 0.0
    runs: dict[int, str] = field(default_factory=dict)

    def claim(self, ends: float) -> None:
        self.state, self.lease_ends = "running", ends
        self.token, self.left = self.token + 1, self.left - 1
        self.runs[self.token] = "running"

    def end(self, token: int, status: str, state: str) -> bool:
        if self.state == "running" and self.token == token:
            self.runs[token], self.state = status, state
            return True
        return self.runs[token] == status

    def again(self) -> str:
        return "queued" if self.left > 0 else "failed"

    def expire(self, now: float) -> bool:
        over = self.state == "running" and self.lease_ends < now
        return over and self.end(self.token, "lost", self.again())


class Claims(RuleBasedStateMachine):
    """Workers that claim, work, die and come back late, and people who cancel and retry."""

    held = Bundle("held")

    def __init__(self, store: Engine) -> None:
        super().__init__()
        self.store, self.now = store, 0.0

    @initialize()
    def begin(self):
        with self.store.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(text(f"DELETE FROM {table.name}"))
        self.sweep = sweep_of(self.store, N_TRIALS, max_attempts=2)
        keys = rows_of(self.store, "SELECT trial_id FROM trials ORDER BY trial_id")
        self.model = {key: Modelled() for (key,) in keys}

    @rule(target=held, lease=LEASES, which=st.integers(0, N_TRIALS - 1))
    def claim(self, lease, which):
        key = list(self.model)[which]
        row, claim = self.model[key], claims.claim_trial(self.store, key, WORKER, lease)
        if row.state != "queued":
            row.expire(self.now)
        assert (claim is not None) == (row.state == "queued")
        if claim is None:
            return ()
        row.claim(self.now + lease)
        assert (claim.trial_id, claim.token) == (key, row.token)
        return claim

    @rule(claim=held, lease=LEASES)
    def heartbeat(self, claim, lease):
        if claim:
            row = self.model[claim.trial_id]
            alive = row.state == "running" and row.token == claim.token
            assert claims.heartbeat(self.store, claim, lease) == alive
            row.lease_ends = self.now + lease if alive else row.lease_ends

    @rule(claim=held)
    def finish(self, claim):
        if claim:
            expected = self.model[claim.trial_id].end(claim.token, "finished", "finished")
            assert claims.finish(self.store, claim, finished(n_utterances=1)) == expected

    @rule(claim=held, retry=st.booleans())
    def fail(self, claim, retry):
        if claim:
            row = self.model[claim.trial_id]
            expected = row.end(claim.token, "failed", row.again() if retry else "failed")
            assert claims.fail(self.store, claim, failed(), retry=retry) == expected

    @rule(claim=held)
    def give_back(self, claim):
        if claim:
            row = self.model[claim.trial_id]
            row.left += row.state == "running" and row.token == claim.token
            expected = row.end(claim.token, "cancelled", "queued")
            assert claims.give_back(self.store, claim, "not here") == expected

    @rule(claim=held)
    def lose(self, claim):
        if claim:
            row = self.model[claim.trial_id]
            expected = row.end(claim.token, "lost", row.again())
            assert claims.lose(self.store, claim, "its process is gone") == expected

    @rule(seconds=PASSING)
    def wait(self, seconds):
        self.now += seconds
        let_time_pass(self.store, seconds)

    @rule()
    def expire(self):
        expected = sum(row.expire(self.now) for row in self.model.values())
        assert claims.expire(self.store) == expected

    @rule()
    def cancel(self):
        still_open = [r for r in self.model.values() if r.state in ("queued", "running")]
        for row in still_open:
            if row.state == "running":
                row.end(row.token, "cancelled", "cancelled")
            row.state = "cancelled"
        assert claims.cancel(self.store, self.sweep) == len(still_open)

    @rule(what=st.sampled_from(["failed", "cancelled"]))
    def retry(self, what):
        chosen = [row for row in self.model.values() if row.state == what]
        for row in chosen:
            row.state, row.left = "queued", 2
        ask = claims.retry_failed if what == "failed" else claims.retry_cancelled
        assert ask(self.store, self.sweep) == len(chosen)

    @invariant()
    def the_database_says_what_the_model_says(self):
        if not hasattr(self, "model"):
            return
        columns = "trial_id, state, token, max_attempts - n_attempts"
        found = rows_of(self.store, f"SELECT {columns} FROM trials ORDER BY trial_id")
        assert found == [(k, r.state, r.token, r.left) for k, r in self.model.items()]
        runs = rows_of(self.store, "SELECT trial_id, token, status FROM runs")
        expected = {(k, t, s) for k, r in self.model.items() for t, s in r.runs.items()}
        assert set(map(tuple, runs)) == expected
        assert len(runs) == len(expected)
