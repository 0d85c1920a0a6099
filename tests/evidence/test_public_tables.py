"""Public tables that a user brings: the leaderboard's own columns, and what is left out by name."""

from __future__ import annotations

import pytest

from planner.errors import InputError
from planner.evidence.published.tables import load_table

# The header as the leaderboard's scripts print it; numbers made up.
LEADERBOARD = """model,RTFx,License,Size (B),# Languages,Encoder,Decoder,AMI WER,LS Clean WER,LS Other WER
openai/whisper-large-v3,146,apache-2.0,1.55,99,Transformer,AED,15.95,2.01,3.91
nvidia/parakeet-tdt_ctc-110m,5345,cc-by-4.0,0.11,1,FastConformer,TDT,15.9,2.4,5.2
UsefulSensors/moonshine-tiny,500,mit,0.027,1,Transformer,AED,22.8,4.5,
facebook/wav2vec2-base-960h,,apache-2.0,0.09,1,Transformer,CTC,40.1,3.4,8.6
"""


@pytest.fixture
def file(tmp_path):
    def write(text, name="leaderboard.csv"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_each_set_of_each_known_model_is_a_run_with_its_source(file):
    table = load_table("open-asr-leaderboard", file=file(LEADERBOARD))
    found = {(r.trial.backbone, r.trial.dataset): r.record.evaluations[0].error for r in table.rows}
    assert len(found) == 8
    assert found["whisper-large-v3", "open-asr-leaderboard LS Clean"] == pytest.approx(0.0201)
    assert found["moonshine-tiny", "open-asr-leaderboard AMI"] == pytest.approx(0.228)
    assert table.left_out == ("row 2: nvidia/parakeet-tdt_ctc-110m is not in the catalogue",)
    (first, *_) = table.rows
    assert (
        first.source == "Open ASR Leaderboard, leaderboard.csv, RTFx 146 on the leaderboard's GPU"
    )
    assert first.trial.padding == "padded30"
    assert {r.trial.normaliser for r in table.rows} == {"leaderboard"}


def test_sets_are_told_apart_and_rates_are_never_compared_across_them(file):
    table = load_table("open-asr-leaderboard", file=file(LEADERBOARD))
    digests = {r.trial.dataset_digest for r in table.rows}
    assert digests == {f"open-asr-leaderboard:{s}" for s in ("AMI", "LS Clean", "LS Other")}


def test_unweighted_accuracies_are_errors(file):
    text = "model,dataset,UA\nmicrosoft/wavlm-large,IEMOCAP,70.5\nwav2vec2-base,CREMA-D,\n"
    (row,) = load_table("emobox", file=file(text, "emobox.csv")).rows
    assert row.record.evaluations[0].error == pytest.approx(0.295)
    assert (row.trial.task, row.trial.dataset) == ("emotion", "emobox IEMOCAP")


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (
            "open-asr-leaderboard",
            "model,RTFx\nopenai/whisper-tiny,1\n",
            "no column NAME OF A SET WER",
        ),
        ("open-asr-leaderboard", "name,AMI WER\nx,1\n", "no column model"),
        (
            "open-asr-leaderboard",
            "model,AMI WER\nnvidia/x,1\n",
            "no result of a model in the catalogue",
        ),
        ("open-asr-leaderboard", "model,AMI WER\nopenai/whisper-tiny,many\n", "row 1 of"),
        ("emobox", "model,dataset,UA\nwavlm-large,IEMOCAP,170\n", "between 0 and 100"),
    ],
)
def test_a_table_that_is_not_the_public_one_is_refused_in_one_line(file, kind, text, said):
    with pytest.raises(InputError, match=said) as raised:
        load_table(kind, file=file(text))
    assert "\n" not in str(raised.value)


def test_the_file_is_asked_for_and_only_where_it_is_read(file, tmp_path):
    with pytest.raises(InputError, match=r"runs import open-asr-leaderboard FILE\.csv"):
        load_table("open-asr-leaderboard")
    with pytest.raises(InputError, match="there is no file"):
        load_table("emobox", file=str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="read without a file"):
        load_table("same2026", file=file(LEADERBOARD))
