"""A table of results becomes trials and runs; a fault names the row and the column."""

import dataclasses

import pytest

from planner.errors import InputError, UnknownNameError
from planner.evidence.published.tables import load_table
from planner.words.catalogue import Catalogue, backbone

HEADER = "task,backbone,audio_seconds,wer"


@pytest.fixture
def table(tmp_path):
    def write(*lines, header=HEADER):
        path = tmp_path / "results.csv"
        path.write_text("\n".join([header, *lines]))
        return str(path)

    return write


def test_the_published_table_is_read_whole():
    table = load_table("same2026")
    assert table.provenance == "published"
    assert {row.trial.task for row in table.rows} == {"asr", "emotion"}
    assert all(row.record.evaluations[0].error > 0 for row in table.rows)


def test_a_row_without_an_error_is_left_out_and_said(table):
    found = load_table(table("asr,whisper-tiny,8,0.1", "asr,whisper-base,8,"))
    assert len(found.rows) == 1
    assert found.left_out == ("row 2: no readable error (blank)",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("asr,whisper-tiny,8,eight", "row 1 .*wer is not a number"),
        ("asr,whisper-tiny,0,0.1", "row 1 .*audio_seconds must be positive"),
        ("asr,whisper-tiny,8,8", "row 1 .*error must be a fraction"),
        ("asr,whisper-tyni,8,0.1", "row 1 .*did you mean whisper-tiny"),
    ],
    ids=["text", "no length", "percent", "backbone"],
)
def test_a_fault_names_its_row(table, line, message):
    with pytest.raises(InputError, match=message):
        load_table(table(line))


def test_an_own_backbone_is_what_the_catalogue_at_hand_says(table):
    mine = dataclasses.replace(backbone("whisper-tiny"), name="mine", hub_id=None, encoder_layers=2)
    path = table("asr,mine,8,0.1")
    (row,) = load_table(path, Catalogue((mine,))).rows
    assert row.record.n_params == mine.n_params
    with pytest.raises(InputError, match="unknown backbone 'mine'"):
        load_table(path)


def test_a_table_that_is_neither_published_nor_a_file_is_an_error():
    with pytest.raises(UnknownNameError, match="did you mean same2026"):
        load_table("same2025")


def test_one_run_that_makes_more_errors_than_words_does_not_refuse_the_table(table):
    found = load_table(table("asr,whisper-tiny,8,0.2", "asr,whisper-tiny,5,3.4"))
    assert [row.record.evaluations[0].error for row in found.rows] == [0.2, 3.4]
