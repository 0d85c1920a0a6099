"""A second file of a sweep's name leaves the first one's history where it can be found."""

from planner.store import read
from planner.store.claims import finish
from planner.store.forecasts import of_sweep
from planner.store.sweep_history import leaving
from planner.store.write import register_sweep
from planner.words.records import Resources
from tests.store.samples import LEASE, WORKER, claim_any, finished, sweep_of, trial


def _register(store, *seeds):
    trials = [(trial(seed=seed), Resources()) for seed in seeds]
    return register_sweep(store, "sweep", f'{{"seeds": {list(seeds)}}}', trials)


def _seeds(store, name):
    return [row.trial.seed for row in read.sweep_status(store, name).rows]


def test_tried_trials_that_a_file_leaves_out_stay_in_a_sweep_of_their_own(store):
    sweep = sweep_of(store, 3)
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    counted = _register(store, 2, 7)
    assert str(counted.left) == (
        "1 earlier trial is not in this file; the sweep before is kept as 'sweep@1'"
    )
    assert (_seeds(store, "sweep"), _seeds(store, "sweep@1")) == ([2, 7], [0, 1, 2])
    assert [row.trial.seed for row in read.runs(store, sweep="sweep@1")] == [0]
    assert read.runs(store, sweep="sweep") == []
    assert len(of_sweep(store, read.sweep_id_of(store, "sweep@1"))) == 3


def test_each_further_file_keeps_the_one_before_with_its_own_text(store):
    sweep = _register(store, 0).sweep_id
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    _register(store, 1)
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    _register(store, 2)
    assert [s.name for s in read.sweeps(store)] == ["sweep", "sweep@1", "sweep@2"]
    assert read.sweep_status(store, "sweep@1").spec_json == '{"seeds": [0]}'
    assert read.sweep_status(store, "sweep@2").spec_json == '{"seeds": [1]}'


def test_a_file_that_adds_trials_or_leaves_out_untried_ones_keeps_no_second_sweep(store):
    sweep = _register(store, 0, 1).sweep_id
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    assert _register(store, 0, 1, 2).left is None
    assert _register(store, 0).left is None
    assert [s.name for s in read.sweeps(store)] == ["sweep"]


def test_what_a_file_would_leave_is_told_before_and_changes_nothing(store):
    sweep = _register(store, 0, 1).sweep_id
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    assert leaving(store, "sweep", [trial(seed=5).fingerprint]).n_trials == 1
    assert leaving(store, "another", [trial(seed=5).fingerprint]) is None
    assert _seeds(store, "sweep") == [0, 1]
