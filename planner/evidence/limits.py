"""What an evidence cannot tell, however many runs it has."""

from __future__ import annotations

from planner.evidence.study import Evidence


def limits_of_evidence(evidence: Evidence, n_speakers: int | None) -> tuple[dict[str, str], ...]:
    """What no number of such runs can tell: voices that were not heard, unlike kinds of model."""
    out = []
    if n_speakers == 1:
        message = "one speaker was scored: nothing here tells how other voices would do"
        out.append({"code": "one-speaker", "message": message})
    names = sorted({r.setup.backbone for r in evidence.rows})
    english = [n for n in names if n.endswith(".en")]
    if english and len(english) < len(names):
        message = (
            f"sizes differ in kind: {', '.join(english)} is English only, the others are "
            "multilingual, so an effect of size cannot be told from one of training"
        )
        out.append({"code": "mixed-kinds", "message": message})
    return tuple(out)
