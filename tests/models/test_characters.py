"""What CTC writes: characters in the vocabulary's case, spoken ones alone, and frames enough for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer

from planner.errors import InputError
from runner.models.characters import ENGLISH, Characters, needed_frames
from runner.models.ctc import collapsed


@pytest.fixture
def reference(tmp_path):
    """transformers' own tokenizer of a vocabulary."""

    def build(tokens):
        import json

        path = tmp_path / "vocab.json"
        path.write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
        return Wav2Vec2CTCTokenizer(str(path))

    return build


def test_ids_and_texts_are_those_of_transformers_tokenizer(reference):
    theirs, ours = reference(ENGLISH), Characters(ENGLISH)
    for text in ("HELLO WORLD", "DON'T", "A", "AAB  BC"):
        ids = ours.encode(text)
        assert ids == theirs(" ".join(text.split()))["input_ids"]
        assert ours.decode(ids) == theirs.decode(ids, group_tokens=False) == " ".join(text.split())


@given(st.lists(st.integers(0, 31), max_size=40))
def test_frames_are_collapsed_as_transformers_does(ids):
    from tests.models.test_characters import THEIRS

    kept, _ = collapsed(ids, [0.0] * len(ids), 0)
    specials = {1, 2, 3}
    if specials & set(ids):
        return  # transformers drops <s> and </s> before it joins runs, CTC's definition does not
    assert Characters(ENGLISH).decode(kept) == " ".join(THEIRS.decode(ids).split())


def _theirs():
    import json
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({t: i for i, t in enumerate(ENGLISH)}, file)
        file.flush()
        return Wav2Vec2CTCTokenizer(file.name)


THEIRS = _theirs()


def test_a_vocabulary_is_made_of_what_is_spoken_in_the_texts():
    made = Characters.of_texts(["Hello, World!", "don't  stop"])
    assert made.tokens == ("<pad>", "<unk>", "|", "'", *"dehlnoprstw")
    assert made.decode(made.encode("Hello, World!")) == "hello world"
    with pytest.raises(InputError, match="no letter"):
        Characters.of_texts(["...", ""])


def test_characters_that_a_vocabulary_lacks_are_listed_with_their_counts():
    with pytest.raises(
        InputError, match=r"lacks 2 characters of the training texts: 'ä' 2, '3' 1;"
    ):
        Characters(ENGLISH).require(["Käse und Käse", "Nummer 3 !"], "wav2vec2-base-960h")
    Characters(ENGLISH).require(["punctuation, and case, are no matter."], "wav2vec2-base-960h")


def test_a_vocabulary_of_syllables_is_refused():
    with pytest.raises(InputError, match="several characters, first 'the'"):
        Characters(("<pad>", "the", "a"))


@given(st.lists(st.integers(1, 3), max_size=12))
def test_the_frames_that_labels_need_are_the_fewest_with_an_alignment(labels):
    import torch

    n = needed_frames(labels)
    for frames, finite in ((n, True), (n - 1, False)):
        if frames < 1:
            continue
        scores = torch.zeros(frames, 1, 4).log_softmax(-1)
        loss = torch.nn.functional.ctc_loss(
            scores, torch.tensor([labels], dtype=torch.long), [frames], [len(labels)]
        )
        assert torch.isfinite(loss) == finite or not labels
