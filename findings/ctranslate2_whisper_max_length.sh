#!/usr/bin/env bash
# CTranslate2's Whisper.generate stops after max_length / 2 new ids (or fewer, where max_length less the prompt but
# for its last id is smaller), not at max_length ids with the prompt counted nor after max_length new ones, as "Maximum generation length" reads. And `optimize` of its converter quantises
# in the place of the arrays that it was given. Exits non-zero if either changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check ctranslate2==4.8.5 numpy==2.4.6
"$work/venv/bin/python" - "$work/model" <<'PY'
import sys

import ctranslate2
import numpy as np
from ctranslate2.specs.whisper_spec import WhisperSpec

D, HEADS, MELS, VOCABULARY, STATES, POSITIONS = 16, 2, 80, 51865, 50, 448
END, PROMPT = 50257, [50258, 50259, 50359, 50363]
rng = np.random.default_rng(0)


def array(*shape):
    return (0.05 * rng.standard_normal(shape)).astype(np.float32)


def norm(spec):
    spec.gamma, spec.beta = np.ones(D, np.float32), np.zeros(D, np.float32)


def linear(spec, outputs, inputs):
    spec.weight, spec.bias = array(outputs, inputs), np.zeros(outputs, np.float32)


def attention(spec, cross):
    norm(spec.layer_norm)
    widths = (D, 2 * D, D) if cross else (3 * D, D)
    for part, width in zip(spec.linear, widths):
        linear(part, width, D)


def made():
    spec = WhisperSpec(1, HEADS, 1, HEADS)
    for convolution, inputs in ((spec.encoder.conv1, MELS), (spec.encoder.conv2, D)):
        convolution.weight, convolution.bias = array(D, inputs, 3), np.zeros(D, np.float32)
    for side, rows in ((spec.encoder, STATES), (spec.decoder, POSITIONS)):
        side.position_encodings.encodings = array(rows, D)
        norm(side.layer_norm)
        layer = side.layer[0]
        attention(layer.self_attention, cross=False)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 4 * D, D)
        linear(layer.ffn.linear_1, D, 4 * D)
    attention(spec.decoder.layer[0].attention, cross=True)
    spec.decoder.embeddings.weight = array(VOCABULARY, D)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.decoder.scale_embeddings = False
    words = [f"w{i}" for i in range(VOCABULARY)]
    words[END] = "<|endoftext|>"
    named = ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>")
    for number, word in zip(PROMPT, named):
        words[number] = word
    spec.register_vocabulary(words)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.lang_ids, spec.config.alignment_heads = [], [(0, 0)]
    return spec


spec = made()
kernel = spec.encoder.conv1.weight
before = kernel.copy()
spec.validate()
spec.optimize(quantization="int16")
moved = float(np.abs(np.asarray(kernel, dtype=np.float32) - before).max())
plain = made()
plain.validate()
plain.optimize(quantization=None)
import os
os.makedirs(sys.argv[1])
plain.save(sys.argv[1])
model = ctranslate2.models.Whisper(sys.argv[1], device="cpu", compute_type="float32")
features = ctranslate2.StorageView.from_array(array(1, MELS, 2 * STATES))
print("ctranslate2", ctranslate2.__version__)
seen = {}
for asked in (2, 6, 12, 21, 40, 600):
    found = model.generate(features, [PROMPT], beam_size=1, max_length=asked, suppress_tokens=[END])
    seen[asked] = len(found[0].sequences_ids[0])
    print(f"max_length {asked}, prompt of {len(PROMPT)}: {seen[asked]} ids, "
          f"read as a limit with the prompt {asked - len(PROMPT)}")
print(f"an array given to the converter moved by {moved:.4g} when int16 was asked for")
expected = {asked: max(0, min(asked // 2, asked - len(PROMPT) + 1)) for asked in seen}
sys.exit(0 if seen == expected and moved > 0 else 1)
PY
