"""RAVDESS speech: 24 actors, 8 emotions; `03-01-06-01-02-01-12.wav`, emotion third, actor last."""

from __future__ import annotations

import re

from runner.data.named import Naming, listing_of

NAMING = Naming(
    name="ravdess",
    example="03-01-06-01-02-01-12.wav",
    pattern=re.compile(r"\d\d-01-(?P<code>\d\d)-\d\d-(?P<sentence>\d\d)-\d\d-(?P<speaker>\d\d)"),
    emotions={
        "01": "neutral", "02": "calm", "03": "happiness", "04": "sadness",
        "05": "anger", "06": "fear", "07": "disgust", "08": "surprise",
    },
    # The second number is the vocal channel: 02 are sung, mostly by the same actors in the same words.
    others=re.compile(r"\d\d-02-\d\d-\d\d-\d\d-\d\d-\d\d"),
    other="songs",
    licence="CC BY-NC-SA 4.0",
    remedy="get Audio_Speech_Actors_01-24 of RAVDESS from Zenodo and give its folder",
)  # fmt: skip

listing = listing_of(NAMING)
