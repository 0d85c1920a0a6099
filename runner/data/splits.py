"""Who is trained on and who is tested: splits in which no speaker, or no prompt, is on both sides."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from planner.errors import InputError
from runner.data.clips import SPLITS, TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing, normalised

SHINGLE_WORDS = 5
"""Prompts that share so many consecutive words count as near-duplicates (assumption).

On the built-in prompts 5 joins the variants of one announcement and leaves no group above 12 of
458 clips; 4 would join unrelated sentences through `followed by the pound`-like phrases.
"""

SAME2026_SEED = 42
"""Seed of the study's shuffle (numpy's default generator over the sorted file list)."""


def with_splits(listing: Listing, spec: DataSpec) -> tuple[tuple[Clip, ...], str]:
    """Clips with a split each, and the policy that was used.

    Raises:
        InputError: the policy cannot be carried out on this source.
    """
    policy = spec.split_policy
    if policy == "auto":
        policy = _automatic(listing)
    if policy == "official":
        if not listing.official:
            raise InputError(
                f"split policy official was asked of {listing.name}, which has no "
                "splits of its own; use speaker-disjoint or prompt-disjoint"
            )
        return listing.clips, policy
    if policy == "same2026":
        if listing.name != "cremad":
            raise InputError(
                f"split policy same2026 is the study's leaking CREMA-D split, "
                f"asked of {listing.name}; use speaker-disjoint"
            )
        return same2026(listing.clips), policy
    groups = _speakers(listing) if policy == "speaker-disjoint" else prompt_groups(listing.clips)
    return _dealt(listing, groups, spec, policy), policy


def _automatic(listing: Listing) -> str:
    if listing.official:
        return "official"
    speakers = {c.speaker for c in listing.clips}
    return "speaker-disjoint" if len(speakers) > 1 and None not in speakers else "prompt-disjoint"


def _speakers(listing: Listing) -> list[Hashable]:
    silent = next((c for c in listing.clips if c.speaker is None), None)
    if silent is not None:
        raise InputError(
            f"split policy speaker-disjoint needs a speaker for every clip, "
            f"{silent.utterance_id} of {listing.name} has none; use prompt-disjoint"
        )
    return [c.speaker for c in listing.clips]


def prompt_groups(clips: Sequence[Clip]) -> list[int]:
    """A group number for each clip: the same normalised text, or five shared words in a row.

    Groups are the connected components of those relations, so that a split by group leaks neither
    a prompt nor a variant of it.
    """
    parent = list(range(len(clips)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[Hashable, int] = {}
    for i, clip in enumerate(clips):
        for key in _shingles(normalised(clip.reference)):
            parent[root(i)] = root(first.setdefault(key, i))
    return [root(i) for i in range(len(clips))]


def _shingles(text: str) -> Iterable[str]:
    words = text.split()
    yield text
    for i in range(len(words) - SHINGLE_WORDS + 1):
        yield "…" + " ".join(words[i : i + SHINGLE_WORDS])


def _dealt(
    listing: Listing, groups: Sequence[Hashable], spec: DataSpec, policy: str
) -> tuple[Clip, ...]:
    """Deal whole groups, in seeded order, to test and validation until each has its share."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        members[group].append(i)
    what = "speakers" if policy == "speaker-disjoint" else "prompts"
    if len(members) < 2:
        raise InputError(
            f"split policy {policy} needs at least 2 {what}, {listing.name} has "
            f"{len(members)}; give more data or a split column"
        )
    split_of: dict[int, str] = {}
    open_groups = [
        list(members)[i] for i in np.random.default_rng(spec.seed).permutation(len(members))
    ]
    wanted = ((TEST, spec.test_fraction), (VALIDATION, spec.validation_fraction))
    for split, fraction in wanted:
        target = fraction * len(groups)
        if fraction > 0:
            open_groups = _fill(open_groups, members, split_of, split, target)
    return tuple(
        dataclasses.replace(c, split=split_of.get(i, TRAIN)) for i, c in enumerate(listing.clips)
    )


def _fill(
    open_groups: list[Hashable], members: dict[Hashable, list[int]], split_of: dict[int, str],
    split: str, target: float,
) -> list[Hashable]:  # fmt: skip
    """Give groups to `split` while they fit its target; the first always goes, one always stays."""
    left: list[Hashable] = []
    count = 0
    for position, group in enumerate(open_groups):
        size = len(members[group])
        last = not left and position == len(open_groups) - 1
        if not last and (count == 0 or count + size <= target):
            count += size
            split_of.update(dict.fromkeys(members[group], split))
        else:
            left.append(group)
    return left


def same2026(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """The study's CREMA-D split: files shuffled with seed 42, cut 80/10/10 (study.md 1.5, 6).

    Every speaker occurs on every side: the numbers are comparable with the study's and with nothing
    else.
    """
    order = sorted(range(len(clips)), key=lambda i: clips[i].path.name)
    shuffled = np.random.default_rng(SAME2026_SEED).permutation(len(order))
    n_train, n_validation = int(0.8 * len(order)), int(0.1 * len(order))
    bounds = (n_train, n_train + n_validation, len(order))
    out = list(clips)
    for rank, position in enumerate(shuffled):
        split = next(s for s, bound in zip(SPLITS, bounds, strict=True) if rank < bound)
        out[order[position]] = dataclasses.replace(clips[order[position]], split=split)
    return tuple(out)


def drawn(clips: Sequence[Clip], n: int | None, seed: int, what: str) -> tuple[Clip, ...]:
    """`n` clips by seed, in their old order; a smaller draw is part of a larger one.

    Raises:
        InputError: there are fewer than `n`.
    """
    if n is None or n == len(clips):
        return tuple(clips)
    if n > len(clips):
        raise InputError(f"{what} = {n} was asked, but only {len(clips)} are there; ask for fewer")
    chosen = np.random.default_rng(seed).permutation(len(clips))[:n]
    return tuple(clips[i] for i in sorted(chosen))
