"""A design, as text."""

from __future__ import annotations

from typing import Any


def design_text(found: dict[str, Any]) -> str:
    """A design on one screen."""
    from planner.report.tables import plain_table

    rows = [
        [r["backbone"], f"{r['audio_seconds']:g}", r["reduction"], str(r["seed"])]
        for r in found["runs"]
    ]
    lines = [
        f"  {line}"
        for line in plain_table(["backbone", "audio s", "reduction", "seed"], rows).split("\n")
    ]
    lines.append("")
    for name, width in found["half_widths"].items():
        lines.append(
            f"  {name:<28} {'not identified' if width is None else f'half-width {width:.2g}'}"
        )
    width = found["prediction"]["half_width"]
    target = " · ".join(
        f"{v:g} s" if name == "audio_seconds" else str(v)
        for name, v in found["prediction"]["config"].items()
    )
    shown = "not identified" if width is None else f"half-width {100 * width:.2g} %"
    lines.append(f"  error at {target}: {shown} ({100 * found['level']:.0f} %)")
    lines.append(f"  seeds: {found['seeds']['text']}")
    lines.append(f"  assumed: {found['assumptions']}")
    return "\n".join(lines)
