import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from runner.data.clips import Clip, DataSpec, Listing, normalised
from runner.data.cremad import NAMING
from runner.data.splits import SHINGLE_WORDS, drawn, prompt_groups, with_splits

EMOTIONS = tuple(NAMING.emotions)


def cremad_like(n_speakers=91, per_speaker=82):
    clips = []
    for speaker, i in itertools.product(range(1001, 1001 + n_speakers), range(per_speaker)):
        code = EMOTIONS[i % 6]
        path = Path(f"{speaker}_S{i:02d}_{code}_XX.wav")
        clips.append(Clip(utterance_id=path.stem, path=path, reference=code, speaker=str(speaker)))
    return Listing(name="cremad", task="emotion", clips=tuple(clips), licence=None, source="test")


def prompts(texts, speaker="one"):
    clips = (
        Clip(utterance_id=f"p{i}", path=Path(f"p{i}.wav"), reference=t, speaker=speaker)
        for i, t in enumerate(texts)
    )
    return Listing(name="own", task="asr", clips=tuple(clips), licence=None, source="test")


def speakers(clips, split):
    return {c.speaker for c in clips if c.split == split}


def test_the_default_split_of_cremad_shares_no_speaker():
    clips, policy = with_splits(cremad_like(), DataSpec(name="cremad"))
    assert policy == "speaker-disjoint"
    parts = [speakers(clips, s) for s in ("train", "validation", "test")]
    assert all(parts)
    assert all(not a & b for a, b in itertools.combinations(parts, 2))


def test_the_split_of_the_study_leaks_every_speaker_and_is_had_by_its_name_alone():
    clips, policy = with_splits(cremad_like(), DataSpec(name="cremad", split_policy="same2026"))
    assert policy == "same2026"
    parts = [speakers(clips, s) for s in ("train", "validation", "test")]
    assert all(len(p) == 91 for p in parts)


def test_the_split_of_the_study_has_the_sizes_of_the_study():
    listing = cremad_like(n_speakers=1, per_speaker=7442)
    clips, _ = with_splits(listing, DataSpec(name="cremad", split_policy="same2026"))
    assert Counter(c.split for c in clips) == {"train": 5953, "validation": 744, "test": 745}


def test_the_split_of_the_study_is_refused_elsewhere():
    with pytest.raises(InputError, match="speaker-disjoint"):
        with_splits(prompts(["a", "b"]), DataSpec(split_policy="same2026"))


texts = st.lists(
    st.lists(st.sampled_from(["to", "leave", "press", "one", "now", "please", "hold"]), min_size=1, max_size=9)
    .map(" ".join),
    min_size=2,
    max_size=60,
)  # fmt: skip


@given(texts, st.integers(0, 5))
def test_no_prompt_nor_a_variant_of_one_is_on_two_sides(some, seed):
    listing = prompts(some)
    if len(set(prompt_groups(listing.clips))) < 2:
        return
    clips, policy = with_splits(listing, DataSpec(seed=seed, test_fraction=0.4))
    assert policy == "prompt-disjoint"
    runs = {s: shingles(clips, s) for s in ("train", "validation", "test")}
    assert all(not a & b for a, b in itertools.combinations(runs.values(), 2))
    assert runs["train"]
    assert runs["test"]


def shingles(clips, split):
    out = set()
    for clip in clips:
        if clip.split == split:
            words = normalised(clip.reference).split()
            out.add(tuple(words))
            n = SHINGLE_WORDS
            out |= {("…", *words[i : i + n]) for i in range(len(words) - n + 1)}
    return out


def test_prompts_that_differ_in_case_and_punctuation_are_one_prompt():
    groups = prompt_groups(prompts(["Hello, world!", "hello world", "goodbye"]).clips)
    assert groups[0] == groups[1] != groups[2]


def test_a_share_is_what_was_asked_where_groups_are_small():
    listing = cremad_like(n_speakers=50, per_speaker=10)
    clips, _ = with_splits(listing, DataSpec(test_fraction=0.2, validation_fraction=0.1))
    assert Counter(c.split for c in clips) == {"train": 350, "test": 100, "validation": 50}


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    first, again, other = (with_splits(cremad_like(10, 3), DataSpec(seed=s))[0] for s in (0, 0, 1))
    assert first == again != other


def test_one_prompt_cannot_be_split():
    with pytest.raises(InputError, match="at least 2 prompts"):
        with_splits(prompts(["the same", "The same."]), DataSpec())


def test_speakers_cannot_be_kept_apart_where_they_are_not_known():
    with pytest.raises(InputError, match="p0 of own has none"):
        with_splits(prompts(["a", "b"], None), DataSpec(split_policy="speaker-disjoint"))


def test_a_smaller_draw_is_part_of_a_larger_one_in_the_same_order():
    clips = prompts([f"text {i}" for i in range(50)]).clips
    small, large = drawn(clips, 10, 3, "n_train"), drawn(clips, 30, 3, "n_train")
    assert set(small) < set(large)
    assert list(large) == sorted(large, key=clips.index)


def test_more_than_there_is_cannot_be_drawn():
    with pytest.raises(InputError, match="n_test = 9 was asked, but only 2"):
        drawn(prompts(["a", "b"]).clips, 9, 0, "n_test")
