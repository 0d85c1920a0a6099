"""A store that holds a sweep."""

import pytest

from tests.store.samples import sweep_of


@pytest.fixture
def three(store):
    """A store with a sweep of three trials, and the sweep's key."""
    return store, sweep_of(store, 3)
