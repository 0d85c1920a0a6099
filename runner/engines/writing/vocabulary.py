"""The end of a decoder step in ONNX Runtime: which ids may come next, without a pass over the whole vocabulary.

The tied vocabulary table is the largest matrix of a small Whisper (53 % of tiny.en), and reading it is most of a
step: 80 of 113 MB in float32. Here a copy of it in 4 bits scores every id (an eighth of the bytes), and the rows of
the k best are read in full for their scores. How far an id outside of these k may reach is told with them
(`ceiling`), so that who decodes asks for more where the k do not settle it: the ids that are written are those of the
whole table.

    ceiling = least of the k + 5 sqrt(sum_b s_b^2 |h_b|^2 / 12)

for states h in blocks b of 32 numbers and the largest step s_b between 4-bit values in that block of any row; the
root is what a sum of independent, uniform rounding errors spreads by in the worst row. On 345 steps of
whisper-tiny.en on spoken prompts the largest of 17 million errors was 2.4 of these roots, and the best id stood 5.5
to 17 above the 128th.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from runner.engines.writing.build import DOMAIN, Graph
from runner.engines.writing.quantise import columns_to_int8

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

BLOCK = 32
"""Numbers that share a scale in the 4-bit copy: the smallest that ONNX Runtime's products take."""
REACH = 5.0
"""Worst rows' standard deviations of rounding that an id outside of the k may gain; see above."""
TABLE = "vocabulary"
"""Name of the table (V, D) in the graph that is completed here."""
OUTPUTS = ("candidates", "scores", "ceiling", "total")
"""Of a completed step, before what its caches gain."""


def to_four_bits(rows: Floats) -> tuple[Bytes, Floats, Bytes]:
    """Rows (V, D) as MatMulNBits reads them: bytes of two numbers, scales and bytes of two zero points.

    A number is (q - zero) * scale with q and zero of 0 to 15, its scale and zero those of a block of 32, so that the
    block's least and largest are 0 and 15. Shapes (V, D / 32, 16), (V, D / 32) and (V, ceil(D / 64)).
    """
    blocks = rows.reshape(len(rows), -1, BLOCK)
    low = np.minimum(blocks.min(axis=-1), 0.0)
    scale = (np.maximum(blocks.max(axis=-1), 0.0) - low) / np.float32(15.0)
    scale[scale == 0.0] = 1.0
    zero = np.rint(-low / scale)
    values = np.rint(blocks / scale[..., None])
    values += zero[..., None]
    return _pairs(values.clip(0, 15)), scale, _pairs(zero)


def _pairs(values: Floats) -> Bytes:
    """Two numbers of 0 to 15 a byte, the first in its lower half; an odd one out has 8 beside it."""
    bits = values.astype(np.uint8)
    if bits.shape[-1] % 2:
        bits = np.concatenate([bits, np.full((*bits.shape[:-1], 1), 8, np.uint8)], axis=-1)
    return np.asarray(bits[..., 0::2] | (bits[..., 1::2] << 4))


def complete(model: Any, never: Floats, precision: str | None) -> None:
    """Put look-up and scores of the next id into a step's graph whose first output is `states`.

    The graph gains the input `n_candidates` (1,), k, and its first output becomes four: ids (rows, k), falling in
    score by the 4-bit copy, their scores (rows, k), the ceiling (rows, 1) of all others, and the logarithm (rows, 1)
    of the summed exponentials of all scores.

    Args:
        model: an onnx.ModelProto, changed in place.
        never: what is added to the scores, minus infinity for ids that are never written, shape (V,).
        precision: of the rows, `float32` or `int8`; None: the whole table is read, by standard operations alone.
    """
    graph = Graph(model)
    table = graph.take(TABLE)
    graph.hold("never", never)
    if precision is None:
        graph.hold(TABLE, table)
        _whole(graph)
        return
    graph.need(DOMAIN)
    _hold_rows(graph, table, precision)
    _look_up(graph, precision)
    _screen(graph, table)
    _score(graph, precision)
    _totals(graph)
    _replace_output(graph, "states", OUTPUTS)


def _whole(graph: Graph) -> None:
    """Every score from the table as it is."""
    axis = _last(graph)
    graph.add("Transpose", [TABLE], "columns", perm=[1, 0])
    graph.add("MatMul", ["states", "columns"], "free")
    graph.add("Add", ["free", "never"], "every")
    graph.top("every", "scores", "candidates")
    graph.add("ReduceMin", ["scores", axis], "ceiling", keepdims=1)
    graph.add("ReduceLogSumExp", ["every", axis], "total", keepdims=1)
    _replace_output(graph, "states", OUTPUTS)


def _replace_output(graph: Graph, old: str, new: tuple[str, ...]) -> None:
    """Give these outputs in the place of the first one, and take k."""
    kept = [one for one in graph.graph.output if one.name != old]
    del graph.graph.output[:]
    for name in new:
        graph.output(name, ["rows", None], "INT64" if name == "candidates" else "FLOAT")
    graph.graph.output.extend(kept)
    graph.input("n_candidates", [1], "INT64")


def _hold_rows(graph: Graph, table: Floats, precision: str) -> None:
    if precision != "int8":
        graph.hold("rows", table)
        return
    values, scale = columns_to_int8(np.ascontiguousarray(table.T))
    graph.hold("rows", np.ascontiguousarray(values.T))
    graph.hold("row_scale", scale)


def _rows_of(graph: Graph, ids: str, name: str, precision: str) -> str:
    """Rows of the table for ids of any shape, widened where they are held in a byte."""
    if precision != "int8":
        return graph.add("Gather", ["rows", ids], name, axis=0)
    graph.add("Gather", ["rows", ids], f"{name}_bytes", axis=0)
    graph.add("Cast", [f"{name}_bytes"], f"{name}_wide", to=1)
    graph.add("Gather", ["row_scale", ids], f"{name}_scale", axis=0)
    graph.add("Unsqueeze", [f"{name}_scale", _last(graph)], f"{name}_scales")
    return graph.add("Mul", [f"{name}_wide", f"{name}_scales"], name)


def _last(graph: Graph) -> str:
    """The constant axis -1."""
    return graph.hold("last_axis", np.array([-1]))


def _look_up(graph: Graph, precision: str) -> None:
    """The step's own look-up reads the held rows."""
    (reader,) = [node for node in graph.graph.node if TABLE in node.input]
    before = list(graph.graph.node)
    place = before.index(reader)
    del graph.graph.node[:]
    graph.graph.node.extend(before[:place])
    _rows_of(graph, reader.input[1], reader.output[0], precision)
    graph.graph.node.extend(before[place + 1 :])


def _screen(graph: Graph, table: Floats) -> None:
    """Scores of every id from the 4-bit copy, the k best of them, and the ceiling of the others."""
    vocab_size, width = table.shape
    held = zip(("four_bits", "four_bit_scale", "four_bit_zero"), to_four_bits(table), strict=True)
    inputs = ["states", *(graph.hold(name, array) for name, array in held)]
    scale = graph.array("four_bit_scale")
    step = scale.max(axis=0) * np.float32(REACH / np.sqrt(12.0))
    graph.hold("reach", np.repeat(step, BLOCK))
    graph.add(
        "MatMulNBits", inputs, "screened", domain=DOMAIN,
        K=width, N=vocab_size, bits=4, block_size=BLOCK, accuracy_level=4,
    )  # fmt: skip
    graph.add("Add", ["screened", "never"], "screen")
    graph.top("screen", "best", "candidates")
    graph.add("Mul", ["states", "reach"], "reaching")
    graph.add("ReduceL2", ["reaching", _last(graph)], "reached", keepdims=1)
    graph.add("ReduceMin", ["best", _last(graph)], "lowest", keepdims=1)
    graph.add("Add", ["lowest", "reached"], "ceiling")


def _score(graph: Graph, precision: str) -> None:
    """Scores of the candidates from their rows in full."""
    rows = _rows_of(graph, "candidates", "candidate_rows", precision)
    graph.add("Unsqueeze", ["states", _last(graph)], "state_columns")
    graph.add("MatMul", [rows, "state_columns"], "score_columns")
    graph.add("Squeeze", ["score_columns", _last(graph)], "free_scores")
    graph.add("Gather", ["never", "candidates"], "candidate_never", axis=0)
    graph.add("Add", ["free_scores", "candidate_never"], "scores")


def _totals(graph: Graph) -> None:
    """log(sum exp) of the candidates' scores in full and of the others' by the 4-bit copy."""
    axis = _last(graph)
    graph.add("ReduceMax", ["scores", axis], "top", keepdims=1)
    for name, kind in (("screen", "all"), ("best", "rough"), ("scores", "full")):
        graph.add("Sub", [name, "top"], f"{kind}_below")
        graph.add("Exp", [f"{kind}_below"], f"{kind}_shares")
        graph.add("ReduceSum", [f"{kind}_shares", axis], f"{kind}_sum", keepdims=1)
    graph.add("Sub", ["all_sum", "rough_sum"], "other_sum")
    graph.add("Relu", ["other_sum"], "others")
    graph.add("Add", ["others", "full_sum"], "sum_of_shares")
    graph.add("Log", ["sum_of_shares"], "log_sum")
    graph.add("Add", ["log_sum", "top"], "total")
