"""No clock but the database's ends a lease."""

import time
from datetime import datetime

import pytest

from tests.chaos.clocks import work_with_wrong_clocks
from tests.chaos.invariants import broken_invariants, noted
from tests.chaos.shim import library
from tests.store.samples import WORKER, claim_any, rows_of, sweep_of

pytestmark = pytest.mark.usefixtures("clean_history")

DEAD_LEASE, LEASE = 2.0, 120.0
FORMS = [
    pytest.param(20, (-600, 600), id="short"),
    pytest.param(
        2000, (-600, -300, -60, 0, 60, 300, 600, 36000), id="long", marks=pytest.mark.slow
    ),
]


@pytest.mark.postgres
@pytest.mark.skipif(library() is None, reason="no C compiler on this machine, or no Linux")
@pytest.mark.parametrize(("n_trials", "wrong_by"), FORMS)
def test_no_lease_is_stolen_early_by_workers_whose_clocks_are_minutes_off(
    n_trials, wrong_by, postgres_store, tmp_path
):
    sweep = sweep_of(postgres_store, n_trials, name="chaos", max_attempts=9)
    dead = claim_any(postgres_store, sweep, WORKER, DEAD_LEASE)
    url = postgres_store.url.render_as_string(hide_password=False)
    work_with_wrong_clocks(url, sweep, tmp_path, LEASE, wrong_by)
    seen = [round((clock - time.time()) / 60) for clock in noted(tmp_path, "clock")]
    assert max(seen) - min(seen) >= 19
    (lost,) = rows_of(postgres_store, "SELECT trial_id FROM runs WHERE status = 'lost'")
    assert lost == (dead.trial_id,)
    query = "SELECT started_utc FROM runs WHERE trial_id = :t ORDER BY attempt"
    first, second = [at for (at,) in rows_of(postgres_store, query, t=dead.trial_id)]
    # Both times are the database's, kept to the millisecond.
    taken_over_after = datetime.fromisoformat(second) - datetime.fromisoformat(first)
    assert taken_over_after.total_seconds() >= DEAD_LEASE - 0.002
    assert broken_invariants(url, tmp_path, n_trials, 2)["broken"] == {}
