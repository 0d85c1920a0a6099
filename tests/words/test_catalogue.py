"""Parameter counts from dimensions equal the published ones and transformers' own."""

import dataclasses
import re
from pathlib import Path

import pytest

from planner.errors import InputError, UnknownNameError
from planner.words import catalogue

ROOT = Path(__file__).parents[2]

# study.md 3.1, counted by instantiating transformers configs.
PUBLISHED = {
    "whisper-tiny": 37_760_640,
    "whisper-base": 72_593_920,
    "whisper-small": 241_734_912,
    "whisper-medium": 763_857_920,
    "whisper-large-v3": 1_543_490_560,
    "wav2vec2-base": 94_570_118,
    "wav2vec2-large-robust": 315_702_662,
}


@pytest.mark.parametrize(("name", "n"), PUBLISHED.items(), ids=PUBLISHED)
def test_parameters_are_those_of_the_published_checkpoints(name, n):
    assert catalogue.backbone(name).n_params == n


ON_CARDS = {
    "distil-small.en": 166, "distil-medium.en": 394, "distil-large-v2": 756, "distil-large-v3": 756,
    "whisper-large-v3-turbo": 809, "moonshine-tiny": 27, "hubert-large-ls960-ft": 315,
}  # fmt: skip


@pytest.mark.parametrize(("name", "millions"), ON_CARDS.items(), ids=ON_CARDS)
def test_sizes_are_those_of_the_model_cards(name, millions):
    assert round(catalogue.backbone(name).n_params / 1e6) == millions


@pytest.mark.parametrize(
    "name",
    [
        "whisper-tiny.en",
        "distil-small.en",
        "whisper-large-v3-turbo",
        "wav2vec2-micro",
        "wavlm-micro",
        "wavlm-large",
        "wavlm-base-plus",
    ],
)
def test_parameters_equal_those_of_the_real_module(name):
    torch = pytest.importorskip("torch")
    import transformers

    from tests.costs.conftest import wav2vec2_config, whisper_config

    known = catalogue.backbone(name)
    with torch.device("meta"):
        if known.family == "whisper":
            module = transformers.WhisperForConditionalGeneration(whisper_config(known))
        elif known.relative_buckets:
            config = transformers.WavLMConfig(
                **wav2vec2_config(known).to_dict() | {"num_buckets": known.relative_buckets}
            )
            module = transformers.WavLMForSequenceClassification(config)
        else:
            module = transformers.Wav2Vec2ForSequenceClassification(wav2vec2_config(known))
    assert known.n_params == sum(p.numel() for p in module.parameters())


def test_a_hub_id_finds_the_catalogue_entry():
    assert catalogue.backbone("openai/whisper-tiny").name == "whisper-tiny"


def test_an_unknown_backbone_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"did you mean whisper-small"):
        catalogue.backbone("whisper-smal")


@pytest.mark.parametrize("name", catalogue.BUILT_IN.names)
def test_a_backbone_survives_the_store(name):
    known = catalogue.backbone(name)
    assert catalogue.from_stored(catalogue.to_config(known)) == known


def test_a_config_of_another_model_type_is_refused():
    with pytest.raises(InputError, match="bert"):
        catalogue.from_config("x", {"model_type": "bert"})


def test_a_config_without_a_key_says_which():
    with pytest.raises(InputError, match="d_model"):
        catalogue.from_config("x", {"model_type": "whisper"})


def own(**changes):
    return dataclasses.replace(catalogue.backbone("whisper-tiny"), hub_id=None, **changes)


def test_own_backbones_are_found_by_name_and_hub_id_after_the_built_in_ones():
    mine = dataclasses.replace(own(name="mine"), hub_id="me/mine")
    known = catalogue.Catalogue((mine,))
    assert known.backbone("mine") is known.backbone("me/mine") is mine
    assert known.backbones == (*catalogue.BUILT_IN.backbones, mine)


def test_an_own_backbone_never_takes_a_built_in_names_place():
    fakes = (own(name="whisper-tiny", encoder_layers=9), own(name="openai/whisper-base"))
    known = catalogue.Catalogue(fakes)
    assert known.backbone("whisper-tiny") == catalogue.backbone("whisper-tiny")
    assert known.backbone("openai/whisper-base") == catalogue.backbone("whisper-base")
    assert known.names.count("whisper-tiny") == 1


def test_an_unknown_name_is_told_apart_from_own_ones_too():
    with pytest.raises(UnknownNameError, match="did you mean mine-small"):
        catalogue.Catalogue((own(name="mine-small"),)).backbone("mine-smal")


def test_no_room_looks_a_name_up_among_the_built_in_ones_alone():
    """A name means what the database at hand says; only what reads no database may ask without."""
    asking = {
        str(file.relative_to(ROOT))
        for room in ("planner", "runner")
        for file in sorted((ROOT / room).rglob("*.py"))
        for line in file.read_text("utf-8").splitlines()
        if re.match(r"from planner.words.catalogue import .*\bbackbone\b", line)
        or "BUILT_IN.backbone(" in line
    }
    assert asking == {
        "planner/costs/flops/ladder.py",
        "planner/service/design.py",
        "planner/words/catalogue.py",
    }
