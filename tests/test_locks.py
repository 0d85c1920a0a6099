"""The hashed locks fit what pyproject.toml asks for, and each other; looked at without any network."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ENTRY = re.compile(r"(?m)^([A-Za-z0-9._-]+)==(\S+?)(?: ; ([^\\\n]+?))?((?: \\\n    --hash=\S+)*)$")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}$")


@cache
def lock(name: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Package -> version and its files' hashes; a line that is no entry is an error."""
    text = (ROOT / "lock" / name).read_text()
    comment, rest = text.split("\n", 1)
    assert comment.startswith("# Made by `make locks`")
    found = {
        canonicalize_name(m[1]): (m[2], tuple(m[4].split(" \\\n    ")[1:]))
        for m in ENTRY.finditer(rest)
    }
    assert ENTRY.sub("", rest).strip() == "", "only entries with hashes, no index and no option"
    return found


LOCKS = [f"{extra}.txt" for extra in EXTRAS] + ["runner-cpu.txt", "all.txt"]


def asked_by(extras: list[str]) -> list[Requirement]:
    asked = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return [Requirement(line) for line in asked]


def missing_in(name: str, requirements: list[Requirement]) -> list[str]:
    """Requirements, and those of what is installed of them, that the lock does not satisfy."""
    locked, missing, seen = lock(name), [], set()
    left = [(r, "") for r in requirements]
    while left:
        requirement, extra = left.pop()
        key = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if key not in locked or not requirement.specifier.contains(
            locked[key][0], prereleases=True
        ):
            missing.append(str(requirement))
        if (key, *sorted(requirement.extras)) in seen:
            continue
        seen.add((key, *sorted(requirement.extras)))
        try:
            asks = importlib.metadata.requires(key) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        left += [(Requirement(a), e) for a in asks for e in ("", *requirement.extras)]
    return missing


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_requirement_of_an_extra_and_what_that_requires_is_in_its_lock(extra):
    assert missing_in(f"{extra}.txt", asked_by([extra])) == []


def test_the_lock_of_all_has_every_extra_but_the_developers():
    assert missing_in("all.txt", asked_by([e for e in EXTRAS if e != "dev"])) == []


def test_without_a_gpu_all_but_torch_and_its_cuda_parts_is_locked_the_same():
    whole, cpu = lock("runner.txt"), lock("runner-cpu.txt")
    left_out = set(whole) - set(cpu)
    assert cpu == {name: entry for name, entry in whole.items() if name in cpu}
    assert {"torch", "triton"} <= left_out
    assert all(re.match(r"torch$|triton$|nvidia-|cuda-", name) for name in left_out)


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_is_known_by_its_hash(name):
    assert lock(name)
    for package, (version, hashes) in lock(name).items():
        assert Version(version)
        assert hashes, package
        assert all(HASH.match(one) for one in hashes), package


def test_the_locks_agree_with_each_other_and_with_what_the_tests_ran_with():
    pinned = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text()))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    for name in LOCKS:
        for package, (version, _) in lock(name).items():
            assert versions.setdefault(package, version) == version, (name, package)


def test_no_lock_is_left_of_an_extra_that_is_gone():
    assert {path.name for path in (ROOT / "lock").iterdir()} == set(LOCKS)
