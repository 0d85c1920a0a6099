"""What a comparison of two runs says, as a sentence: the same in the command and on the page."""

from __future__ import annotations

from typing import Any

ALPHA = 0.05
"""Adjusted p below which two runs are called different."""


def p_text(p: float) -> str:
    """A p value with the digits that it deserves.

    >>> p_text(0.0312), p_text(1.0), p_text(3e-6)
    ('0.031', '1.000', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(c: dict[str, Any], n_comparisons: int) -> str:
    """What one comparison says, as a sentence."""
    names = f"run {c['run_id']}", f"run {c['against_run_id']}"
    points = f"{abs(100 * c['difference']):.2f} points"
    if c["n_differing"] == 0:
        same = f"{names[0]} and {names[1]} have the same number of errors in every utterance"
        if c["high"] is None:
            return same
        return f"{same}: equal here, and less than {100 * c['high']:.2f} points apart on speech like it"
    if c["told_apart"]:
        word = "fewer" if c["difference"] < 0 else "more"
        return f"{names[0]} makes {word} errors than {names[1]}: {points} (p {p_text(c['p_holm'])})"
    text = f"{names[0]} and {names[1]} are not told apart at {ALPHA:g}: {points}, p {p_text(c['p_holm'])}"
    if c["p"] < ALPHA:
        text += f" among {n_comparisons} comparisons, {p_text(c['p'])} alone"
    if c["difference"]:
        likelier = names[0] if c["p_improvement"] > 0.5 else names[1]
        p = max(c["p_improvement"], 1.0 - c["p_improvement"])
        text += f"; {likelier} is the better one with probability {min(p, 0.99):.2f}"
    return text + _needed(c)


def _needed(c: dict[str, Any]) -> str:
    n, least = c["utterances_for_one_point"], c["detectable"]
    if n is None or least is None:
        return ""
    return (
        f"; this set tells {100 * least:.1f} points apart, one point needs {n} such utterances "
        "(power 0.8, p < 0.05)"
    )
