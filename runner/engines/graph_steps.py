"""Whisper by the two exported graphs, for any engine that runs graphs on numpy arrays.

The encoder takes one window and gives each decoder layer's cross keys and values; windows are
decoded together. The self-attention cache is a fixed array that is written here, so that no step copies it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from planner.words.records import Decoding
from runner.data.audio import Audio
from runner.engines.base import Output, confidence_of, guarded, token_limit
from runner.engines.description import Description
from runner.engines.features import Floats, log_mel, normalised
from runner.engines.greedy import FEW, Candidates, Ids, greedy
from runner.engines.text import Decode
from runner.models.characters import Characters, collapsed

Graph = Callable[[dict[str, Any]], list[Any]]
"""Named inputs to outputs in the graph's order."""


class CachedSteps:
    """The decoder step's graph with its cache, for one batch of windows.

    Args:
        step: the graph.
        about: its description.
        crossed: cross keys of each layer, then values of each, one row a window.
        length: ids that the cache has room for.
    """

    def __init__(self, step: Graph, about: Description, crossed: list[Floats], length: int) -> None:
        self._step, self._length, self._used = step, length, 0
        self._vocab_size, self._asked = about.vocab_size, dict[str, Any]()
        layers, rows = about.n_layers, crossed[0].shape[0]
        width = about.d_model // about.n_heads
        names = [f"{kind}_{i}" for kind in ("keys", "values") for i in range(layers)]
        self._arrays = dict(zip(names, crossed, strict=True))
        for i in range(layers):
            shape = (rows, about.n_heads)
            self._arrays[f"past_keys_{i}"] = np.zeros((*shape, width, length), dtype=np.float32)
            self._arrays[f"past_values_{i}"] = np.zeros((*shape, length, width), dtype=np.float32)
        self._layers = layers

    def after(self, tokens: Ids) -> Candidates:
        """What may follow the new ids; the cache grows by them."""
        first, new = self._used, tokens.shape[1]
        self._asked = {
            "tokens": tokens,
            "positions": np.arange(first, first + new),
            "mask": _mask(first, self._length, new),
        }
        found, gained = self._ask(FEW)
        # What is written after the last step is never read: the cache has room for all but it.
        room = min(new, self._length - first)
        end = first + room
        for i in range(self._layers):
            keys, values = gained[i], gained[self._layers + i]
            self._arrays[f"past_keys_{i}"][..., first:end] = keys[..., :room]
            self._arrays[f"past_values_{i}"][..., first:end, :] = values[..., :room, :]
        self._used = first + new
        return found

    def more(self, n_candidates: int) -> Candidates:
        """The last step again, with more candidates; what the cache gained is masked in it."""
        return self._ask(n_candidates)[0]

    def _ask(self, n_candidates: int) -> tuple[Candidates, list[Floats]]:
        n = np.array([min(n_candidates, self._vocab_size)])
        ids, scores, ceiling, total, *gained = self._step(
            self._asked | self._arrays | {"n_candidates": n}
        )
        found = Candidates(
            ids=np.asarray(ids),
            scores=np.array(scores, dtype=np.float32),
            ceiling=np.asarray(ceiling),
            total=np.array(total, dtype=np.float32),
        )
        return found, gained

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the batch."""
        chosen = list(rows)
        self._arrays = {name: array[chosen] for name, array in self._arrays.items()}


def _mask(first: int, length: int, new: int) -> Floats:
    """Zero where an id may look: the past that is written, and the new ids up to itself; (new, length + new)."""
    past = np.where(np.arange(length) < first, 0.0, -np.inf)
    own = np.where(np.tri(new, dtype=bool), 0.0, -np.inf)
    return np.concatenate([np.tile(past, (new, 1)), own], axis=1, dtype=np.float32)


class GraphRecogniser:
    """Speech to text by an encoder graph and a decoder-step graph."""

    def __init__(
        self, about: Description, encoder: Graph, step: Graph, decode: Decode, version: str
    ) -> None:
        self.about, self.version = about, version
        self._encoder, self._step, self._decode = encoder, step, decode

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """Texts of windows that are decoded together."""
        about = self.about
        crossed = [self._encoder({"features": self._features(window)}) for window in windows]
        n_samples = [len(window) for window in windows]

        def once(places: Sequence[int], decoding: Decoding, sure: bool) -> list[Output]:
            together = [
                _stacked(parts) for parts in zip(*(crossed[i] for i in places), strict=True)
            ]
            ends = [token_limit(decoding, n_samples[i], about.room) for i in places]
            return self._decoded(together, decoding, ends, exactly, sure)

        return guarded(
            once, n_samples, about.decoding, about.room, self._decode,
            exactly=exactly, confidences=confidences,
        )  # fmt: skip

    def _decoded(
        self, crossed: list[Floats], decoding: Decoding, ends: Sequence[int], exactly: int | None,
        sure: bool,
    ) -> list[Output]:  # fmt: skip
        """Texts of windows whose cross keys and values are given, one row a window."""
        special = self.about.steering
        length = len(special.prompt) + (exactly or max(ends)) - 1
        steps = CachedSteps(self._step, self.about, crossed, length)
        written = greedy(
            steps, special, self.about.vocab_size, decoding, ends, exactly=exactly, confidences=sure
        )
        return [
            Output(
                text=self._decode(row.ids),
                ids=tuple(row.ids),
                n_tokens=row.n_tokens,
                confidence=confidence_of(row.log_probability, row.n_tokens) if sure else None,
            )
            for row in written
        ]

    def _features(self, window: Audio) -> Floats:
        return log_mel([window], *self.about.mel_shape)


def _stacked(parts: Sequence[Any]) -> Floats:
    """Arrays of one window each as one of all; a single one is not copied."""
    return np.asarray(parts[0] if len(parts) == 1 else np.concatenate(parts))


class GraphClassifier:
    """A class for each window by one graph from features to scores."""

    def __init__(self, about: Description, graph: Graph, version: str) -> None:
        self.about, self.version, self._graph = about, version, graph

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """The most probable class of each window, with the log-probabilities of all."""
        return [self._one(window) for window in windows]

    def _one(self, window: Audio) -> Output:
        about = self.about
        if about.family == "whisper":
            features = log_mel([window], *about.mel_shape)
        else:
            features = normalised([window], about.n_samples)
        scores = np.asarray(self._graph({"features": features})[0], dtype=np.float64)[0]
        log = scores - scores.max()
        log = log - np.log(np.exp(log).sum())
        best = int(log.argmax())
        return Output(
            text=about.labels[best],
            confidence=float(np.exp(log[best])),
            log_probabilities=tuple(log.tolist()),
        )


class GraphSpeller:
    """Speech to text by one graph from waveforms to a CTC head's scores: best path, one window after the other."""

    def __init__(self, about: Description, graph: Graph, version: str) -> None:
        self.about, self.version, self._graph = about, version, graph
        self._text = Characters(about.characters, about.blank)

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """Texts of windows; their length is the encoder's own, so no number of tokens can be forced."""
        return [self._one(window) for window in windows]

    def _one(self, window: Audio) -> Output:
        features = normalised([window], self.about.n_samples)
        scores = np.asarray(self._graph({"features": features})[0], dtype=np.float64)[0]
        best = scores.max(axis=-1)
        sure = -np.log(np.exp(scores - best[:, None]).sum(axis=-1))
        ids, held = collapsed(scores.argmax(axis=-1).tolist(), sure.tolist(), self.about.blank)
        return Output(
            text=self._text.decode(ids),
            ids=tuple(ids),
            n_tokens=max(1, len(ids)),
            confidence=confidence_of(sum(held), len(held)),
        )
