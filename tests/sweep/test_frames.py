"""A CTC sweep whose reduction leaves too few frames is refused before anything is registered."""

from __future__ import annotations

import dataclasses

import pytest

from planner.errors import InputError
from planner.words.catalogue import BUILT_IN
from runner.sweep.expand import expand
from runner.sweep.prepare import _check_frames

CTC = (('["whisper-tiny.en", "whisper-base"]', '["wav2vec2-base"]'),)


def prepared(spec, corpus):
    return [trial for trial, _ in expand(spec, corpus)]


def test_frames_are_counted_for_every_reduction(spec_with, corpus):
    """27 characters a clip of 3 s: at 12.5 tokens a second a window of 4 s has 49 frames."""
    spec = spec_with(*CTC, ("[4, 8, 12]", "[4]"))
    _check_frames(prepared(spec, corpus), corpus, BUILT_IN)
    coarse = spec_with(*CTC, ("[4, 8, 12]", "[4]"), ('"stem:4"', '"stem:9"'))
    with pytest.raises(InputError, match=r"stem:9.*100% of 4 training windows.*at worst 23 for 28"):
        _check_frames(prepared(coarse, corpus), corpus, BUILT_IN)


def test_windows_of_their_own_length_are_left_to_the_trial(spec_with, corpus):
    spec = spec_with(*CTC, ("[4, 8, 12]", "[4]"), ('"stem:4"', '"stem:9"'))
    trials = [dataclasses.replace(t, padding="bucketed") for t in prepared(spec, corpus)]
    _check_frames(trials, corpus, BUILT_IN)
