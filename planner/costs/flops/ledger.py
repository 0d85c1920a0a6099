"""A ledger of multiply-adds that follows autograd's own rule of what needs a gradient.

Each entry is one matrix product or convolution, 2 FLOPs per multiply-add. A gradient with respect to
an input is formed only where that input depends on something trained; one with respect to a weight
only where that weight is trained. So LoRA's cost comes out right at the borders too: the first layer's
projections see an input that needs no gradient, a key without adapter asks for none.

Gradient checkpointing (torch's non-reentrant form) runs a layer again in the backward pass, up to the last
tensor that autograd saves in it: an operation saves what its gradients take before it computes, so that the
last product is seldom computed again, and a layer that no gradient passes is not run again at all.
"""

from __future__ import annotations

import numpy as np

from planner.costs.windows import Ints

PARTS = ("stem", "encoder", "cross_attention", "decoder", "head")
"""Where the work is done; every count is told apart by these, zeros included."""


Count = int | Ints
"""Of each window, shape (m,), or the same of all."""


class Ledger:
    """Forward, activation-gradient and weight-gradient FLOPs of m windows by part, integers of shape (m,)."""

    __slots__ = (
        "_checkpointing",
        "_passed",
        "_saved_at",
        "activation",
        "forward",
        "recomputed",
        "weight",
    )

    def __init__(self, m: int, *, checkpointing: bool = False) -> None:
        """Begin with nothing entered; with `checkpointing`, `recomputed` says what layers compute twice."""
        self.forward, self.activation, self.weight = (
            {part: np.zeros(m, dtype=np.int64) for part in PARTS} for _ in range(3)
        )
        self.recomputed = np.zeros(m, dtype=np.int64)
        self._checkpointing = checkpointing
        self._passed: Count | None = None
        self._saved_at: Count = 0

    def begin_layer(self) -> None:
        """What is entered from here is one checkpointed layer (or a run of equal ones)."""
        if self._checkpointing:
            self._passed = self._saved_at = 0

    def end_layer(self) -> None:
        """The layer ends here: what comes before its last saved tensor is computed twice."""
        if self._passed is not None:
            self.recomputed += self._saved_at
            self._passed = None

    def save(self, saves: bool = True) -> None:
        """An operation without products, such as a norm, saves a tensor here where a gradient asks for it."""
        if saves and self._passed is not None:
            self._saved_at = self._passed

    def _pass(self, flops: Count) -> None:
        if self._passed is not None:
            self._passed = self._passed + flops

    def linear(
        self,
        part: str,
        n_tokens: Count,
        n_in: int,
        n_out: int,
        *,
        grad: bool = False,
        rank: int = 0,
        trained: bool = False,
        times: int = 1,
    ) -> bool:
        """A projection of n_tokens vectors, with a LoRA adapter of that rank where rank > 0.

        Args:
            part: one of `PARTS`.
            n_tokens: vectors that are projected.
            n_in: width of the input.
            n_out: width of the output.
            grad: whether the input needs a gradient.
            rank: adapter rank r: adds x A (n_in r) and (x A) B (r n_out) per token.
            trained: whether the weight itself is trained.
            times: number of equal layers.

        Returns:
            Whether the output needs a gradient.
        """
        base = 2 * n_tokens * n_in * n_out * times
        self.save(grad or trained)
        self._pass(base)
        down, up = 2 * n_tokens * n_in * rank * times, 2 * n_tokens * n_out * rank * times
        if rank:
            self._pass(down)
            self.save()  # of the second projection, before it computes; the scale saves nothing
            self._pass(up)
        self.forward[part] += base + down + up
        # The adapter's inner activations always need a gradient, as A is trained.
        self.activation[part] += up + (base + down if grad else 0)
        self.weight[part] += down + up + (base if trained else 0)
        return grad or trained or rank > 0

    def matmul(
        self, part: str, multiply_adds: Count, grads: tuple[bool, bool], *, times: int = 1
    ) -> bool:
        """A product of two activations; each that needs a gradient costs one more product."""
        flops = 2 * multiply_adds * times
        self.save(grads[0] or grads[1])
        self._pass(flops)
        self.forward[part] += flops
        self.activation[part] += flops * (grads[0] + grads[1])
        return grads[0] or grads[1]

    def convolution(
        self,
        part: str,
        n_outputs: Count,
        kernel: int,
        n_in: int,
        n_out: int,
        *,
        groups: int = 1,
        grad: bool = False,
        trained: bool = False,
    ) -> bool:
        """A 1-d convolution: n_outputs positions, each of kernel * n_in / groups * n_out products."""
        flops = 2 * n_outputs * kernel * (n_in // groups) * n_out
        self.save(grad or trained)
        self._pass(flops)
        self.forward[part] += flops
        self.activation[part] += flops if grad else 0
        self.weight[part] += flops if trained else 0
        return grad or trained
