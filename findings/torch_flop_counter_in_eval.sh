#!/usr/bin/env bash
# torch 2.13.0, FlopCounterMode: one model has another count, down to 0, by train and eval, gradients and kernel.
#
# Guessed before running: a forward has one count, whether it is to be trained or not; of recurrent layers either all
# are counted or none is.
# Seen on a CPU, of 22,220,800 for two nn.TransformerEncoder layers: all in train(); 19,660,800 in eval() with gradients
# (attention goes to a kernel that has no rule); 0 in eval() under no_grad or inference_mode, where whole layers are one
# fused call. An nn.LSTM counts 0, an nn.GRU of the same size its whole 4,915,200. Nothing warns.
#
# Exits 0 while this is so, 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import warnings

warnings.filterwarnings("ignore")
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

torch.manual_seed(0)
BATCH, FRAMES, WIDTH, INNER, LAYERS = 2, 50, 64, 256, 2
x = torch.randn(BATCH, FRAMES, WIDTH)


def count(module):
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()


rows = BATCH * FRAMES
products = LAYERS * 2 * rows * (4 * WIDTH**2 + 2 * WIDTH * INNER)
attention = LAYERS * 2 * 2 * BATCH * FRAMES**2 * WIDTH
gates = 2 * rows * 2 * WIDTH * WIDTH
stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 4, INNER, batch_first=True), LAYERS)
seen = {"train": count(stack.train()), "eval": count(stack.eval())}
with torch.no_grad():
    seen["eval, no_grad"] = count(stack)
with torch.inference_mode():
    seen["eval, inference_mode"] = count(stack)
seen["LSTM"] = count(nn.LSTM(WIDTH, WIDTH, batch_first=True))
seen["GRU"] = count(nn.GRU(WIDTH, WIDTH, batch_first=True))
wanted = {
    "train": products + attention, "eval": products, "eval, no_grad": 0, "eval, inference_mode": 0, "LSTM": 0,
    "GRU": 3 * gates,
}
for name, value in seen.items():
    print(f"{name:22} {value:>12,}   here {wanted[name]:>12,}   by hand {dict(LSTM=4 * gates, GRU=3 * gates).get(name, products + attention):>12,}")
raise SystemExit(0 if seen == wanted else 1)
PY
