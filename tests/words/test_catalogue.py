"""Parameter counts from dimensions equal the published ones and transformers' own."""

import pytest

from planner.errors import InputError, UnknownNameError
from planner.words import catalogue

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


@pytest.mark.parametrize(
    "name",
    [
        "whisper-tiny.en",
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


@pytest.mark.parametrize("name", catalogue.backbone_names())
def test_a_backbone_survives_the_store(name):
    known = catalogue.backbone(name)
    assert catalogue.from_stored(catalogue.to_config(known)) == known


def test_a_config_of_another_model_type_is_refused():
    with pytest.raises(InputError, match="bert"):
        catalogue.from_config("x", {"model_type": "bert"})


def test_a_config_without_a_key_says_which():
    with pytest.raises(InputError, match="d_model"):
        catalogue.from_config("x", {"model_type": "whisper"})
