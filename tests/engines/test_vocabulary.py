"""The end of a decoder step: k ids in full, and a ceiling that no other id reaches, from four bits a number."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from runner.engines.greedy import Candidates, _chosen, never_written
from runner.engines.writing.vocabulary import TABLE, complete, to_four_bits

RNG = np.random.default_rng(3)
ROWS = RNG.standard_normal((3000, 64)).astype(np.float32) * RNG.uniform(0.02, 0.2, (3000, 1))
ROWS = ROWS.astype(np.float32)
NEVER = never_written(2900, (5, 17), 3000)


def step(precision):
    """A decoder whose states are the rows of the ids that it is given."""
    nodes = [
        helper.make_node("Gather", [TABLE, "tokens"], ["looked_up"], axis=0),
        helper.make_node("ReduceSum", ["looked_up", "second"], ["states"], keepdims=0),
    ]
    given = [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows", "n"])]
    told = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["rows", 64])]
    held = [
        numpy_helper.from_array(ROWS, TABLE), numpy_helper.from_array(np.array([1]), "second"),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "step", given, told, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    complete(model, NEVER, precision)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(tokens, k):
        out = session.run(None, {"tokens": np.array(tokens), "n_candidates": np.array([k])})
        return Candidates(**dict(zip(("ids", "scores", "ceiling", "total"), out, strict=True)))

    return run


def in_full(tokens):
    states = ROWS[np.array(tokens)].sum(axis=1)
    return states @ ROWS.T + NEVER


@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-5), ("int8", 0.02), (None, 1e-5)])
def test_candidates_hold_the_scores_of_the_whole_table(precision, near):
    tokens = RNG.integers(0, 2900, (6, 2))
    found, full = step(precision)(tokens, 40), in_full(tokens)
    assert found.ids.shape == found.scores.shape == (6, 40)
    told = np.take_along_axis(full, found.ids, axis=-1)
    np.testing.assert_allclose(found.scores, told, atol=near * np.abs(told).max())


@pytest.mark.parametrize("precision", ["float32", None])
def test_no_other_id_scores_above_the_ceiling(precision):
    tokens = RNG.integers(0, 2900, (200, 1))
    found, full = step(precision)(tokens, 40), in_full(tokens)
    np.put_along_axis(full, found.ids, -np.inf, axis=-1)
    assert (full.max(axis=-1) <= found.ceiling[:, 0] + 1e-5).all()


@pytest.mark.parametrize(("precision", "near"), [("float32", 0.05), ("int8", 0.05), (None, 1e-4)])
def test_the_total_is_that_of_all_scores(precision, near):
    tokens = RNG.integers(0, 2900, (6, 3))
    full = in_full(tokens)
    exact = np.log(np.exp(full).sum(axis=-1))
    np.testing.assert_allclose(step(precision)(tokens, 40).total[:, 0], exact, atol=near)


def test_four_bits_hold_a_block_to_half_a_step():
    bits, scale, zero = to_four_bits(ROWS)
    unpacked = np.stack([bits & 15, bits >> 4], axis=-1).reshape(len(ROWS), 2, 32)
    zeros = np.stack([zero & 15, zero >> 4], axis=-1).reshape(len(ROWS), 2, 1)
    back = (unpacked.astype(np.float32) - zeros) * scale[..., None]
    apart = np.abs(back - ROWS.reshape(len(ROWS), 2, 32))
    assert (apart <= 0.5001 * scale[..., None] + 0.5 * scale[..., None]).all()


class Told:
    """Steps that tell the k best of given scores, with a ceiling that leaves doubt."""

    def __init__(self, scores, doubt):
        self.scores, self.doubt, self.asked = scores, doubt, []

    def after(self, tokens):
        return self.more(2)

    def more(self, n_candidates):
        self.asked.append(n_candidates)
        ids = np.argsort(-self.scores, axis=-1)[:, ::-1][:, -n_candidates:]
        scores = np.take_along_axis(self.scores, ids, axis=-1)
        ceiling = scores.min(axis=-1, keepdims=True) + self.doubt
        ceiling = np.where(n_candidates >= self.scores.shape[1], -np.inf, ceiling)
        return Candidates(ids=ids, scores=scores, ceiling=ceiling, total=ceiling)


def test_a_best_id_above_the_ceiling_is_taken_at_once():
    steps = Told(np.array([[0.0, 9.0, 1.0, 2.0]]), doubt=3.0)
    assert _chosen(steps, None, [[]], 4).ids.tolist() == [[1]]
    assert steps.asked == [2]


def test_the_whole_vocabulary_is_asked_for_where_the_candidates_do_not_settle_it():
    steps = Told(np.array([[0.0, 9.0, 1.0, 2.0]]), doubt=3.0)
    assert _chosen(steps, None, [[1, 3]], 4).ids.tolist() == [[2]]
    assert steps.asked == [2, 4]
