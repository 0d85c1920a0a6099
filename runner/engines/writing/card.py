"""The model card of an export: README.md, for whoever finds the folder without us."""

from __future__ import annotations

from runner.engines.description import Description

_LOAD = {
    "onnx": "Two graphs for ONNX Runtime (`encoder.onnx`, `decoder_step.onnx`), or one (`model.onnx`) for classes.",
    "openvino": "Graphs for OpenVINO (`.xml` with `.bin`).",
    "ctranslate2": "A CTranslate2 Whisper, called with log-mel features of the window's own length.",
    "ggml": "A file of whisper.cpp for windows of this length, and audio no longer than one: "
    "`whisper-cli -m FOLDER/ggml-model.bin -nfa -nt FILE.wav`.",
    "pt2": "Programs of torch.export (`encoder.pt2`, `decoder_step.pt2`), or one (`model.pt2`): "
    "`torch.export.load(FILE).module()`.",
    "peft": "An adapter of peft's and its base: "
    "`PeftModel.from_pretrained(AutoModelForSpeechSeq2Seq.from_pretrained('FOLDER/base'), 'FOLDER')`.",
    "hf": "A transformers folder: `AutoModelForSpeechSeq2Seq.from_pretrained(FOLDER)`.",
}


def card(about: Description, notes: tuple[str, ...] = ()) -> str:
    """The card's text."""
    measured = (
        "" if about.error is None else f"\n| {about.metric} when trained | {about.error:.2%} |"
    )
    command = "transcribe" if about.task == "asr" else "classify"
    lines = [
        "---",
        "library_name: soundscale",
        f"pipeline_tag: {'automatic-speech-recognition' if about.task == 'asr' else 'audio-classification'}",
        "---",
        "",
        f"# {about.label}",
        "",
        f"{_LOAD[about.format]} Exported by Soundscale in {about.precision}.",
        "",
        "| | |",
        "|---|---|",
        f"| backbone | {about.backbone} |",
        f"| window | {about.audio_seconds:g} s |",
        f"| encoder tokens a second | {about.tokens_per_second:g} ({about.reduction}) |",
        f"| engine, precision | {about.engine}, {about.precision} |",
        f"| base weights | {about.weights_source} |",
        f"| run, fingerprint | {about.run_id}, `{about.fingerprint}` |{measured}",
        "",
        "```",
        f"soundscale {command} FILE.wav --model FOLDER",
        "```",
        "",
        "```python",
        "from runner import load",
        f'print(load("FOLDER").{command}("FILE.wav"))',
        "```",
        "",
        "Longer audio is cut into consecutive windows at the quietest moment of a window's second half, as it "
        "was in scoring. `soundscale.json` holds everything that decoding needs.",
    ]
    for note in notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"
