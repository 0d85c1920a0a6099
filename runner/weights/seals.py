"""What a download of the model hub held, kept so that the next use can tell whether it still does.

A seal is a JSON file of SHA-256 by file name, one for each repository and commit. The first use of a
commit writes it; each later use compares. What was altered or cut off on the disk in between is then
named and fetched again rather than trained from.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from runner.weights.packages import sha256_file


def seal_path(root: Path, hub_id: str, commit: str) -> Path:
    """Where the seal of a commit lies below the cache's folder of weights."""
    return root / "seals" / f"{hub_id.replace('/', '--')}-{commit}.json"


def sealed_commits(root: Path, hub_id: str) -> list[str]:
    """The commits of a repository that were used here, the latest first."""
    seals = seal_path(root, hub_id, "*")
    found = sorted(seals.parent.glob(seals.name), key=lambda path: path.stat().st_mtime)
    return [path.stem[-40:] for path in reversed(found)]


def digests_of(files: tuple[Path, ...]) -> dict[str, str]:
    """SHA-256 (hex) by file name."""
    return {file.name: sha256_file(file) for file in files}


def difference(seal: Path, digests: Mapping[str, str]) -> str | None:
    """The first file that is not as it was sealed, in words; None where all are.

    A commit that was never sealed has no difference, and neither has a file that was not there then.
    """
    try:
        sealed = json.loads(seal.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return f"its seal {seal} cannot be read"
    for name, digest in digests.items():
        if sealed.get(name, digest) != digest:
            return (
                f"{name} is not what was downloaded (sha256 {digest[:12]}, was {sealed[name][:12]})"
            )
    return None


def write_seal(seal: Path, digests: Mapping[str, str]) -> None:
    """Write a seal, whole or not at all; what an earlier one says of other files stays."""
    try:
        before = json.loads(seal.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    if before == before | dict(digests) and before:
        return
    seal.parent.mkdir(parents=True, exist_ok=True)
    part = seal.with_name(f".{seal.name}-{os.getpid()}-{secrets.token_hex(4)}")
    part.write_text(json.dumps(before | dict(digests), indent=1, sort_keys=True), encoding="utf-8")
    part.replace(seal)
