"""Where trained tensors and checkpoints go: a folder, or a URL of any storage that fsspec knows.

    LOCATION/FINGERPRINT/adapter_model.safetensors, adapter_config.json, adapter.json
    LOCATION/checkpoints/FINGERPRINT/step-….safetensors

A folder is written to in place; nodes that share it (NFS) share checkpoints too. With a URL an attempt
works in a folder of its own, fetches what an earlier attempt left, and hands on each new checkpoint,
so that a run that moves to another node goes on from there. Files appear under their names whole.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.errors import InputError, MissingResourceError, StoreError
from planner.words.secrets import redacted as without_secrets

CHECKPOINTS = "checkpoints"

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_TEXT = re.compile(rf"os error ({'|'.join(map(str, _NO_ROOM))})\b")
_PASSWORD = re.compile(r"(?<=//)[^/@]*@")


def is_url(location: str) -> bool:
    """Whether a location is a URL of some storage rather than a folder."""
    return "://" in location


def absolute(location: str) -> str:
    """The location as any worker on this machine can use it, whatever its working directory."""
    return location if is_url(location) else str(Path(location).expanduser().resolve())


def check(location: str) -> None:
    """Refuse a location that cannot be used, before anything is claimed.

    Raises:
        InputError: no storage of that kind is known.
        MissingResourceError: a package for it is not installed, or it does not answer.
    """
    name = f".probe-{secrets.token_hex(4)}"
    if is_url(location):
        Remote(location).put_text(name)
    else:
        _probe_folder(Path(location), name)


def _probe_folder(folder: Path, name: str) -> None:
    """Write a small file to the disk itself, read it back, remove it."""
    text = b"soundscale" * 1000
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        whole = path.read_bytes() == text
        path.unlink()
    except OSError as problem:
        with suppress(OSError):
            path.unlink()
        raise MissingResourceError(
            f"folder {folder} cannot be written to: {problem.strerror or problem}; free space or give "
            "this user the right to write there, or name another with --artifacts"
        ) from problem
    if not whole:
        raise MissingResourceError(
            f"folder {folder} gives back other bytes than were written; check its disk, or name "
            "another with --artifacts"
        )


@contextmanager
def marked(location: str) -> Iterator[str]:
    """The name of a small file that lies there meanwhile, for other machines to look for.

    Raises:
        InputError, MissingResourceError: as `check`.
    """
    name = f".mark-{secrets.token_hex(8)}"
    if is_url(location):
        remote = Remote(location)
        remote.put_text(name, keep=True)
        try:
            yield name
        finally:
            remote.remove(name)
        return
    path = Path(location) / name
    try:
        path.write_text(name)
        yield name
    except OSError as problem:
        raise MissingResourceError(
            f"folder {location} cannot be written to: {problem}; name another with --artifacts"
        ) from problem
    finally:
        path.unlink(missing_ok=True)


def sees(location: str, name: str) -> bool:
    """Whether this machine finds there what another one has marked it with."""
    if is_url(location):
        return name in Remote(location).names("")
    return (Path(location) / name).exists()


_found_good: set[str] = set()


def check_once(location: str) -> None:
    """`check`, once in a process for each location that is good.

    Raises:
        InputError, MissingResourceError: as `check`.
    """
    if location not in _found_good:
        check(location)
        _found_good.add(location)


def fault(location: str, problem: BaseException) -> StorageError | None:
    """What is wrong with the storage, where an error in the middle of a trial is its fault; else None.

    A disk that filled up says so itself. A folder that turned read-only or was unmounted shows as any
    of a dozen errors, and is told by trying.
    """
    if no_room(problem):
        return StorageError(location, problem)
    try:
        check(location)
    except (InputError, MissingResourceError) as found:
        _found_good.discard(location)
        return StorageError(location, found)
    return None


def no_room(problem: BaseException) -> bool:
    """Whether an error says that a disk, a quota or the size of a file is used up."""
    no_space = isinstance(problem, OSError) and problem.errno in _NO_ROOM
    # safetensors hides the system's error number in its own message.
    return no_space or _NO_ROOM_TEXT.search(str(problem)) is not None


class StorageError(StoreError):
    """Files of a trial cannot be written, through no fault of the trial."""

    def __init__(self, location: str, problem: BaseException) -> None:
        super().__init__(f"cannot write to {redacted(location)}: {problem}")


def redacted(location: str) -> str:
    """A location without the user, password and tokens of its URL."""
    return without_secrets(_PASSWORD.sub("***@", location))


class Remote:
    """A URL's storage through fsspec; names are relative to the URL.

    Raises:
        InputError: no storage of that kind is known.
        MissingResourceError: a package for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs

            self._fs, self._root = url_to_fs(self._url)
        except ImportError as problem:
            raise MissingResourceError(
                f"storage {redacted(url)} needs a package that is not installed: {problem}"
            ) from None
        except ValueError as problem:
            raise InputError(
                f"artifacts location {redacted(url)!r} cannot be used: {problem}; give a folder, or a "
                "URL such as s3://BUCKET/FOLDER"
            ) from None

    def put(self, local: Path, name: str) -> None:
        """Copy a file there; under its name it is whole or absent."""
        final = self._path(name)
        part = f"{final}.part-{secrets.token_hex(4)}"
        self._fs.makedirs(posixpath.dirname(final), exist_ok=True)
        try:
            self._fs.put_file(str(local), part)
            self._fs.mv(part, final)
        except BaseException:
            if self._fs.exists(part):
                self._fs.rm_file(part)
            raise

    def put_text(self, name: str, *, keep: bool = False) -> None:
        """Write and remove a small file, or let it lie, to see whether that can be done.

        Raises:
            MissingResourceError: it cannot.
        """
        path = self._path(name)
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(path, b"soundscale")
            if not keep:
                self._fs.rm_file(path)
        except Exception as problem:
            raise MissingResourceError(
                f"storage {redacted(self._url)} cannot be written to: {type(problem).__name__}: "
                f"{problem}; check its name and the credentials of this machine"
            ) from problem

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder, in order; none where there is no such folder."""
        path = self._path(folder)
        self._fs.invalidate_cache()
        if not self._fs.isdir(path):
            return []
        names: list[Any] = self._fs.ls(path, detail=False)
        return sorted(posixpath.basename(str(name).rstrip("/")) for name in names)

    def fetch(self, folder: str, local: Path) -> None:
        """Copy the files of a folder here; parts of files that were cut off are left."""
        for name in self.names(folder):
            if ".part-" not in name:
                local.mkdir(parents=True, exist_ok=True)
                self._fs.get_file(self._path(f"{folder}/{name}"), str(local / name))

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone is fine."""
        try:
            self._fs.rm_file(self._path(name))
        except FileNotFoundError:
            return

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)


@dataclass(slots=True)
class Workplace:
    """Where one attempt at a trial reads and writes.

    Attributes:
        folder: for trained tensors, in a folder of the fingerprint's name.
        fingerprint: of the trial.
        location: what was asked for: a folder, or a URL.
        remote: the URL's storage; None for a folder.
        problems: why checkpoints could not be handed on; the attempt goes on without.
    """

    folder: Path
    fingerprint: str
    location: str
    remote: Remote | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def checkpoints(self) -> Path:
        """Folder of all trials' checkpoints."""
        return self.folder / CHECKPOINTS

    def keep(self, checkpoint: Path) -> None:
        """Hand a new checkpoint on, and let those go that are gone here too."""
        if self.remote is None:
            return
        folder = f"{CHECKPOINTS}/{self.fingerprint}"
        try:
            self.remote.put(checkpoint, f"{folder}/{checkpoint.name}")
            here = {path.name for path in checkpoint.parent.iterdir()}
            for name in self.remote.names(folder):
                if name not in here:
                    self.remote.remove(f"{folder}/{name}")
        except Exception as problem:
            self.problems.append(f"{checkpoint.name}: {type(problem).__name__}: {problem}")

    def publish(self, artifact: str | None) -> str | None:
        """Copy a trial's tensors to the URL; where they are to be found from now on.

        Raises:
            StorageError: they cannot be stored there.
        """
        if artifact is None or self.remote is None:
            return artifact
        for path in sorted(Path(artifact).iterdir()):
            try:
                self.remote.put(path, f"{self.fingerprint}/{path.name}")
            except Exception as problem:
                raise StorageError(self.location, problem) from problem
        return f"{self.location.rstrip('/')}/{self.fingerprint}"

    def discard_checkpoints(self) -> None:
        """Remove the trial's checkpoints: its result is stored."""
        from runner.trial.checkpoint import discard

        discard(self.checkpoints / self.fingerprint)
        if self.remote is not None:
            folder = f"{CHECKPOINTS}/{self.fingerprint}"
            for name in self.remote.names(folder):
                self.remote.remove(f"{folder}/{name}")


@contextmanager
def workplace(location: str, fingerprint: str) -> Iterator[Workplace]:
    """Where an attempt at a trial works, with the checkpoints that an earlier one left.

    Raises:
        InputError, MissingResourceError: as for `Remote`.
    """
    if not is_url(location):
        yield Workplace(Path(location), fingerprint, location)
        return
    remote = Remote(location)
    with tempfile.TemporaryDirectory(prefix="soundscale-artifacts-") as scratch:
        place = Workplace(Path(scratch), fingerprint, location, remote)
        remote.fetch(f"{CHECKPOINTS}/{fingerprint}", place.checkpoints / fingerprint)
        yield place
