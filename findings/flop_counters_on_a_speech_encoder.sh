#!/usr/bin/env bash
# Five FLOP counters on one Whisper encoder: torch 2.13.0, fvcore 0.1.5.post20221221, thop 0.1.1.post2209072238,
# ptflops 0.7.5, torchinfo 1.8.0, beside a count by hand of its two convolutions, projections and attention.
#
# Guessed before running: all tell the multiply-adds of the hand count (torch twice that) to 2 %, with attention in
# plain operations at least; torchinfo too, as its "mult-adds" are documented for linear layers.
# Seen, as a share of 2 x multiply-adds: in plain ("eager") attention torch 1.000, fvcore .505, ptflops .508, thop .427
# (no attention at all: its products are no modules) and torchinfo .152: the mult-adds of a linear layer are its
# weights, once and not once a frame. With scaled_dot_product_attention, transformers' default, torch falls to .847
# on a CPU, whose attention kernel has no rule, and fvcore and ptflops to .43.
#
# Exits 0 while this is so, 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 \
  fvcore==0.1.5.post20221221 thop==0.1.1.post2209072238 ptflops==0.7.5 torchinfo==1.8.0
"$folder/venv/bin/python" - <<'PY'
import logging
import warnings

warnings.filterwarnings("ignore")
import ptflops
import thop
import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis
from torch.utils.flop_counter import FlopCounterMode
from transformers import WhisperConfig, WhisperModel

logging.disable(logging.CRITICAL)
WIDTH, LAYERS, FRAMES, INNER, MELS = 64, 2, 100, 256, 80
config = WhisperConfig(
    d_model=WIDTH, encoder_layers=LAYERS, encoder_attention_heads=4, encoder_ffn_dim=INNER, decoder_layers=1,
    decoder_attention_heads=4, decoder_ffn_dim=64, num_mel_bins=MELS, max_source_positions=FRAMES,
)
stem = 2 * FRAMES * WIDTH * MELS * 3 + FRAMES * WIDTH * WIDTH * 3
layer = 4 * FRAMES * WIDTH**2 + 2 * FRAMES**2 * WIDTH + 2 * FRAMES * WIDTH * INNER
hand = 2 * (stem + LAYERS * layer)
print("by hand:", hand, "of which attention", 2 * LAYERS * 2 * FRAMES**2 * WIDTH)
mel = torch.randn(1, MELS, 2 * FRAMES)


def by_torch(model):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(mel)
    return counter.get_total_flops()


def by_ptflops(model):
    return ptflops.get_model_complexity_info(
        model, (MELS, 2 * FRAMES), as_strings=False, print_per_layer_stat=False, backend="pytorch"
    )[0]


COUNTERS = {
    "torch": by_torch,
    "fvcore": lambda model: FlopCountAnalysis(model, mel).unsupported_ops_warnings(False).total(),
    "ptflops": by_ptflops,
    "thop": lambda model: thop.profile(model, inputs=(mel,), verbose=False)[0],
    "torchinfo": lambda model: torchinfo.summary(model, input_data=mel, verbose=0).total_mult_adds,
}
WANTED = {
    "eager": {"torch": 1.0, "fvcore": 0.505, "ptflops": 0.508, "thop": 0.427, "torchinfo": 0.152},
    "sdpa": {"torch": 0.847, "fvcore": 0.428, "ptflops": 0.428, "thop": 0.427, "torchinfo": 0.152},
}
same = True
for attention, wanted in WANTED.items():
    for name, count in COUNTERS.items():
        model = WhisperModel._from_config(config, attn_implementation=attention).encoder.eval()
        share = count(model) / hand
        same &= abs(share - wanted[name]) < 0.002
        print(f"{attention:6} {name:10} {share:.4f} of the hand count")
raise SystemExit(0 if same else 1)
PY
