"""Configurations held as columns."""

import numpy as np

from planner.plan.configurations import Columns, Config
from planner.words.records import Adaptation, Reduction


def test_configurations_are_found_among_many_by_their_values():
    def config(name, seconds, cut):
        return Config(
            backbone=name, audio_seconds=seconds, reduction=Reduction.parse(cut),
            adaptation=Adaptation.parse("lora:8"), extra=(("bits", seconds),),
        )  # fmt: skip

    many = [config(n, s, c) for n in ("a", "b") for s in (1.0, 2.0) for c in ("none", "stem:2")]
    columns = Columns.of(many)
    assert columns.places([config("b", 1.0, "stem:2"), config("c", 1.0, "none"), many[0]]) == [
        5, None, 0,
    ]  # fmt: skip
    half = columns.kept(np.array([i % 2 == 1 for i in range(8)]))
    assert half.places(many[:4]) == [None, 0, None, 1]
    assert half.audio_seconds.tolist() == [1.0, 2.0, 1.0, 2.0]
