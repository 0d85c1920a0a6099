#!/usr/bin/env bash
# PEFT 0.21.2 on torch 2.13.0: merging a LoRA adapter into a convolution under weight normalisation, as every
# convolution of a neural audio codec's encoder is, loses the whole adapter and says nothing.
#
# Guessed before running: merge_adapter and merge_and_unload either give the adapter's output to rounding, or refuse
# the layer, as they do for convolutions with groups.
# Seen (EnCodec's encoder, random weights and adapters): the adapter moves the output by 0.72, the merged model gives
# the output of the base model to the last bit, and so does the unloaded one. `weight` of a parametrised layer is
# computed anew at each access, so that what is added to its data is added to a temporary. safe_merge=True, which looks
# for NaN, passes too. Before it is merged the adapter works, trains and reloads.
#
# Exits 0 while this is so, 1 once it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 peft==0.21.2
"$folder/venv/bin/python" - <<'PY'
import warnings

warnings.filterwarnings("ignore")
from importlib.metadata import version

import torch
from peft import LoraConfig, get_peft_model
from transformers import EncodecConfig, EncodecModel

print("peft", version("peft"), "torch", version("torch"), "transformers", version("transformers"))
torch.manual_seed(0)
shape = dict(
    hidden_size=16, num_filters=8, num_lstm_layers=1, codebook_size=16, codebook_dim=16, upsampling_ratios=[4, 2],
    target_bandwidths=[1.5],
)
audio = torch.randn(1, 1, 1600)
lora = LoraConfig(r=4, target_modules=r"encoder\.layers\.\d+\.conv", init_lora_weights=False)


def apart(a, b):
    return (a - b).abs().max().item()


found = []
with torch.no_grad():
    for safe in (False, True):
        tuned = get_peft_model(EncodecModel(EncodecConfig(**shape)).eval(), lora).eval()
        encode = tuned.base_model.model.encoder
        with tuned.disable_adapter():
            base = encode(audio)
        adapted = encode(audio)
        tuned.merge_adapter(safe_merge=safe)
        merged = encode(audio)
        tuned.unmerge_adapter()
        unloaded = tuned.merge_and_unload(safe_merge=safe).eval().encoder(audio)
        row = apart(adapted, base), apart(merged, base), apart(unloaded, base)
        print(f"safe_merge={safe}: adapter moves {row[0]:.3f}, merged {row[1]:.3f}, unloaded {row[2]:.3f} from the base")
        found.append(row[0] > 0.1 and row[1] == row[2] == 0.0)
raise SystemExit(0 if all(found) else 1)
PY
