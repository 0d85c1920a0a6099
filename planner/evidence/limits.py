"""What an evidence cannot tell, however many runs it has."""

from __future__ import annotations

import math
from collections import Counter

from planner.evidence.comparable import recipe_note, why_pooled
from planner.evidence.noise_of_runs import SOURCES
from planner.evidence.study import Evidence
from planner.laws.result import INDEPENDENT, LawFit

ENOUGH_REPEATS = 2
"""Runs beyond the first of their configurations from which seeds tell their own scatter: three of one."""

MOST_NAMED = 6
"""Runs that a warning names."""


def limits_of_evidence(
    evidence: Evidence, n_speakers: int | None, *, older: bool = False
) -> tuple[dict[str, str], ...]:
    """What no number of such runs can tell: voices that were not heard, unlike kinds of model."""
    out = []
    if not older and (recipes := recipe_note(evidence.rows)):
        out.append({"code": "mixed-recipes", "message": recipes})
    if older and (pooled := why_pooled(evidence.rows, evidence.axes)):
        out.append({"code": "older-rule", "message": pooled})
    if n_speakers == 1:
        message = "one speaker was scored: nothing here tells how other voices would do"
        out.append({"code": "one-speaker", "message": message})
    out += _spoilt_texts(evidence)
    names = sorted({r.setup.backbone for r in evidence.rows})
    english = [n for n in names if n.endswith(".en")]
    if english and len(english) < len(names):
        message = (
            f"sizes differ in kind: {', '.join(english)} is English only, the others are "
            "multilingual, so an effect of size cannot be told from one of training"
        )
        out.append({"code": "mixed-kinds", "message": message})
    if not older and (families := _families(evidence)):
        out.append({"code": "mixed-families", "message": families})
    return tuple(out)


def _families(evidence: Evidence) -> str:
    """That sizes differ in family, and which; empty where they do not, or a name is not in the catalogue."""
    known = set(evidence.catalogue.names)
    of: dict[str, set[str]] = {}
    for name in {r.setup.backbone for r in evidence.rows} & known:
        of.setdefault(evidence.catalogue.backbone(name).family, set()).add(name)
    if len(of) < 2:
        return ""
    listed = "; ".join(
        f"{family}: {', '.join(sorted(names))}" for family, names in sorted(of.items())
    )
    return (
        f"sizes differ in family ({listed}), and a law of one size for all has no term for it, so an effect of size "
        "cannot be told from one of family; fit each family by its own runs"
    )


def _spoilt_texts(evidence: Evidence) -> list[dict[str, str]]:
    """Runs whose texts were cut by their limit or go round in loops, by what scoring counted."""
    out = []
    for code, name, what in (
        (
            "texts-cut",
            "n_windows_at_limit",
            (
                "window reached the limit of output tokens: its text is cut",
                "windows reached the limit of output tokens: their texts are cut",
            ),
        ),
        (
            "texts-loop",
            "n_windows_looped",
            ("window says the same again and again", "windows say the same again and again"),
        ),
    ):
        # Runs of before counted by another limit than the one in force, and no loops.
        counted = [r for r in evidence.rows if "utterances_at_limit" in r.evaluation_details]
        spoilt = {r.run_id: int(r.evaluation_details.get(name) or 0) for r in counted}
        spoilt = {run_id: n for run_id, n in spoilt.items() if n}
        if spoilt:
            runs = ", ".join(map(str, sorted(spoilt)[:MOST_NAMED]))
            more = f" and {len(spoilt) - MOST_NAMED} more" if len(spoilt) > MOST_NAMED else ""
            n = sum(spoilt.values())
            which = "run" if len(spoilt) == 1 else "runs"
            message = f"{n} {what[n > 1]} ({which} {runs}{more})"
            out.append({"code": code, "message": message})
    return out


def n_repeats(evidence: Evidence) -> int:
    """Runs beyond the first of their configurations: degrees of freedom of what seeds scatter by."""
    labels = evidence.observations.group
    return 0 if labels is None else sum(n - 1 for n in Counter(labels.tolist()).values())


def limits_of_noise(evidence: Evidence, fit: LawFit) -> tuple[dict[str, str], ...]:
    """What the noise of the runs was taken from where they do not tell it themselves."""
    if fit.rule == INDEPENDENT:
        return ()  # an answer of before replays as it was, and `answers replay` names its rule
    out = []
    if fit.noise_source not in ("speakers", "utterances"):
        out.append({"code": f"noise-{fit.noise_source}", "message": SOURCES[fit.noise_source]})
    if n_repeats(evidence) < ENOUGH_REPEATS:
        share = sum(m.weight * math.sqrt(m.omega2 or 0.0) for m in fit.members)
        message = (
            f"seeds are taken to move the error by {100 * share:.2g} % (assumption): no configuration was "
            "run three times; three seeds of one would tell"
        )
        out.append({"code": "seeds-assumed", "message": message})
    return tuple(out)
