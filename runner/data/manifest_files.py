"""Which files a manifest consists of: the one that is named, or those of a folder as releases lay them out.

A release of Common Voice (`train.tsv`, `dev.tsv`, `test.tsv`), a folder of Hugging Face (`metadata.csv`, or one in
each of `train`, `test`), or any files of rows that are named by the splits.
"""

from __future__ import annotations

from pathlib import Path

from runner.data.clips import TEST, TRAIN, VALIDATION

SUFFIXES = (".tsv", ".csv", ".jsonl", ".json", ".jsonl.gz", ".csv.gz", ".tsv.gz")
"""Of files of rows, in the order in which they are looked for."""
SPLIT_NAMES = {
    TRAIN: ("train",),
    VALIDATION: ("validation", "dev", "valid", "val"),
    TEST: ("test", "eval"),
}


def manifest_files(path: Path) -> list[tuple[str, Path]]:
    """Split and file of each part; the split is empty where rows say it, or nothing does. None: no manifest there."""
    if not path.is_dir():
        return [("", path)] if path.is_file() else []
    if plain := _first(path, "metadata"):
        return [("", plain)]
    found = []
    for split, names in SPLIT_NAMES.items():
        named = (_first(path, n) or _first(path / n, "metadata") for n in names)
        file = next((f for f in named if f is not None), None)
        if file is not None:
            found.append((split, file))
    return found if {TRAIN, TEST} <= {split for split, _ in found} else []


def _first(folder: Path, stem: str) -> Path | None:
    return next((f for s in SUFFIXES if (f := folder / f"{stem}{s}").is_file()), None)
