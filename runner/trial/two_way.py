"""Standard errors where speakers and sentences cross: every speaker of EmoDB reads the same ten sentences.

Clips of one speaker fail together, and so do clips of one sentence; drawing speakers alone sees the first.
The variance of a mean is that by speakers, and that by sentences, less what both count twice, that by their
pairs (Cameron, Gelbach and Miller 2011, Robust inference with multiway clustering, equation 2.13), each by the
clips' influences and with G/(G-1) for G clusters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

KIND = "speaker and sentence"


def rate_influence(n_errors: Sequence[int], n_units: Sequence[int]) -> Floats:
    """How far each utterance moves sum(errors) / sum(units): (e - r u) / sum(u), shape (n,)."""
    errors, units = np.asarray(n_errors, dtype=float), np.asarray(n_units, dtype=float)
    total = units.sum()
    return np.asarray((errors - errors.sum() / total * units) / total)


def recall_influence(references: Sequence[str], right: Floats) -> Floats:
    """How far each clip moves the mean recall over K classes: (right - recall) / (K n of its class)."""
    index = {label: k for k, label in enumerate(dict.fromkeys(references))}
    of_class = np.array([index[r] for r in references])
    n = np.bincount(of_class).astype(float)
    recall = np.bincount(of_class, weights=right) / n
    return np.asarray((right - recall[of_class]) / (len(index) * n[of_class]))


def two_way_variance(
    influence: Floats, speakers: Sequence[str | None], sentences: Sequence[str | None]
) -> float | None:
    """Variance by speakers and by sentences together; None where the two do not cross.

    They cross where two speakers or more are known and some sentence is read by several of them.
    """
    if None in speakers or None in sentences or not len(influence):
        return None
    pairs = list(zip(speakers, sentences, strict=True))
    read_by: dict[str | None, set[str | None]] = {}
    for speaker, sentence in pairs:
        read_by.setdefault(sentence, set()).add(speaker)
    if len(set(speakers)) < 2 or len(read_by) < 2 or max(map(len, read_by.values())) < 2:
        return None
    by = [_clustered(influence, keys) for keys in (speakers, sentences, pairs)]
    return max(by[0] + by[1] - by[2], 0.0)


def _clustered(influence: Floats, keys: Sequence[object]) -> float:
    index = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    sums = np.bincount([index[key] for key in keys], weights=influence)
    return float(len(sums) / (len(sums) - 1) * (sums**2).sum())
