import dataclasses
import json

import pytest
from sqlalchemy import insert

from planner.errors import InputError, UnknownNameError
from planner.service import costs
from planner.store import read, schema, write
from planner.store.engine import opened
from planner.words.catalogue import BUILT_IN, Catalogue, Wav2Vec2, Whisper, backbone, to_config
from planner.words.records import Resources
from planner.words.stored_backbone import read_stored
from tests.store.samples import rows_of, trial

SMALL = dataclasses.replace(backbone("whisper-tiny"), name="mine", hub_id=None, encoder_layers=2)
SPEECH = dataclasses.replace(backbone("wav2vec2-base"), name="mine-too", hub_id="me/mine-too")


def test_backbones_of_the_users_own_are_kept_beside_the_built_in_ones(store):
    deeper = dataclasses.replace(SMALL, encoder_layers=3)
    for own in (SMALL, SPEECH, deeper):
        write.add_backbone(store, own)
    assert read.catalogue(store) == Catalogue((deeper, SPEECH))
    assert read.catalogue(store).names == (*BUILT_IN.names, "mine", "mine-too")


def test_a_database_without_own_backbones_knows_the_built_in_ones(store):
    assert read.catalogue(store) == BUILT_IN


def test_two_databases_give_one_name_two_meanings_and_neither_sees_the_others(open_at, tmp_path):
    stores = [open_at(f"sqlite:///{tmp_path}/{name}.db") for name in ("first", "second")]
    shapes = [SMALL, dataclasses.replace(SMALL, d_model=512, ffn_dim=2048, n_heads=8)]
    for store, shape in zip(stores, shapes, strict=True):
        write.add_backbone(store, shape)
    write.add_backbone(stores[0], SPEECH)
    assert [read.catalogue(store).backbone("mine") for store in stores] == shapes
    with pytest.raises(UnknownNameError, match="unknown backbone 'mine-too'"):
        read.catalogue(stores[1]).backbone("mine-too")
    with pytest.raises(UnknownNameError, match="unknown backbone 'mine'"):
        backbone("mine")


@pytest.mark.parametrize("name", ["whisper-tiny", "openai/whisper-tiny"])
def test_a_built_in_name_is_not_given_another_meaning(store, name):
    with pytest.raises(InputError, match=f"{name}' is built in.*--name"):
        write.add_backbone(store, dataclasses.replace(SMALL, name=name))
    assert read.catalogue(store) == BUILT_IN


def test_trials_of_an_own_backbone_have_its_size_in_their_own_database(store):
    write.add_backbone(store, SMALL)
    write.register_sweep(store, "s", "{}", [(trial(backbone="mine"), Resources())])
    assert rows_of(store, "SELECT n_params FROM trials") == [(SMALL.n_params,)]


WHISPER = to_config(
    Whisper(
        name="mine",
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        n_heads=2,
        n_mels=80,
        vocab_size=100,
        ffn_dim=256,
    )
)
ENCODER = to_config(Wav2Vec2(name="mine", d_model=64, encoder_layers=2, n_heads=2, ffn_dim=256))
NO_BACKBONES = [
    "", "{", "[1]", "null", "[" * 5000, "{}", '{"family": "gpt"}', '{"family": ["whisper"]}',
    *(json.dumps(WHISPER | change) for change in (
        {"d_model": "many"}, {"d_model": -64}, {"encoder_layers": 0}, {"vocab_size": 10**30}, {"n_heads": 2.0},
        {"ffn_dim": True}, {"hub_id": 3}, {"name": "another"}, {"unknown": 1}, {"d_model": None},
    )),
    *(json.dumps(ENCODER | change) for change in (
        {"conv_dim": []}, {"conv_kernel": "ten"}, {"conv_stride": [5, -2]}, {"conv_bias": "no"}, {"conv_dim": [[512]]},
    )),
]  # fmt: skip


@pytest.mark.parametrize("text", NO_BACKBONES, ids=range(len(NO_BACKBONES)))
def test_a_row_that_is_no_backbone_is_named_and_keeps_nobody_from_the_others(text, sqlite_store):
    store = sqlite_store
    write.add_backbone(store, SPEECH)
    row = {"name": "mine", "config_json": text, "added_utc": "2026-01-01T00:00:00.000Z"}
    with store.begin() as connection:
        connection.execute(insert(schema.backbones).values(**row))
    known = read.catalogue(store)
    assert known.backbone(SPEECH.name) == SPEECH
    assert "mine" not in known.names
    with pytest.raises(InputError, match=r"'mine' as it is stored cannot be used: .*backbones add"):
        known.backbone("mine")


@pytest.mark.parametrize("config", [WHISPER, ENCODER])
def test_what_was_stored_whole_is_read_as_it_was(config):
    assert to_config(read_stored("mine", json.dumps(config))) == config


def test_a_bad_row_is_listed_as_bad(tmp_path):
    db = str(tmp_path / "runs.db")
    with opened(db) as engine, engine.begin() as connection:
        row = {"name": "mine", "config_json": "{", "added_utc": "2026-01-01T00:00:00.000Z"}
        connection.execute(insert(schema.backbones).values(**row))
    rows = costs.backbone_rows(db)
    assert [row["name"] for row in rows if row["problem"]] == ["mine"]
    assert len(rows) == len(BUILT_IN.names) + 1
