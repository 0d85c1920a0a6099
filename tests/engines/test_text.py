"""Ids to text from a tokenizer's file alone."""

import json

import pytest

from planner.errors import MissingResourceError
from runner.engines.text import reader


@pytest.fixture
def folder(tmp_path):
    # In GPT-2's table a space is \u0120, and the two bytes of e with an acute are \u00c3 and \u00a9.
    words = {"caf": 0, "\u00c3": 1, "\u00a9": 2, "\u0120now": 3, "<|end|>": 4, "\u2603": 5}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    return tmp_path


def test_a_character_may_be_split_over_ids_and_a_broken_one_is_replaced(folder):
    read = reader(folder, "tokenizer", 6)
    assert read([0, 1, 2, 3]) == "caf\u00e9 now"
    assert read([0, 1]) == "caf\ufffd"


def test_special_ids_unknown_ids_and_words_of_another_kind_say_nothing(folder):
    assert reader(folder, "tokenizer", 4)([0, 4, 3]) == "caf now"
    assert reader(folder, "tokenizer", 6)([5, 0, 99]) == "caf"


def test_a_folder_without_a_tokenizer_is_told(tmp_path):
    with pytest.raises(MissingResourceError, match="export the model again"):
        reader(tmp_path, "tokenizer", 4)
