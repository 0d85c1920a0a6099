"""A trained Whisper as a standard adapter of peft's, with the cut base that it belongs on.

`PeftModel.from_pretrained(AutoModelForSpeechSeq2Seq.from_pretrained("FOLDER/base"), "FOLDER")`, without code of ours.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

from runner.engines.trained import Trained
from runner.engines.writing import hf
from runner.engines.writing.onnx import Say
from runner.models.adapt import ADAPTER_FILE, PEFT_FILE, peft_config, standard_name, unmerge

BASE = "base"


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Write the adapter's tensors and configuration, and the base beside them."""
    from safetensors.torch import save_file

    module = copy.deepcopy(trained.model.module)
    unmerge(module)
    tensors = {
        standard_name(name): parameter.detach().contiguous()
        for name, parameter in module.named_parameters()
        if ".lora_" in name
    }
    say(f"writing {ADAPTER_FILE}")
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})
    config = json.dumps(peft_config(module), indent=1, sort_keys=True)
    (folder / PEFT_FILE).write_text(config + "\n", encoding="utf-8")
    (folder / BASE).mkdir()
    hf.save_module(module, trained, folder / BASE, precision, say)
