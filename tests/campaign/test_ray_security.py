"""What Ray must be before trials run on it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from planner.errors import MissingResourceError
from runner.campaign.ray_security import refuse_known_holes


@pytest.mark.parametrize(
    ("version", "hole"),
    [
        ("2.40.0", "CVE-2025-62593"),
        ("2.51.2", "CVE-2025-62593"),
        ("2.53.0", "CVE-2026-27482"),
        ("2.54.0", "CVE-2026-41486"),
        ("2.55.1", "CVE-2026-57516"),
    ],
)
def test_a_version_with_a_known_hole_is_refused_by_its_name(version, hole):
    with pytest.raises(MissingResourceError, match=f"Ray {version} has a known hole .{hole}.*pip"):
        refuse_known_holes(version)


@pytest.mark.parametrize("version", ["2.56.0", "2.60.0", "2.61.0rc1", "3.0.0.dev0"])
def test_a_version_without_one_is_taken(version):
    assert refuse_known_holes(version) is None


def test_the_oldest_version_that_the_package_allows_has_no_known_hole():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (wanted,) = [x for x in project["optional-dependencies"]["runner"] if x.startswith("ray>=")]
    assert refuse_known_holes(wanted.removeprefix("ray>=") + ".0") is None


def test_ray_is_asked_for_tokens_before_it_is_imported():
    code = (
        "import os; from runner.campaign.executors import _import_ray; ray = _import_ray();"
        "from ray._raylet import AuthenticationMode, get_authentication_mode as mode;"
        "print(os.environ['RAY_AUTH_MODE'], mode() == AuthenticationMode.TOKEN)"
    )
    quiet = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=quiet, capture_output=True, text=True, check=True
    )
    assert done.stdout == "token True\n"
