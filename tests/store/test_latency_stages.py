"""Stages are written by whoever holds the host, turn by turn, and end once."""

import pytest
from sqlalchemy import text

from planner.store import host_leases, latency_stages
from planner.store.claims import finish
from planner.store.latency_stages import Holder, TurnRow
from planner.store.read import latencies, runs
from tests.store.samples import LEASE, WORKER, claim_any, finished, latency, rows_of

ME = Holder(host="a", token="mine")
DETAILS = {"contestants": ["1/torch/float32"]}


@pytest.fixture
def trained(three):
    """A store with a finished run, the sweep's key and the run's."""
    store, sweep = three
    claim = claim_any(store, sweep, WORKER, LEASE)
    finish(store, claim, finished())
    host_leases.take(store, ME.host, ME.token, LEASE)
    return store, sweep, claim.run_id


def opened(store, sweep, holder=ME, details=DETAILS):
    return latency_stages.open_stage(
        store, holder, sweep, sweep_seconds=100.0, allowed_seconds=10.0, details=details
    )


def turn(run_id, round_=0):
    return TurnRow(
        contestant="1/torch/float32", round=round_, run_id=run_id, timed={"wall_seconds": 0.5}
    )


def ended(store, stage, run_id, holder=ME):
    return latency_stages.finish(
        store, holder, stage.latency_stage_id, latencies=[(run_id, latency(quiet=True, p50_ms=7.0))],
        in_engines=[], summary={"n_rounds": 2, "noise_floor": 0.01},
        details={"measured": ["1/torch/float32"]},
    )  # fmt: skip


def test_only_the_holder_of_the_host_opens_a_stage(trained):
    store, sweep, _ = trained
    assert opened(store, sweep, Holder(host="a", token="another")) is None
    assert opened(store, sweep).state == "open"


def test_a_stage_that_was_cut_off_is_gone_on_with(trained):
    store, sweep, run_id = trained
    first = opened(store, sweep)
    assert latency_stages.save_turn(store, ME, first.latency_stage_id, turn(run_id), 2.5)
    host_leases.give_up(store, ME.host, ME.token)
    other = Holder(host="a", token="next")
    host_leases.take(store, other.host, other.token, LEASE)
    again = opened(store, sweep, other)
    assert again.latency_stage_id == first.latency_stage_id
    assert (again.seconds, again.n_rounds) == (2.5, 1)
    assert latency_stages.turns(store, again.latency_stage_id) == [turn(run_id)]


def test_a_stage_of_other_contestants_is_begun_anew(trained):
    store, sweep, run_id = trained
    first = opened(store, sweep)
    latency_stages.save_turn(store, ME, first.latency_stage_id, turn(run_id), 1.0)
    other = opened(store, sweep, details={"contestants": ["2/torch/float32"]})
    assert (other.seconds, latency_stages.turns(store, other.latency_stage_id)) == (0.0, [])
    assert len(latency_stages.stages(store, sweep)) == 1


def test_a_turn_that_is_saved_twice_counts_once(trained):
    store, sweep, run_id = trained
    stage = opened(store, sweep)
    for _ in range(2):
        assert latency_stages.save_turn(store, ME, stage.latency_stage_id, turn(run_id), 1.5)
    (row,) = latency_stages.stages(store, sweep)
    assert (row.seconds, row.n_rounds) == (1.5, 1)


def test_a_holder_whose_lease_ran_out_writes_nothing_any_more(trained):
    store, sweep, run_id = trained
    stage = opened(store, sweep)
    with store.begin() as connection:
        connection.execute(text("UPDATE host_leases SET lease_until_seconds = 1.0"))
    assert not latency_stages.save_turn(store, ME, stage.latency_stage_id, turn(run_id), 1.0)
    assert not ended(store, stage, run_id)
    assert latency_stages.turns(store, stage.latency_stage_id) == []


def test_what_a_stage_measured_is_stored_once_and_shown_before_what_was_taken_under_load(trained):
    store, sweep, run_id = trained
    stage = opened(store, sweep)
    assert ended(store, stage, run_id)
    assert ended(store, stage, run_id)
    assert len(latencies(store, run_id=run_id)) == 2
    (row,) = runs(store, status="finished")
    assert row.latency_p50_ms == 7.0
    (stored,) = latency_stages.stages(store, sweep)
    assert (stored.state, stored.noise_floor) == ("finished", 0.01)
    assert stored.details == {"measured": ["1/torch/float32"]}


def test_the_newest_of_several_quiet_measurements_is_shown(trained):
    store, sweep, run_id = trained
    for p50 in (7.0, 8.0):
        stage = opened(store, sweep)
        latency_stages.finish(
            store, ME, stage.latency_stage_id, in_engines=[], summary={}, details={},
            latencies=[(run_id, latency(quiet=True, p50_ms=p50))],
        )  # fmt: skip
    assert rows_of(store, "SELECT latency_p50_ms FROM v_results WHERE latency_p50_ms > 0") == [
        (8.0,)
    ]
