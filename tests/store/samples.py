"""Trials, records and a worker for the store's tests, and time that passes at once."""

import math

from sqlalchemy import Engine, text

from planner.store.claims import Claim, Worker, claim_trial
from planner.store.transactions import read
from planner.store.write import register_sweep
from planner.words.records import (
    Device,
    Evaluation,
    Latency,
    Reduction,
    Resources,
    RunRecord,
    Step,
    Trial,
    Utterance,
)

WORKER = Worker(host="node-a", pid=7, version="0.1.0", code_revision="abc")
LEASE = 600.0
CPU = Device(name="cpu-2", kind="cpu", model="some CPU", n_threads=2, details={"governor": "?"})


def trial(seed=0, **changes):
    values = {
        "task": "asr", "dataset": "speech", "dataset_digest": "d1", "split_policy": "official",
        "n_train": 8, "n_test": 3, "backbone": "whisper-tiny", "audio_seconds": 8.0,
        "reduction": Reduction.parse("stem:2"), "seed": seed,
    }  # fmt: skip
    return Trial(**values | changes)


def utterance(number):
    return Utterance(
        utterance_id=f"u{number:04d}", speaker="s1", reference="a b", hypothesis="a", n_units=2,
        n_errors=1, n_deletions=1, audio_seconds=4.0 + number, n_output_tokens=3,
    )  # fmt: skip


def latency(**changes):
    values = {
        "device": CPU, "backbone": "whisper-tiny", "audio_seconds": 8.0,
        "reduction": Reduction.parse("stem:2"), "n_output_tokens": 3, "p50_ms": 40.0,
        "p90_ms": 50.0, "p95_ms": 55.0, "p99_ms": 60.0, "n_samples": 20, "n_warmup": 3,
        "stages_ms": {"encoder": 20.0},
    }  # fmt: skip
    return Latency(**values | changes)


def finished(error=0.25, n_utterances=3, **changes):
    evaluation = Evaluation(
        split="test", metric="wer", error=error, std_error=0.01, n_units=6, n_errors=3,
        n_utterances=n_utterances, audio_coverage=1.0, mean_output_tokens=3.0,
        output_tokens={"p95": 4.0}, details={"windows_per_utterance": 1.5},
        utterances=tuple(utterance(i) for i in range(n_utterances)),
    )  # fmt: skip
    steps = (
        Step(step=1, loss=2.0, grad_norm=1.0, learning_rate=1e-3, seconds=0.1),
        Step(step=2, loss=math.nan, grad_norm=math.inf, learning_rate=1e-3, seconds=0.2),
    )
    values = {
        "status": "finished", "evaluations": (evaluation,), "latencies": (latency(),),
        "steps": steps, "device": CPU, "n_params": 37_760_640, "n_trainable": 3_000_000_000,
        "train_seconds": 12.5, "train_flops": 1e12, "peak_memory_bytes": 9_000_000_000,
        "weights_source": "cache", "versions": {"torch": "2"},
    }  # fmt: skip
    return RunRecord(**values | changes)


def failed(failure_class="out-of-memory"):
    return RunRecord(status="failed", failure_class=failure_class, failure_text="no more memory")


def sweep_of(store: Engine, n: int, *, name="sweep", max_attempts=3, first_seed=0) -> int:
    resources = Resources(max_attempts=max_attempts)
    trials = [(trial(seed=first_seed + i), resources) for i in range(n)]
    return register_sweep(store, name, "{}", trials).sweep_id


def claim_any(store: Engine, sweep_id: int, worker: Worker, lease_seconds: float) -> Claim | None:
    """Claim by its key the first trial of a sweep that is to be had: what waits, else what was lost."""
    still_open = (
        "SELECT t.trial_id FROM trials t JOIN sweep_trials s ON s.trial_id = t.trial_id "
        "WHERE s.sweep_id = :s AND t.state IN ('queued', 'running') ORDER BY t.state, t.trial_id"
    )
    keys = read(store, lambda c: c.execute(text(still_open), {"s": sweep_id}).scalars().all())
    claimed = (claim_trial(store, key, worker, lease_seconds) for key in keys)
    return next((claim for claim in claimed if claim is not None), None)


def let_time_pass(store: Engine, seconds: float) -> None:
    """The same as waiting: every lease comes nearer by so many seconds of the database's clock."""
    with store.begin() as connection:
        connection.execute(
            text("UPDATE trials SET lease_until_seconds = lease_until_seconds - :s"), {"s": seconds}
        )


def rows_of(store: Engine, query: str, **values):
    with store.connect() as connection:
        return connection.execute(text(query), values).fetchall()


def count(store: Engine, table: str) -> int:
    return rows_of(store, f"SELECT count(*) FROM {table}")[0][0]
