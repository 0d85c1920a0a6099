"""Which contestants are loaded into one process together: as many as its memory holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from planner.words.catalogue import Catalogue
from runner.probing.contestants import Contestant

MEMORY_SHARE = 0.5
"""Of the memory that is free, what models may take (assumption: activations and audio need the rest)."""

FLOAT_BYTES = 4.0
"""Of a parameter in float32, which any precision is drawn in first."""

COPIES = 3
"""Copies of a backbone's or an export's bytes that loading it takes at most (assumption)."""


def groups_that_fit(
    contestants: Sequence[Contestant], catalogue: Catalogue
) -> list[list[Contestant]]:
    """The contestants in groups of equal threads and device, each of which fits into free memory."""
    room = MEMORY_SHARE * free_bytes()

    def weigh(one: Contestant) -> tuple[str, float]:
        return weight(one, catalogue)

    alike: dict[tuple[float, float, str | None], list[Contestant]] = {}
    for one in contestants:
        how = one.resources
        alike.setdefault((how.cpus, how.gpus, how.device_label), []).append(one)
    return [group for same in alike.values() for group in split(same, room, weigh)]


def split(
    contestants: Sequence[Contestant],
    room: float,
    weigh: Callable[[Contestant], tuple[str, float]],
) -> list[list[Contestant]]:
    """Consecutive groups whose different models weigh at most `room` bytes; one too heavy is alone.

    Args:
        contestants: in order.
        room: bytes.
        weigh: the name of a contestant's model and its bytes; models of one name share theirs.
    """
    groups: list[list[Contestant]] = []
    held: dict[str, float] = {}
    for one in sorted(contestants, key=lambda c: weigh(c)[0]):
        name, size = weigh(one)
        if groups and sum((held | {name: size}).values()) <= room:
            groups[-1].append(one)
            held[name] = size
        else:
            groups.append([one])
            held = {name: size}
    return groups


def weight(contestant: Contestant, catalogue: Catalogue) -> tuple[str, float]:
    """The model that a contestant loads, and the bytes that it takes."""
    if contestant.folder is not None:
        files = [p for p in Path(contestant.folder).rglob("*") if p.is_file()]
        return contestant.key, COPIES * float(sum(p.stat().st_size for p in files))
    shape = catalogue.backbone(contestant.trial.backbone)
    return f"{shape.name} {contestant.precision}", COPIES * FLOAT_BYTES * shape.n_params


def free_bytes() -> float:
    """Memory that a process may take now; without a limit where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    return float("inf")
