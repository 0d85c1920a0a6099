"""Where files go: folders and URLs, a move to another node, and disks without room."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from planner.errors import InputError, MissingResourceError
from runner.campaign import artifacts
from runner.campaign.artifacts import no_room, workplace

pytestmark = pytest.mark.usefixtures("clean_history")

FINGERPRINT = "f" * 64


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A URL that every process of this machine reaches; each workplace has a folder of its own."""
    return f"file://{tmp_path}/bucket/runs"


def test_a_folder_is_written_to_in_place(tmp_path):
    with workplace(str(tmp_path / "a"), FINGERPRINT) as place:
        assert place.checkpoints == tmp_path / "a" / "checkpoints"
        assert place.publish("somewhere") == "somewhere"


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_tensors_go_to_the_url_whole_and_nothing_stays_here(kind, url, tmp_path):
    location = url if kind == "file" else "memory://bucket/runs"
    with workplace(location, FINGERPRINT) as place:
        trained = place.folder / FINGERPRINT
        trained.mkdir()
        (trained / "adapter.json").write_text("{}")
        assert place.publish(str(trained)) == f"{location}/{FINGERPRINT}"
        assert place.remote.names(FINGERPRINT) == ["adapter.json"]
    assert not place.folder.exists()


def checkpoint(place: artifacts.Workplace, step: int) -> Path:
    folder = place.checkpoints / FINGERPRINT
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}-{'0' * 64}.safetensors"
    path.write_bytes(b"tensors")
    return path


def test_a_checkpoint_is_found_by_the_next_node_and_goes_when_the_result_is_stored(url):
    with workplace(url, FINGERPRINT) as first:
        old = checkpoint(first, 50)
        first.keep(old)
        old.unlink()
        first.keep(checkpoint(first, 100))
    with workplace(url, FINGERPRINT) as second:
        found = [path.name[:13] for path in (second.checkpoints / FINGERPRINT).iterdir()]
        assert found == ["step-00000100"]
        second.discard_checkpoints()
        assert second.remote.names(f"checkpoints/{FINGERPRINT}") == []


def test_a_storage_that_fails_costs_the_checkpoint_and_not_the_run(url, monkeypatch):
    with workplace(url, FINGERPRINT) as place:
        monkeypatch.setattr(place.remote, "put", lambda *_: Path("/no/such/file").read_bytes())
        place.keep(checkpoint(place, 50))
    assert "FileNotFoundError" in place.problems[0]


def test_a_part_of_a_file_that_was_cut_off_is_left_where_it_is(url, tmp_path):
    folder = tmp_path / "bucket/runs/checkpoints" / FINGERPRINT
    folder.mkdir(parents=True)
    (folder / "step-00000050.safetensors.part-12ab").write_bytes(b"half")
    with workplace(url, FINGERPRINT) as place:
        assert not (place.checkpoints / FINGERPRINT).exists()


@pytest.mark.parametrize(
    ("location", "error", "said"),
    [
        ("nowhere://x/y", InputError, "give a folder, or a URL such as s3://BUCKET/FOLDER"),
        ("file:///proc/no/such", MissingResourceError, "cannot be written to"),
        ("/proc/no/such", MissingResourceError, "cannot be written to: .*--artifacts"),
    ],
)
def test_a_location_that_cannot_be_used_is_refused_before_anything_is_claimed(
    location, error, said
):
    with pytest.raises(error, match=said):
        artifacts.check(location)


def test_a_locations_password_is_never_shown():
    assert artifacts.redacted("ftp://me:secret@host/x") == "ftp://***@host/x"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EFBIG, "File too large"), True),
        (ValueError("I/O error: No space left on device (os error 28)"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("os error 280"), False),
    ],
)
def test_a_want_of_room_is_told_from_other_errors(problem, expected):
    assert no_room(problem) is expected
