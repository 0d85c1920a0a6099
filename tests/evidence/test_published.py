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
        ("asr,whisper-tiny,8,8", "error must be a fraction"),
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


def test_a_table_of_which_half_is_above_1_is_asked_about(table):
    with pytest.raises(InputError, match=r"1 of 2 rows are above 1.*--errors-in percent"):
        load_table(table("asr,whisper-tiny,8,0.029", "asr,whisper-tiny,5,2.4"))


def test_one_run_that_makes_more_errors_than_words_does_not_refuse_the_table(table):
    rows = ("asr,whisper-tiny,8,0.2", "asr,whisper-tiny,10,0.2", "asr,whisper-tiny,5,3.4")
    found = load_table(table(*rows))
    assert [row.record.evaluations[0].error for row in found.rows] == [0.2, 0.2, 3.4]


COUNTS = "task,backbone,audio_seconds,wer,std_error,n_units,n_errors,device,latency_p50_ms,latency_p95_ms"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ("0.1,0.01,1000,120,,,", "error 0.1 is not n_errors / n_units, 120 / 1000 = 0.12"),
        ("0.1,0.2,,,,,", "std_error 0.2 is not below the error 0.1"),
        ("0.1,,52.576,,,,", "n_units must be a whole number"),
        ("0.1,,,,gpu,30,20", "latency_p50_ms 30 is above latency_p95_ms 20"),
        ("12.3 %,,,,,,", "write it as a fraction .0.123."),
        ("0.1,,,,,30,", "a latency needs a device"),
    ],
)
def test_numbers_of_a_row_that_contradict_one_another_are_refused(table, cells, said):
    with pytest.raises(InputError, match=said):
        load_table(table(f"asr,whisper-tiny,8,{cells}", header=COUNTS))


def test_a_lone_p95_is_kept_and_said_to_be_alone(table):
    path = table("asr,whisper-tiny,8,0.1,,,,gpu,,40", header=COUNTS)
    (latency,) = load_table(path).rows[0].record.latencies
    assert (latency.p95_ms, latency.method) == (40, "imported (p95 alone)")


@pytest.mark.parametrize("column", ["wer_percent", "WER (%)", "error %"])
def test_a_percent_column_is_known_by_its_name(table, column):
    found = load_table(table("asr,whisper-tiny,8,2.9", header=HEADER.replace("wer", column)))
    assert found.rows[0].record.evaluations[0].error == pytest.approx(0.029)
    assert "in percent" in found.notes[0]


def test_percent_can_be_said_and_holds_for_the_standard_error_too(table):
    path = table("asr,whisper-tiny,8,2.9,0.11,,,,,", header=COUNTS)
    (row,) = load_table(path, errors_in="percent").rows
    evaluation = row.record.evaluations[0]
    assert (evaluation.error, evaluation.std_error) == pytest.approx((0.029, 0.0011))


def test_a_standard_error_of_another_unit_than_the_error_is_asked_about(table):
    path = table(
        "asr,whisper-tiny,8,2.9,0.11", header=HEADER.replace("wer", "wer_percent,std_error")
    )
    with pytest.raises(InputError, match="std_error is not"):
        load_table(path)


def test_an_error_above_one_is_kept_and_named(table):
    found = load_table(
        table("asr,whisper-tiny,8,1.28", "asr,whisper-base,8,0.2", "asr,whisper-small,8,0.1")
    )
    assert len(found.rows) == 3
    assert "128 %" in found.notes[0]
