from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from planner.report.tables import cell
from planner.words.terminal import shown, shown_json


@given(st.text())
def test_nothing_that_steers_a_terminal_is_sent(text):
    sent = shown(text)
    assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in sent)


@given(st.text())
def test_a_cell_is_one_line(text):
    assert "\n" not in cell(text)


@given(st.text())
def test_json_for_a_terminal_is_the_same_document(text):
    sent = shown_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(sent) == {"a": text}
    assert not any(127 <= ord(c) < 160 for c in sent)
