"""Learning rates of each adaptation: given, or searched, which needs a validation split."""

from __future__ import annotations

import dataclasses

import pytest

from planner.errors import InputError
from runner.sweep.expand import expand

ARMS = """[optimisation.arms."full"]
learning_rate = [1e-5, 1e-4, 1e-5]

[resources]"""
TWO = ('["lora:8"]', '["lora:8", "full"]')


def rates(trials):
    return {(str(t.adaptation), t.optimisation.learning_rate) for t, _ in trials}


@pytest.fixture
def with_validation(corpus):
    first, *rest = corpus.clips
    return dataclasses.replace(
        corpus, clips=(dataclasses.replace(first, split="validation"), *rest)
    )


def test_an_adaptation_of_its_own_rates_is_trained_at_each_of_them(spec_with, with_validation):
    trials = expand(spec_with(TWO, ("[resources]", ARMS)), with_validation)
    assert rates(trials) == {("lora:8", 1e-3), ("full", 1e-5), ("full", 1e-4)}
    assert all(resources.validate for _, resources in trials)


def test_a_rate_that_is_given_is_not_searched(spec_with, corpus):
    spec = spec_with(TWO, ("[resources]", ARMS.replace("[1e-5, 1e-4, 1e-5]", "1e-4")))
    trials = expand(spec, corpus)
    assert rates(trials) == {("lora:8", 1e-3), ("full", 1e-4)}
    assert not any(resources.validate for _, resources in trials)


def test_a_search_without_a_validation_split_is_refused(spec_with, corpus):
    spec = spec_with(("learning_rate = 1e-3", "learning_rate = [1e-3, 3e-3]"))
    with pytest.raises(InputError, match="chooses by the validation split"):
        expand(spec, corpus)


def test_rates_of_an_adaptation_that_is_no_level_are_refused(spec_with):
    with pytest.raises(InputError, match=r"optimisation.arms.*full.*lora:8"):
        spec_with(("[resources]", ARMS))
