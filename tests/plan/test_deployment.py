"""What deployment costs follows from the median latency, a price and a power."""

import math

import numpy as np
import pytest

from planner.evidence.study import gather
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.answer import option
from planner.plan.choice import decide
from planner.words.outcomes import Device
from planner.words.question import PlanQuery
from planner.words.records import to_json
from tests.benchmarks import simulated
from tests.costs.latency.simulated import GRID, measured

DESK = Device(name="cpu", kind="cpu", model="desk", n_threads=2)


@pytest.fixture(scope="module")
def known():
    from planner.costs.latency.model import fit_latency_model

    made, rng = simulated.world(3), np.random.default_rng(0)
    rows = [simulated.run_of(made, j, i + 1, rng) for i, j in enumerate(simulated.sweep(0, 24))]
    evidence = gather(rows, "asr")
    fit = fit_law(evidence.observations, law="additive")
    return evidence, fit, fit_latency_model([measured(w) for w in GRID])


def table(known, described=DESK, **question):
    asked = PlanQuery(task="asr", **question)
    evidence, fit, latency = known
    return candidates.build(asked, evidence, fit, simulated.WORKLOAD, latency, device=described)


def test_the_real_time_factor_is_median_compute_a_second_of_audio(known):
    found = table(known, per="window", quantile="p50")
    factor = found.costs["real_time_factor"].value
    seconds = np.array([c.audio_seconds for c in found.configs])
    assert np.allclose(factor, found.costs["latency_ms"].value / 1e3 / seconds)


def test_money_is_the_price_of_busy_time_over_the_share_that_works(known):
    busy, idle = table(known, price=2.0), table(known, price=2.0, idle=0.5)
    factor = busy.costs["real_time_factor"].value
    assert np.allclose(busy.costs["cost_per_1000h"].value, 2000.0 * factor)
    assert np.allclose(idle.costs["cost_per_1000h"].value, 4000.0 * factor)
    assert idle.costs["cost_per_1000h"].source[0].startswith("2 an hour, idle share 50 %")


def test_money_without_a_price_is_not_known_and_says_what_to_give(known):
    assert "say --price" in table(known).unknown["cost_per_1000h"]


def test_energy_by_an_assumed_power_is_tagged_and_wider_than_by_a_given_one(known):
    assumed = table(known).costs["energy_j_per_hour"]
    given = table(known, power_watts=10.0).costs["energy_j_per_hour"]
    assert assumed.source[0].startswith("assumed: 6 to 30 W for 2 threads")
    assert np.all(assumed.log_sd > given.log_sd)
    factor = table(known).costs["real_time_factor"].value
    assert np.allclose(given.value, 36_000.0 * factor)


def test_the_power_of_a_card_is_a_share_of_its_board_power(known):
    assert "energy_j_per_hour" in table(known, None).unknown
    named = table(known, None, device="h100-pcie").costs["energy_j_per_hour"]
    assert named.source[0].startswith("assumed: 105 to 350 W of a board of 350 W")


def test_a_least_speed_is_a_limit_on_the_real_time_factor(known):
    asked = PlanQuery(task="asr", rtfx=20.0)
    assert asked.limits == {"real_time_factor": 0.05}
    found = table(known)
    best = decide(found, asked.limits, 0.9).best
    assert best is not None
    assert found.costs["real_time_factor"].high[best] <= 0.05 * math.exp(0.5)


def test_an_answer_shows_newer_costs_only_where_they_are_asked_for(known):
    found = table(known)
    plain = PlanQuery(task="asr", flops=1e12)
    shown = option(found, decide(found, plain.limits, 0.9), 0, plain)["costs"]
    assert set(shown) == {"flops", "memory_bytes", "latency_ms", "n_windows"} | (
        {"train_flops"} & set(found.costs)
    )
    fast = PlanQuery(task="asr", rtfx=1.0)
    shown = option(found, decide(found, fast.limits, 0.9), 0, fast)["costs"]
    assert shown["real_time_factor"]["limit"] == 1.0


def test_a_question_that_says_nothing_newer_is_the_json_that_it_was():
    keys = to_json(PlanQuery(task="asr"))
    assert not set(keys) & {
        "rtfx",
        "price",
        "engine",
        "precision",
        "energy_j_per_hour",
        "size_bytes",
    }
    assert to_json(PlanQuery(task="asr", rtfx=30.0))["rtfx"] == 30.0
