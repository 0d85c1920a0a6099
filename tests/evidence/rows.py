"""Finished runs for tests of evidence."""

import dataclasses

from planner.store.row_types import RunRow
from planner.words.records import Optimisation, Reduction, Trial

TRIAL = Trial(
    task="asr", dataset="made", dataset_digest="0", split_policy="official", n_train=1, n_test=1,
    backbone="whisper-tiny", audio_seconds=8.0,
)  # fmt: skip


def run(run_id, rate=1e-3, test=0.2, validation=None, seed=0, factor=1, **changes):
    reduction = Reduction.parse(f"stem:{factor}")
    trial = dataclasses.replace(
        TRIAL,
        seed=seed,
        reduction=reduction,
        optimisation=Optimisation(learning_rate=rate),
        **{k: changes.pop(k) for k in list(changes) if k in Trial.__slots__},
    )
    details = {} if validation is None else {"validation_error": validation}
    row = RunRow(
        run_id=run_id, trial_id=run_id, trial=trial, state="finished", attempt=1, status="finished",
        provenance="measured", n_params=1, tokens_per_second=50.0 / factor, metric="wer", split="test",
        error=test, started_utc="2026-11-24T00:00:00.000Z", evaluation_details=details,
    )  # fmt: skip
    return dataclasses.replace(row, **changes)
