"""A disk without room is a clear failure that tears nothing, and the same command goes on afterwards."""

import resource
import shutil
import subprocess

import pytest

from planner.errors import StoreError
from planner.store.engine import open_store
from tests.chaos.crashing import N_TRIALS, campaign
from tests.chaos.test_crash_points import recovered
from tests.store.processes import CONTEXT
from tests.store.samples import rows_of

pytestmark = pytest.mark.usefixtures("clean_history")


def campaign_without_room(path: str, limit: int | None, answers) -> None:
    """The campaign where no file may grow beyond `limit` bytes; its error's text, or None."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        campaign(path)
        answers.put(None)
    except StoreError as problem:
        answers.put(str(problem))


def error_of(path, limit=None) -> str | None:
    answers = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=campaign_without_room, args=(str(path), limit, answers))
    process.start()
    said = answers.get()
    process.join()
    return said


def nothing_is_torn(path) -> bool:
    engine = open_store(str(path))
    found = rows_of(engine, "PRAGMA integrity_check")
    engine.dispose()
    return found == [("ok",)]


@pytest.mark.parametrize("room", [4_096, 60_000, 120_000])
def test_a_file_that_may_not_grow_is_one_clear_error_and_the_campaign_goes_on(
    room, sqlite_template, tmp_path
):
    path = shutil.copy(sqlite_template, tmp_path / "store.db")
    said = error_of(path, room)
    assert "check the free space and `ulimit -f`, then run the same command again" in said
    assert nothing_is_torn(path)
    assert recovered(path) == {}


@pytest.mark.slow
def test_every_limit_on_the_size_of_files_is_survived(sqlite_template, tmp_path):
    limit, n_stopped = 0, 0
    while True:
        path = shutil.copy(sqlite_template, tmp_path / f"{limit}.db")
        said = error_of(path, limit)
        assert nothing_is_torn(path)
        assert recovered(path) == {}
        if said is None:
            break
        assert "then run the same command again" in said
        limit, n_stopped = limit + 2_048, n_stopped + 1
    assert n_stopped >= 50


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own with a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_a_campaign_which_goes_on_when_there_is_room(small_disk, sqlite_template):
    path = shutil.copy(sqlite_template, small_disk / "store.db")
    with (small_disk / "other").open("wb") as other:
        while free := shutil.disk_usage(small_disk).free - 60_000:
            if free <= 0:
                break
            other.write(b"x" * min(free, 4_096))
            other.flush()
    said = error_of(path)
    assert said is not None
    assert "then run the same command again: what is stored stays stored" in said
    (small_disk / "other").unlink()
    assert recovered(path) == {}
    engine = open_store(str(path))
    assert rows_of(engine, "SELECT count(*) FROM trials WHERE state = 'finished'") == [(N_TRIALS,)]
    engine.dispose()
