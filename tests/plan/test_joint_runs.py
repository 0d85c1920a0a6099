"""Own deviations of measured candidates together: as one by one where runs are independent, else by all runs."""

import numpy as np
import pytest

from planner.plan.joint_runs import doubtful, drawn_together, joint_runs
from planner.plan.own_runs import Measurements, own_runs

TAU2, OMEGA2 = np.array([0.01, 0.04]), np.array([0.001, 0.004])
AT = np.array([2, 2, 5, 9])


def measured(suspicion=0.0):
    return Measurements(
        run_ids=(), error=np.empty(0), variance=np.empty(0), typical=np.nan, at=AT,
        log_error=np.log([0.1, 0.12, 0.2, 0.3]), own=np.array([0.01, 0.02, 0.005, 0.03]),
        suspicion=np.array([0.0, 0.0, 0.0, suspicion]), run_id=np.arange(4),
    )  # fmt: skip


def test_independent_runs_say_together_what_they_say_one_by_one():
    runs = measured()
    together = joint_runs(runs, np.eye(4), TAU2, OMEGA2, np.ones(4, dtype=bool))
    alone = own_runs(runs, TAU2, OMEGA2, np.ones(4))
    law = np.log([0.11, 0.25, 0.2])
    e = runs.log_error - law[[0, 0, 1, 2]]
    np.testing.assert_allclose(together.gain @ e, alone.weight * (alone.observed - law))
    spread = np.sqrt(np.einsum("kij,kij->ki", together.root, together.root))
    np.testing.assert_allclose(spread, alone.spread)


def test_a_run_that_shares_its_luck_with_another_is_corrected_by_it():
    runs = measured()
    pairs = np.eye(4)
    pairs[2, 3] = pairs[3, 2] = 0.8
    together = joint_runs(runs, pairs, TAU2, OMEGA2, np.ones(4, dtype=bool))
    # The other run lies above its law: some of that is the luck of both, which is taken off.
    assert (together.gain[:, 1, 3] < 0).all()
    left = np.einsum("kij,kij->ki", together.root, together.root)
    plain = joint_runs(runs, np.eye(4), TAU2, OMEGA2, np.ones(4, dtype=bool))
    assert (left[:, 1] < np.einsum("kij,kij->ki", plain.root, plain.root)[:, 1]).all()


def test_draws_have_the_joint_posterior_that_bayes_gives():
    runs, n = measured(), 40_000
    pairs = np.eye(4)
    pairs[2, 3] = pairs[3, 2] = 0.8
    cases = (joint_runs(runs, pairs, TAU2, OMEGA2, np.ones(4, dtype=bool)),) * 2
    own = np.random.default_rng(0).standard_normal((3, n))
    who = np.zeros(n, dtype=np.intp)
    law = np.full((3, n), np.log(0.2))
    found, _ = drawn_together(law, runs, cases, who, np.zeros((3, n), dtype=bool), own)
    whose = (AT[:, None] == np.unique(AT)[None, :]).astype(float)
    root = np.sqrt(runs.own)
    noise = pairs * root[:, None] * root[None, :] + OMEGA2[0] * np.eye(4)
    precision = np.eye(3) / TAU2[0] + whose.T @ np.linalg.solve(noise, whose)
    e = runs.log_error - np.log(0.2)
    mean = np.linalg.solve(precision, whose.T @ np.linalg.solve(noise, e))
    np.testing.assert_allclose(found.mean(axis=1) - np.log(0.2), mean, atol=0.003)
    np.testing.assert_allclose(np.cov(found), np.linalg.inv(precision), rtol=0.05, atol=1e-4)


def test_a_doubted_run_says_nothing_where_it_is_thought_away():
    runs = measured(suspicion=0.4)
    doubt, sound = doubtful(runs)
    assert doubt.tolist() == [0.0, 0.0, 0.4]
    rest = joint_runs(runs, np.eye(4), TAU2, OMEGA2, sound)
    assert (rest.gain[:, 2] == 0).all()
    left = np.einsum("kij,kij->ki", rest.root, rest.root)
    assert left[:, 2] == pytest.approx(TAU2)
