"""A question that three families answer: rows of a public board, counted by one convention, with reasons."""

import pytest

from planner.costs.flops.forward import forward_flops
from planner.errors import InfeasibleError
from planner.service import asking, fitting
from planner.words.catalogue import backbone
from planner.words.question import PlanQuery

# The board's columns; sizes and models are real, error rates made up.
BOARD = """model,RTFx,Size (B),LS Clean WER
openai/whisper-large-v3,146,1.55,2.0
UsefulSensors/moonshine-tiny,900,0.027,4.5
UsefulSensors/moonshine-base,700,0.061,3.9
facebook/wav2vec2-base-960h,900,0.094,3.4
facebook/hubert-large-ls960-ft,500,0.316,2.2
nvidia/parakeet-ctc-0.6b,4000,0.6,1.9
nvidia/parakeet-ctc-1.1b,2700,1.1,1.8
"""


@pytest.fixture
def board(tmp_path):
    file, db = tmp_path / "board.csv", str(tmp_path / "runs.db")
    file.write_text(BOARD)
    fitting.import_results(db, "open-asr-leaderboard", file=str(file))
    return db


def ask(db, flops):
    query = PlanQuery(
        task="asr", measured_only=True, flops=flops, dataset="open-asr-leaderboard LS Clean"
    )
    return asking.plan(db, query).json


def test_a_budget_moves_the_answer_from_family_to_family_by_one_count(board):
    chosen = {}
    for flops in (0.2e12, 0.505e12, 1e12):
        answer = ask(board, flops)
        best = answer["best"]
        chosen[best["config"]["backbone"]] = best["costs"]["flops"]["value"]
        assert best["costs"]["flops"]["value"] <= flops
        assert answer["reasons"]
        # Whisper's windows are padded, another study: said, and not mixed in.
        assert {"mixed-families", "runs-left-out"} <= {w["code"] for w in answer["warnings"]}
    assert [backbone(name).family for name in chosen] == ["moonshine", "wav2vec2", "parakeet"]
    for name, counted in chosen.items():
        encoder = forward_flops(backbone(name), audio_seconds=30.0)
        assert counted >= encoder.total


def test_a_budget_below_every_family_names_the_cheapest(board):
    with pytest.raises(InfeasibleError, match=r"relax one: .*moonshine-tiny"):
        ask(board, 1e9)
