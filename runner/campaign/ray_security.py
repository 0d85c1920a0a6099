"""What Ray must be before trials run on it: without known holes, and closed to strangers."""

from __future__ import annotations

import logging
import os
import re
import secrets
from typing import Any

from planner.errors import InputError, MissingResourceError

KNOWN_HOLES = (
    ((2, 52, 0), "CVE-2025-62593: a web page that its user visits can run code on it"),
    ((2, 54, 0), "CVE-2026-27482: strangers can stop what runs through its dashboard"),
    ((2, 55, 0), "CVE-2026-41486: reading a Parquet file can run code"),
    ((2, 56, 0), "CVE-2026-57516: reading a WebDataset can run code"),
)
"""First version without the hole, and the hole (advisories of the Python Packaging Authority)."""

LOOPBACK = ("127.", "::1", "localhost")


def refuse_known_holes(version: str) -> None:
    """Refuse a version of Ray with a published hole.

    Raises:
        MissingResourceError: it has one.
    """
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    for fixed, hole in KNOWN_HOLES:
        if number < fixed:
            raise MissingResourceError(
                f"Ray {version} has a known hole ({hole}); run: pip install -U "
                f"'ray>={'.'.join(map(str, KNOWN_HOLES[-1][0]))}'"
            )


def ask_for_tokens() -> None:
    """Have Ray authenticate by token unless the user says otherwise; before Ray is imported."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")


def give_token() -> None:
    """A token of this process for a cluster of its own.

    Ray would write one into the home folder, which need not be writable, and which other users of the
    machine could read (before 2.60.1). It reads the variable once, so that it stays for as long as the
    process does.
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Ray announces that it uses the token; what matters to a user comes as an exception.
    logging.getLogger("ray").setLevel(logging.ERROR)


def require_token(ray: Any, addresses: frozenset[str]) -> None:
    """Refuse a cluster that other machines reach and that takes anyone's code.

    A node's own mode is what its workers were started with. RAY_AUTH_MODE=disabled on this side says
    that the user has protected the cluster in another way.

    Raises:
        InputError: its nodes run without authentication.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return
    if all(address.startswith(LOOPBACK) for address in addresses):
        return
    mode = ray.get(ray.remote(_mode_of_this_node).options(num_cpus=0, max_retries=0).remote())
    if mode != "token":
        raise InputError(
            f"the Ray cluster on {', '.join(sorted(addresses)[:3])} runs code for anyone who reaches "
            "it; start its nodes with RAY_AUTH_MODE=token and one token (ray get-auth-token "
            "--generate), or set RAY_AUTH_MODE=disabled here where its network is closed"
        )


def _mode_of_this_node() -> str:
    return os.environ.get("RAY_AUTH_MODE", "disabled")
