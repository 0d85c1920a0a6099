"""Files of whisper.cpp: laid out as its converter lays them out, and in its engine with the texts of torch."""

import struct

import numpy as np
import pytest

from planner.errors import InputError, MissingResourceError
from runner.engines.formats import format_of, require_possible
from runner.engines.runtime import open_folder
from runner.engines.writing.ggml import FILE, q8_0
from tests.engines.conftest import WINDOWS, micro, written_by_engine, written_by_torch
from tests.models.micro import make_trial


def tensors(path):
    """Head, words and tensors (type, shape, bytes) of a file, by whisper.cpp's own order of reading."""
    raw = path.read_bytes()
    head = struct.unpack_from("<12i", raw)
    rows, columns = struct.unpack_from("<2i", raw, 48)
    at = 56 + 4 * rows * columns
    (n_words,) = struct.unpack_from("<i", raw, at)
    at, words, found = at + 4, [], {}
    for _ in range(n_words):
        (length,) = struct.unpack_from("<I", raw, at)
        words.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    while at < len(raw):
        n_dims, length, kind = struct.unpack_from("<3i", raw, at)
        shape = struct.unpack_from(f"<{n_dims}i", raw, at + 12)[::-1]
        at += 12 + 4 * n_dims
        name = raw[at : at + length].decode()
        size = int(np.prod(shape)) * {0: 4, 1: 2}.get(kind, 34 / 32)
        found[name] = (kind, shape, raw[at + length : at + length + int(size)])
        at += length + int(size)
    return head, words, found


def test_a_file_holds_the_windows_positions_and_every_tensor(exported):
    head, words, found = tensors(exported("ggml", "float16") / FILE)
    config = micro().model.module.config
    assert head[:3] == (0x67676D6C, config.vocab_size, config.max_source_positions)
    assert len(words) == 50_256
    own = micro().model.module.model.state_dict()
    assert len(found) == len(own)
    kind, shape, raw = found["decoder.blocks.1.cross_attn.query.weight"]
    theirs = own["decoder.layers.1.encoder_attn.q_proj.weight"].numpy()
    assert (kind, shape) == (1, theirs.shape)
    np.testing.assert_array_equal(np.frombuffer(raw, "<f2").reshape(shape), theirs.astype("<f2"))
    kind, shape, raw = found["encoder.positional_embedding"]
    np.testing.assert_array_equal(
        np.frombuffer(raw, "<f4").reshape(shape), own["encoder.embed_positions.weight"].numpy()
    )


def test_eight_bits_hold_a_block_to_half_a_step():
    values = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    values[1, :32] = 0.0
    blocks = np.frombuffer(q8_0(values), dtype=[("scale", "<f2"), ("values", "i1", (32,))])
    back = (blocks["scale"].astype(np.float32)[:, None] * blocks["values"]).reshape(values.shape)
    step = np.repeat(blocks["scale"].astype(np.float32), 32).reshape(values.shape)
    assert (np.abs(back - values) <= 0.56 * step).all()


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_whisper_cpp_writes_the_tokens_of_torch(exported, precision):
    pytest.importorskip("pywhispercpp")
    together, alone = written_by_engine(exported("ggml", precision))
    assert together == alone == written_by_torch(micro())


def test_whisper_cpp_is_as_sure_as_onnxruntime_and_takes_a_forced_length(exported):
    pytest.importorskip("pywhispercpp")
    engine, other = (
        open_folder(exported(*one)).engine for one in (("ggml", "float16"), ("onnx", "float32"))
    )
    sure, theirs = (
        [o.confidence for o in e.run(WINDOWS, confidences=True)] for e in (engine, other)
    )
    assert sure == pytest.approx(theirs, rel=0.02)
    for n in (1, 2, 9):
        assert [len(one.ids) for one in engine.run(WINDOWS[:2], exactly=n)] == [n, n]


def test_a_file_that_is_cut_short_is_one_line(exported, tmp_path):
    pytest.importorskip("pywhispercpp")
    folder = exported("ggml", "float16")
    for path in folder.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(
            content[: len(content) // 2] if path.name == FILE else content
        )
    with pytest.raises(
        MissingResourceError, match=r"cannot read .*ggml-model\.bin; export the model again"
    ):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    "asked", [{"reduction": "stem:2"}, {"reduction": "output:2"}, {"task": "emotion"}]
)
def test_what_whisper_cpp_cannot_hold_is_refused(asked):
    with pytest.raises(InputError, match=r"cannot be exported to ggml: whisper\.cpp"):
        require_possible(format_of("ggml"), make_trial(**asked), "whisper")
