"""Batched greedy decoding of Whisper with a key-value cache, and its guards against hallucination.

Cross-attention keys and values are computed once for each window; windows that have ended leave the
batch. In float32 the tokens are those of one-by-one decoding and of transformers' `generate`
(tests/models compare).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from planner.errors import InputError
from planner.words.languages import ENGLISH_VOCABULARY, LANGUAGES, language_of
from planner.words.records import Decoding
from runner.models import guard
from runner.models.guard import Row

SPACE = 220
"""Id of a lone space in both vocabularies (GPT-2's byte pair encoding)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specials:
    """Ids that steer a Whisper decoder; they follow from the vocabulary's size.

    Attributes:
        prompt: start of transcript, language and task where the vocabulary has them, no timestamps.
        end: end of text; every id above it is a special token or a timestamp.
        silent: non-speech ids that OpenAI's decoder suppresses (brackets, notes, markup).
    """

    prompt: tuple[int, ...]
    end: int
    silent: tuple[int, ...]

    @classmethod
    def of(cls, vocab_size: int, language: str | None = None) -> Specials:
        """The ids for a vocabulary of that size, and a language that is spoken (None: English).

        Raises:
            InputError: no Whisper vocabulary has the size, or it does not hold the language.
        """
        from transformers.models.whisper.configuration_whisper import (
            NON_SPEECH_TOKENS,
            NON_SPEECH_TOKENS_MULTI,
        )

        extra = vocab_size - ENGLISH_VOCABULARY
        if extra == 0:
            if language not in (None, "en"):
                raise InputError(
                    f"an English-only vocabulary has no prompt for {language}; use a multilingual checkpoint"
                )
            return cls(prompt=(50257, 50362), end=50256, silent=tuple(NON_SPEECH_TOKENS))
        if extra not in (1, 2):
            raise InputError(
                f"vocabulary of {vocab_size} ids is not a Whisper one; known sizes: 51864, 51865, 51866"
            )
        # Each further language (large-v3 added Cantonese) moves the task and timestamp ids up by one.
        shift = extra - 1
        place = 0 if language is None else language_of(language)
        if place >= len(LANGUAGES) - 2 + extra:
            raise InputError(
                f"a vocabulary of {vocab_size} ids has no prompt for {language}; use whisper-large-v3"
            )
        return cls(
            prompt=(50258, 50259 + place, 50359 + shift, 50363 + shift),
            end=50257,
            silent=tuple(NON_SPEECH_TOKENS_MULTI),
        )


def _biases(
    special: Specials, vocab_size: int, device: torch.device, suppress: bool
) -> tuple[Tensor, Tensor]:
    """Added to the logits of the first token and of later ones, each of shape (vocab_size,).

    Minus infinity for ids that are never written; a text that begins with its end or a space says nothing.
    """
    bias = torch.zeros(vocab_size, device=device)
    if suppress:
        bias[special.end + 1 :] = -torch.inf
        bias[list(special.silent)] = -torch.inf
    begin = bias.clone()
    begin[[SPACE, special.end]] = -torch.inf if suppress else 0.0
    return begin, bias


def _next_logits(
    module: Any, tokens: Tensor, encoded: Tensor, cache: Any, decoding: Decoding
) -> tuple[Tensor, Any]:
    """Logits of each row's next token, shape (n, vocab_size) in float32, and the cache to go on with.

    Without a cache the whole prefix is computed again.
    """
    out = module.model.decoder(
        input_ids=tokens if cache is None else tokens[:, -1:],
        encoder_hidden_states=encoded,
        past_key_values=cache,
        use_cache=decoding.kv_cache,
    )
    logits = module.proj_out(out.last_hidden_state[:, -1]).float()
    return logits, out.past_key_values if decoding.kv_cache else None


def _ban_repeats(logits: Tensor, rows: Sequence[Row], n: int) -> None:
    """Forbid each id that would complete an n-gram the row already holds, in place."""
    for position, row in enumerate(rows):
        if len(row.ids) < n:
            continue
        ahead = tuple(row.ids[len(row.ids) - n + 1 :])
        banned = [
            row.ids[i + n - 1]
            for i in range(len(row.ids) - n + 1)
            if tuple(row.ids[i : i + n - 1]) == ahead
        ]
        logits[position, banned] = -torch.inf


def _accept(
    active: list[int], rows: list[Row], chosen: list[int], ends: Sequence[int], stop_id: int | None
) -> list[int]:
    """Write one token for each active row; the positions in `active` that go on."""
    kept = []
    for place, (index, token) in enumerate(zip(active, chosen, strict=True)):
        row = rows[index]
        row.n_tokens += 1
        if token == stop_id:
            continue
        row.ids.append(token)
        if row.n_tokens < ends[index]:
            kept.append(place)
    return kept


@torch.inference_mode()
def greedy(
    module: Any,
    encoded: Tensor,
    special: Specials,
    decoding: Decoding,
    *,
    limits: Sequence[int] | None = None,
    exactly: int | None = None,
    suppress: bool = True,
) -> list[Row]:
    """Most probable next token until the end token or the limit, for every window of a batch.

    Args:
        module: a WhisperForConditionalGeneration.
        encoded: encoder states, shape (n, tokens, d_model).
        special: the vocabulary's steering ids.
        decoding: length and repetition guards; `kv_cache` False recomputes the prefix (the study's count).
        limits: most output tokens of each window, within `max_new_tokens`.
        exactly: force this many tokens in every window (latency probes).
        suppress: leave out non-speech, special and timestamp ids, as OpenAI's decoder does.
    """
    most = min(decoding.max_new_tokens, module.config.max_target_positions - len(special.prompt))
    ends = [exactly or min(most, limit) for limit in (limits or [most] * len(encoded))]
    rows = [Row(ids=[]) for _ in ends]
    bias, later = _biases(special, module.config.vocab_size, encoded.device, suppress)
    active = list(range(len(rows)))
    tokens = torch.tensor([special.prompt] * len(rows), device=encoded.device)
    cache: Any = None
    while active:
        logits, cache = _next_logits(module, tokens, encoded, cache, decoding)
        logits += bias
        bias = later
        if decoding.no_repeat_ngram:
            _ban_repeats(logits, [rows[i] for i in active], decoding.no_repeat_ngram)
        chosen = logits.argmax(-1)
        if decoding.min_log_probability is not None:
            _add_log_probabilities(logits, chosen, [rows[i] for i in active])
        kept = _accept(active, rows, chosen.tolist(), ends, None if exactly else special.end)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        if len(kept) < len(active):
            place = torch.tensor(kept, dtype=torch.long, device=encoded.device)
            active = [active[i] for i in kept]
            tokens, encoded = tokens[place], encoded[place]
            if cache is not None and kept:
                cache.batch_select_indices(place)
    return rows


def _add_log_probabilities(logits: Tensor, chosen: Tensor, rows: Sequence[Row]) -> None:
    top = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
    for row, value in zip(rows, top.tolist(), strict=True):
        row.log_probability += value


def guarded(
    module: Any,
    encoded: Tensor,
    special: Specials,
    decoding: Decoding,
    text_of: Callable[[Sequence[int]], str],
    *,
    limits: Sequence[int] | None = None,
) -> list[Row]:
    """`greedy`, and what `runner.models.guard.guarded` keeps of windows whose text is suspicious."""
    room = min(decoding.max_new_tokens, module.config.max_target_positions - len(special.prompt))
    most = [min(room, limit) for limit in (limits or [room] * len(encoded))]

    def again(places: list[int]) -> list[Row]:
        fewer = [most[i] for i in places]
        return greedy(module, encoded[places], special, decoding.fallback, limits=fewer)

    first = greedy(module, encoded, special, decoding, limits=limits)
    return guard.guarded(first, most, decoding, text_of, again)


def require_greedy(decoding: Decoding) -> None:
    """Refuse what this decoder does not do.

    Raises:
        InputError: more than one beam.
    """
    if decoding.beams != 1:
        raise InputError(f"decoding with {decoding.beams} beams is not supported; use beams = 1")
