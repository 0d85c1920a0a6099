"""What is trained, and how a run of equal layers is entered in a `Ledger`: shared by the walks of all forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from planner.costs.flops.ledger import Count, Ledger


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is trained, as far as it changes a count.

    Adapters of `rank` on the `adapted` projections, the `top_k` last encoder layers in full (which get
    no adapters), the `head` on an encoder, or everything (`full`). `decoder_only`: adapters in the
    decoder alone.
    """

    adapted: frozenset[str] = frozenset()
    rank: int = 0
    top_k: int = 0
    head: bool = False
    full: bool = False
    decoder_only: bool = False


FROZEN = Treatment()


@dataclass(frozen=True, slots=True)
class Layer:
    """How the linears of a run of equal layers are entered."""

    ledger: Ledger
    width: int
    treatment: Treatment
    trained: bool
    times: int
    product_width: int = 0
    """Width of both attention products, where heads are padded; 0: the width."""

    def linear(self, part: str, name: str, n: Count, n_in: int, n_out: int, grad: bool) -> bool:
        """A projection, with an adapter where the treatment names it.

        Returns:
            Whether its output needs a gradient.
        """
        adapted = name in self.treatment.adapted and not self.trained
        rank = self.treatment.rank if adapted else 0
        return self.ledger.linear(
            part, n, n_in, n_out, grad=grad, rank=rank, trained=self.trained, times=self.times
        )

    def attention(
        self, part: str, n_query: Count, n_key: Count, x_grad: bool, kv_grad: bool
    ) -> bool:
        """Four projections and both products; heads split the width, so their number cancels."""
        d, products = self.width, self.product_width or self.width
        query = self.linear(part, "q", n_query, d, d, x_grad)
        key = self.linear(part, "k", n_key, d, d, kv_grad)
        value = self.linear(part, "v", n_key, d, d, kv_grad)
        product = n_query * n_key * products
        scores = self.ledger.matmul(part, product, (query, key), times=self.times)
        mixed = self.ledger.matmul(part, product, (scores, value), times=self.times)
        return self.linear(part, "o", n_query, d, d, mixed)

    def feed_forward(
        self, part: str, n: Count, inner: int, grad: bool, *, gated: bool = False
    ) -> bool:
        """Two projections; with a gate the first one is twice as wide."""
        hidden = self.linear(part, "fc1", n, self.width, inner * (2 if gated else 1), grad)
        return self.linear(part, "fc2", n, inner, self.width, hidden)


def runs_of_layers(n_layers: int, *borders: int) -> Iterator[tuple[int, int]]:
    """Half-open runs of layer indices (from 0) between the borders."""
    edges = sorted({0, n_layers, *(b for b in borders if 0 < b < n_layers)})
    yield from pairwise(edges)
