"""A process dies at every single point of a campaign, and the next one ends it as if nothing was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.store.engine import open_store
from planner.store.schema import SCHEMA_REVISION, metadata
from tests.chaos.crashing import DIED, N_TRIALS, campaign, campaign_that_dies
from tests.chaos.invariants import MUST_BE_EMPTY
from tests.chaos.shim import DyingForks, library
from tests.store.processes import CONTEXT
from tests.store.samples import LEASE, let_time_pass, rows_of

FAILURES_ARE_PART_OF_IT = "an attempt that is neither finished nor lost"


def dies_at(path: Path, point: int) -> bool:
    """Whether the campaign has such a point; then its process died there."""
    process = CONTEXT.Process(target=campaign_that_dies, args=(str(path), point))
    process.start()
    process.join()
    assert process.exitcode in (0, DIED)
    return process.exitcode == DIED


def recovered(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """What does not hold after another process has run the same campaign to its end."""
    engine = open_store(str(path))
    let_time_pass(engine, LEASE + 1)
    campaign(str(path))
    found = {
        what: rows_of(engine, query.format(n_utterances=2))
        for what, query in MUST_BE_EMPTY.items()
        if what != FAILURES_ARE_PART_OF_IT
    }
    assert rows_of(engine, "SELECT count(*) FROM trials") == [(N_TRIALS,)]
    assert rows_of(engine, "PRAGMA integrity_check") == [("ok",)]
    engine.dispose()
    return {what: rows for what, rows in found.items() if rows}


def every_point(
    first: Path,
    folder: Path,
    *,
    start: int,
    step: int,
    dies_at: Callable[[Path, int], bool] = dies_at,
) -> int:
    """Die at each `step`-th point from `start` on and recover; how many points were tried."""
    point, tried = start, 0
    while True:
        path = folder / f"{point}.db"
        if first.exists():
            shutil.copy(first, path)
        if not dies_at(path, point):
            return tried
        assert recovered(path) == {}, f"after a death at point {point}"
        for gone in (path, *folder.glob(f"{point}.db-*")):
            gone.unlink()
        point, tried = point + step, tried + 1


def test_a_campaign_recovers_from_a_death_at_any_point(sqlite_template, tmp_path):
    assert every_point(sqlite_template, tmp_path, start=1, step=13) >= 8


def test_a_migration_that_dies_is_done_whole_by_the_next(tmp_path):
    for point in range(10, 200, 45):
        path = tmp_path / f"{point}.db"
        assert dies_at(path, point)
        engine = open_store(str(path))
        names = {name for (name,) in rows_of(engine, "SELECT name FROM sqlite_schema")}
        assert names.issuperset(metadata.tables)
        assert rows_of(engine, "SELECT version_num FROM alembic_version") == [(SCHEMA_REVISION,)]
        engine.dispose()


@pytest.mark.slow
def test_a_campaign_on_an_empty_file_recovers_from_a_death_at_every_point(tmp_path):
    assert every_point(tmp_path / "none", tmp_path, start=1, step=1) >= 200


needs_shim = pytest.mark.skipif(
    library() is None, reason="no C compiler on this machine, or no Linux"
)


@needs_shim
def test_a_campaign_recovers_from_a_death_at_any_write_sync_or_rename(sqlite_template, tmp_path):
    with DyingForks("tests.chaos.crashing:campaign") as forks:
        step = {"start": 3, "step": 29}
        assert every_point(sqlite_template, tmp_path, **step, dies_at=forks.dies) >= 5


@needs_shim
@pytest.mark.slow
def test_a_campaign_recovers_from_a_death_at_every_write_sync_and_rename(tmp_path):
    with DyingForks("tests.chaos.crashing:campaign") as forks:
        every = {"start": 1, "step": 1}
        assert every_point(tmp_path / "none", tmp_path, **every, dies_at=forks.dies) >= 300
