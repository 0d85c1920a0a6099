"""EmoDB, the Berlin database: 535 clips, 10 speakers, 10 sentences, 7 emotions; `03a01Fa.wav`.

Two digits of the speaker, three characters of the sentence, a letter of the (German) emotion, a
letter of the take.
"""

from __future__ import annotations

import re

from runner.data.named import Naming, listing_of

NAMING = Naming(
    name="emodb",
    example="03a01Fa.wav",
    pattern=re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<code>[A-Z])[a-z]"),
    emotions={
        "W": "anger", "L": "boredom", "E": "disgust", "A": "fear",
        "F": "happiness", "T": "sadness", "N": "neutral",
    },
    licence="free for research (Burkhardt et al. 2005)",
    remedy="get EmoDB and give its folder wav",
)  # fmt: skip

listing = listing_of(NAMING)
