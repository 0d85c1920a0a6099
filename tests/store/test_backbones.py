import dataclasses

import pytest

from planner.errors import InputError, UnknownNameError
from planner.store import read, write
from planner.words.catalogue import BUILT_IN, Catalogue, backbone
from planner.words.records import Resources
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
