"""Every order of claims, deaths, late writes, cancellations and retries, against a model."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.machine import Claims


def test_claims_agree_with_their_model_in_any_order_of_events(store):
    checked = settings(
        max_examples=20, stateful_step_count=30, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(lambda: Claims(store), settings=checked)
