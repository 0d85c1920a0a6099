"""What is done to a backbone: how its token rate is lowered, and what of it is trained."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.words.axes import ENCODER_TOKENS_PER_SECOND

OPERATORS = ("stride", "mean-pool", "merge")
PLACES = ("none", "stem", "layer", "output")

_REDUCTION = re.compile(r"(stem|output|layer(\d+)):(\d+)(?::([a-z-]+))?$")
_ADAPTATION = re.compile(r"lora:(\d+)(?:\+top(\d+))?(?:\[([^\]]+)\])?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """How the token rate is lowered: `operator` at `place` by `factor`.

    `stem` widens the front end's last stride, `layer` acts on the hidden states after encoder layer
    `layer` (1-based), `output` on the encoder's last hidden states before cross-attention.

    >>> str(Reduction.parse("layer4:2:mean-pool")), Reduction.parse("none").factor
    ('layer4:2:mean-pool', 1)
    """

    operator: str = "stride"
    place: str = "none"
    layer: int | None = None
    factor: int = 1

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise InputError(
                f"reduction operator must be one of {', '.join(OPERATORS)}, got {self.operator!r}"
            )
        if self.place not in PLACES:
            raise InputError(
                f"reduction place must be one of {', '.join(PLACES)}, got {self.place!r}"
            )
        if self.factor < 1 or (self.place == "none") != (self.factor == 1):
            raise InputError(
                f"reduction factor must be 2 or more (or write none), got {self.factor!r} at {self.place}"
            )
        if (self.place == "layer") != (self.layer is not None) or (
            self.layer is not None and self.layer < 1
        ):
            raise InputError(
                f"reduction place layer needs a layer number from 1, got {self.layer!r} at {self.place}"
            )

    @classmethod
    def parse(cls, text: str) -> Reduction:
        """`none`, `stem:2`, `layer4:2`, `layer4:2:mean-pool` or `output:4`.

        Raises:
            InputError: the text is none of these.
        """
        if text.strip() in ("none", ""):
            return cls()
        found = _REDUCTION.match(text.strip())
        if not found:
            raise InputError(
                f"reduction {text!r} cannot be read; use none, stem:2, layer4:2:mean-pool or output:2"
            )
        place = "layer" if found.group(2) else found.group(1)
        factor = int(found.group(3))
        if factor == 1:
            return cls()
        layer = int(found.group(2)) if found.group(2) else None
        return cls(operator=found.group(4) or "stride", place=place, layer=layer, factor=factor)

    @property
    def tokens_per_second(self) -> float:
        """Token rate x_V in tokens/s at the encoder's output: 50 / factor."""
        return ENCODER_TOKENS_PER_SECOND / self.factor

    def __str__(self) -> str:
        if self.place == "none":
            return "none"
        place = f"layer{self.layer}" if self.place == "layer" else self.place
        return f"{place}:{self.factor}" + ("" if self.operator == "stride" else f":{self.operator}")


def decoder_only(targets: str) -> bool:
    """Whether LoRA targets name the decoder's layers alone: each one begins with `decoder.`.

    >>> decoder_only("decoder.q_proj, decoder.v_proj"), decoder_only("all-linear")
    (True, False)

    Raises:
        InputError: some begin so and others do not.
    """
    parts = [part.strip() for part in targets.split(",")]
    within = [part.startswith("decoder.") for part in parts]
    if any(within) and not all(within):
        raise InputError(
            f"LoRA targets {targets!r} mix the decoder's layers with all layers; write decoder. before "
            "each of them or before none"
        )
    return all(within)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What is trained: `none`, `lora` (rank, alpha, dropout, targets), `lora+top-k` or `full`.

    >>> str(Adaptation.parse("lora:16+top4")), Adaptation.parse("full").kind
    ('lora:16+top4', 'full')
    """

    kind: str = "lora"
    lora_rank: int | None = 8
    lora_alpha: float | None = None
    lora_dropout: float = 0.0
    targets: str = "all-linear"
    top_k_layers: int = 0
    rslora: bool = False
    dora: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("none", "lora", "lora+top-k", "full"):
            raise InputError(
                f"adaptation kind must be none, lora, lora+top-k or full, got {self.kind!r}"
            )
        if self.kind.startswith("lora") and (self.lora_rank is None or self.lora_rank < 1):
            raise InputError(f"lora_rank must be at least 1, got {self.lora_rank!r}")
        if self.kind.startswith("lora") and self.lora_alpha is None:
            # alpha = 2 r keeps the update's scale fixed while the rank moves (the study's choice too).
            object.__setattr__(self, "lora_alpha", 2.0 * float(self.lora_rank or 0))
        if (self.kind == "lora+top-k") != (self.top_k_layers > 0):
            raise InputError(
                f"top_k_layers must be positive for lora+top-k alone, got {self.top_k_layers!r} with {self.kind}"
            )

    @classmethod
    def parse(cls, text: str) -> Adaptation:
        """`none`, `full`, `lora:16`, `lora:16+top4`, or with what is unusual: `lora:8[q_proj,v_proj]`.

        Raises:
            InputError: the text is none of these.
        """
        if text in ("none", "full"):
            return cls(kind=text, lora_rank=None)
        found = _ADAPTATION.match(text)
        if not found:
            raise InputError(
                f"adaptation {text!r} cannot be read; use none, full, lora:16 or lora:16+top4"
            )
        top = int(found.group(2) or 0)
        kind = "lora+top-k" if top else "lora"
        rank = int(found.group(1))
        return cls(kind=kind, lora_rank=rank, top_k_layers=top, **_unusual_of(found.group(3)))

    def __str__(self) -> str:
        if not self.kind.startswith("lora"):
            return self.kind
        top = f"+top{self.top_k_layers}" if self.top_k_layers else ""
        unusual = f"[{'; '.join(self.unusual)}]" if self.unusual else ""
        return f"lora:{self.lora_rank}{top}{unusual}"

    @property
    def short(self) -> str:
        """Without what is unusual: `lora:8`, as a sweep file writes its levels beside its `[lora]` table."""
        return str(self).partition("[")[0]

    @property
    def unusual(self) -> tuple[str, ...]:
        """What differs from the default beside rank and layers, so that unlike things print unalike.

        >>> str(Adaptation(targets="q_proj,v_proj", lora_alpha=8.0, dora=True))
        'lora:8[q_proj,v_proj; alpha 8; dora]'
        """
        if not self.kind.startswith("lora"):
            return ()
        said = [] if self.targets == "all-linear" else [self.targets]
        if self.lora_alpha != 2.0 * float(self.lora_rank or 0):
            said.append(f"alpha {self.lora_alpha:g}")
        if self.lora_dropout:
            said.append(f"dropout {self.lora_dropout:g}")
        return (*said, *(name for name in ("rslora", "dora") if getattr(self, name)))


def _unusual_of(text: str | None) -> dict[str, Any]:
    """What `Adaptation.unusual` wrote, as fields.

    >>> _unusual_of("q_proj,v_proj; alpha 8; dora")
    {'targets': 'q_proj,v_proj', 'lora_alpha': 8.0, 'dora': True}
    """
    found: dict[str, Any] = {}
    for part in (text or "").split("; ") if text else ():
        name, _, value = part.partition(" ")
        if part in ("rslora", "dora"):
            found[part] = True
        elif name in ("alpha", "dropout") and value:
            try:
                found[f"lora_{name}"] = float(value)
            except ValueError:
                raise InputError(f"lora {name} is not a number: {value!r}") from None
        else:
            found["targets"] = part
    return found
