#!/usr/bin/env bash
# transformers 5.23.0, SeamlessM4TFeatureExtractor (w2v-BERT 2.0's): where a clip has an odd number of frames of 10 ms, the
# mask declares its last frame to be padding.
#
# Guessed before running: two frames make one row; a row that holds a frame of the clip counts as heard, and the mask of
# n frames has ceil(n / 2) rows.
# Seen: floor(n / 2). Clips are padded to an even number of frames, the last row holds the clip's last frame beside a
# frame of padding, and its mask is that of the second. The row is still returned, so that a model that is called without
# the mask has it, and one with the mask does not: 49 rows for 98 frames and for 99, of the 50 that come back. Alone or
# in a batch is the same, so that half of all clips lose their last 10 ms, and a clip that is one frame shorter loses none.
#
# Exits 0 while this is so, 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY' 2>/dev/null
from importlib.metadata import version

import numpy as np
from transformers import SeamlessM4TFeatureExtractor

print("transformers", version("transformers"))
extract = SeamlessM4TFeatureExtractor()
rng = np.random.default_rng(0)
WINDOW, HOP = 400, 160
same = True
for frames in (98, 99, 100, 101):
    clip = (0.1 * rng.standard_normal(WINDOW + (frames - 1) * HOP)).astype(np.float32)
    longer = np.concatenate([clip, clip])
    alone = extract(clip, sampling_rate=16_000, return_tensors="np")
    beside = extract([clip, longer], sampling_rate=16_000, return_tensors="np")
    rows, heard = alone["input_features"].shape[1], int(alone["attention_mask"].sum())
    print(f"{frames} frames: {rows} rows of two, {heard} of them heard; in a batch {int(beside['attention_mask'][0].sum())}")
    last = alone["input_features"][0, -1]
    same &= rows == -(-frames // 2) and heard == int(beside["attention_mask"][0].sum()) == frames // 2
    # The first half of the last row is the clip's own frame, not the padding's constant.
    same &= len(np.unique(last[:80])) > 40
raise SystemExit(0 if same else 1)
PY
