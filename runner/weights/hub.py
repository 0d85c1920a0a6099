"""The model hub: what its local cache holds, whether it answers, and a download that fails fast."""

from __future__ import annotations

import functools
import itertools
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from planner.errors import MissingResourceError
from planner.words.units import format_bytes
from runner.weights.packages import Say, sha256_file

ANSWER_SECONDS = 4.0
"""How long the hub may take to answer at all before it counts as out of reach (s; assumption)."""

SMALL_FILES = (
    "config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.json", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "normalizer.json",
)  # fmt: skip

WEIGHT_FILES = (
    ("model.safetensors",),
    ("model.safetensors.index.json", "model-*.safetensors"),
    ("pytorch_model.bin",),
)
"""Names of a checkpoint's weight files, preferred first; a second name is a pattern of shards."""


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files of a transformers folder, preferred format first; empty where it has none."""
    for head, *shards in WEIGHT_FILES:
        if (folder / head).is_file():
            return tuple(sorted(p for s in shards for p in folder.glob(s))) or (folder / head,)
    return ()


def offline_by_environment() -> bool:
    """Whether HF_HUB_OFFLINE is set, as the hub's own client reads it."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@functools.cache
def silence() -> str | None:
    """Why the hub cannot be used, or None where it answers; asked once per process.

    Name resolution has no timeout of its own, so the question is put in a thread that is left
    behind after `ANSWER_SECONDS`.
    """
    from huggingface_hub import constants

    reason: list[str | None] = [f"no answer from the hub within {ANSWER_SECONDS:g} s"]

    def ask() -> None:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
                reason[0] = None
        except urllib.error.HTTPError:
            reason[0] = None  # It answers; what it says to HEAD on its front page does not matter.
        except (OSError, ValueError) as error:
            reason[0] = f"hub out of reach ({getattr(error, 'reason', error)})"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    return reason[0]


def cached_folder(hub_id: str, commits: Sequence[str] = ()) -> Path | None:
    """The whole snapshot of a checkpoint in the hub client's own cache, or None.

    Of the first of `commits` that is there, else of the branch `main` as the client last saw it: a
    download at a commit leaves no name of a branch.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for revision, names in itertools.product((*commits, None), WEIGHT_FILES):
        # The client calls a snapshot incomplete where a file of another format was not fetched, so
        # each format is asked for alone.
        wanted = ["config.json", *names]
        try:
            snapshot = snapshot_download(
                hub_id, revision=revision, local_files_only=True, allow_patterns=wanted
            )
        except (LocalEntryNotFoundError, OSError, ValueError):
            continue
        folder = Path(snapshot)
        if (folder / "config.json").is_file() and weight_files(folder):
            return folder
    return None


def sealed_files(folder: Path) -> tuple[Path, ...]:
    """What of a checkpoint's folder decides what it computes: weights, config and tokenizer."""
    small = (folder / name for name in SMALL_FILES)
    return (*weight_files(folder), *(file for file in small if file.is_file()))


def download(hub_id: str, say: Say, *, afresh: bool = False) -> Path:
    """Folder of a checkpoint fetched from the hub, one weight format of it.

    The newest commit is asked for once and everything is fetched at that commit; large files are
    compared with the SHA-256 that the hub states for them.

    Args:
        hub_id: `OWNER/NAME`.
        say: where progress goes.
        afresh: fetch also what the client's own cache holds already: it is damaged.

    Raises:
        MissingResourceError: the hub does not answer, does not have it, refuses, or sends other bytes
            than it states.
    """
    if reason := silence():
        raise MissingResourceError(reason)
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        about = HfApi().model_info(hub_id, timeout=2 * ANSWER_SECONDS, files_metadata=True)
        there = {file.rfilename: file.size or 0 for file in about.siblings or ()}
        wanted = next((w for w in WEIGHT_FILES if w[0] in there), None)
        if wanted is None:
            raise MissingResourceError(f"{hub_id} on the hub holds no weights in a known format")
        patterns = [*SMALL_FILES, *wanted]
        n_bytes = sum(n for f, n in there.items() if any(fnmatch(f, p) for p in patterns))
        say(f"fetching {hub_id} from the model hub ({format_bytes(n_bytes)}) …")
        folder = snapshot_download(
            hub_id, revision=about.sha, allow_patterns=patterns, etag_timeout=ANSWER_SECONDS,
            force_download=afresh,
        )  # fmt: skip
    except (HfHubHTTPError, OSError, ValueError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise MissingResourceError(f"hub gave no {hub_id} ({lines[0].rstrip('.')})") from error
    _require_stated(Path(folder), hub_id, about.siblings or ())
    say(f"fetched {hub_id}")
    return Path(folder)


def _require_stated(folder: Path, hub_id: str, siblings: Iterable[Any]) -> None:
    for file in siblings:
        stated = getattr(file.lfs, "sha256", None)
        place = folder / file.rfilename
        if stated and place.is_file() and (found := sha256_file(place)) != stated:
            raise MissingResourceError(
                f"hub sent {file.rfilename} of {hub_id} with sha256 {found[:12]}, it states {stated[:12]}"
            )
