"""CREMA-D: 7,442 clips of 91 actors, 12 sentences, 6 emotions; `1001_DFA_ANG_XX.wav`.

Speaker-disjoint by default. The study's split, in which every speaker is on every side, is had by
its name alone: `split_policy = "same2026"`.
"""

from __future__ import annotations

import re

from runner.data.named import Naming, listing_of

NAMING = Naming(
    name="cremad",
    example="1001_DFA_ANG_XX.wav",
    pattern=re.compile(r"(?P<speaker>\d{4})_(?P<sentence>[A-Z]{3})_(?P<code>[A-Z]{3})_[A-Z]{1,2}"),
    emotions={
        "ANG": "anger", "DIS": "disgust", "FEA": "fear",
        "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
    },
    licence="ODbL 1.0 (database), DbCL 1.0 (contents)",
    remedy="clone CheyneyComputerScience/CREMA-D and give its folder AudioWAV",
)  # fmt: skip

listing = listing_of(NAMING)
