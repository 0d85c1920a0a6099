"""What kinds of question ask beside a `PlanQuery`, and the names that costs have in a question."""

from __future__ import annotations

from planner.words.asked import Asked

COST_TITLES = {
    "flops": "FLOPs",
    "latency": "latency",
    "memory": "memory",
    "train-flops": "training FLOPs",
    "rtfx": "compute a second of audio",
    "cost-per-1000h": "money",
    "energy": "energy",
    "size": "model size",
    "train-hours": "training audio",
}
"""Name of a cost in a question -> how a form calls it."""

TARGET = (
    Asked(
        name="error", kind="error", help="Largest error, e.g. 8% or 0.08.", needed=True, low=1e-6, high=0.999999,
        example="8%", old=("--wer",),
    ),
    Asked(
        name="minimise", kind="choice", help="The resource to spend least of.", default="flops",
        choices=COST_TITLES, example="latency",
    ),
)  # fmt: skip
"""The least of one resource for a quality."""

FRONTIER = (
    Asked(
        name="x", kind="choice", help="The cost to trade against error.", default="flops",
        choices=COST_TITLES, example="latency",
    ),
)  # fmt: skip
"""The lowest error at each cost."""

WHATIF = (
    Asked(
        name="backbone", kind="name", help="A catalogue name, e.g. whisper-small.", needed=True,
        example="whisper-base",
    ),
    Asked(
        name="audio_seconds", kind="number", help="Seconds in a window (x_T).", needed=True,
        low=0.01, high=86_400.0, example="10",
    ),
    Asked(
        name="reduction", kind="name", help="How tokens are thinned, e.g. stem:2 (x_V).",
        default="none", example="stem:2", old=("--reduce",),
    ),
)  # fmt: skip
"""One configuration, by its three axes."""

CONFIGURATION = (
    *WHATIF,
    Asked(
        name="adaptation", kind="name", help="What is trained, e.g. lora:16.", default="lora:16",
        example="lora:16", old=("--adapt",),
    ),
)  # fmt: skip
"""One configuration with what is trained of it."""

SUGGEST = (
    Asked(
        name="hours", kind="number", help="Hours of compute to spend.", default=8.0, low=1e-3,
        high=1e6, example="20", old=("--gpu-hours", "--cpu-hours"),
    ),
    Asked(
        name="worth", kind="error", help="Least gain in error.  [default: 0.01%]", default=1e-4,
        low=1e-9, high=1.0, example="0.1%",
    ),
)  # fmt: skip
"""Which runs to do next."""
