"""Encoders with random weights: of equal size, over one tokenizer, prepared as any other."""

import json

import pytest
import tiny
import torch

from stilts.models import encoders, prepared, scratch
from stilts.models.backbones import Backbone
from stilts.study.errors import StiltsError
from stilts.study.settings import ScratchSettings
from stilts.tasks import coverage

ARCHITECTURES = ("encoder", "decoder", "encoder-decoder")
TEXTS = ["open the kitchen", "öffne das büro"]


def of(architecture: str, **changes) -> ScratchSettings:
    return ScratchSettings(architecture=architecture, **changes)


@pytest.fixture
def tokenizer(tmp_path):
    from transformers import AutoTokenizer

    tiny.tokenizer().save_pretrained(tmp_path / "tokenizer")
    return scratch.make_tokenizer(AutoTokenizer.from_pretrained(tmp_path / "tokenizer"))


@pytest.mark.parametrize("sizes", [{}, {"hidden": 192, "layers": 6, "parameters": 2_800_000},
                                   {"hidden": 128, "layers": 2, "parameters": 500_000, "positions": 64}])  # fmt: skip
def test_all_architectures_have_the_same_number_of_parameters(tokenizer, sizes):
    wanted = of("encoder", **sizes).parameters
    embeddings = set()
    for architecture in ARCHITECTURES:
        settings = of(architecture, **sizes)
        model = scratch.build(settings, tokenizer)
        count = sum(weight.numel() for weight in model.parameters())
        own = model.get_input_embeddings().weight.numel()
        embeddings.add(own)
        assert scratch.count_parameters(model.config) == count - own
        assert count - own == pytest.approx(wanted, rel=0.01)
        assert Backbone(model).architecture == architecture
    assert embeddings == {len(tokenizer) * of("encoder", **sizes).hidden}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_longest_input_has_as_many_tokens_as_positions(tokenizer, architecture):
    model = scratch.build(of(architecture, hidden=32, layers=2, heads=2, parameters=60_000, positions=40), tokenizer)
    backbone = Backbone(model)
    with torch.inference_mode():
        assert backbone.token_states(torch.full((1, 40), 5), torch.ones(1, 40).long()).shape == (1, 40, 32)
        with pytest.raises((IndexError, RuntimeError)):
            backbone.token_states(torch.full((1, 41), 5), torch.ones(1, 41).long())


def test_weights_come_from_the_seed_alone(tokenizer):
    config = scratch.make_config(of("decoder"), tokenizer)
    one, same, other = (scratch.draw(config, seed).h[0].mlp.c_fc.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_too_few_parameters_for_any_model_are_named(tokenizer):
    settings = of("encoder-decoder", parameters=1_000_000)
    with pytest.raises(StiltsError, match="an encoder-decoder of 4 layers and hidden size 256 has at least"):
        scratch.build(settings, tokenizer)


def test_a_tokenizer_that_lacks_a_token_is_named(tokenizer):
    tokenizer.mask_token = None
    with pytest.raises(StiltsError, match="has no mask_token, which an encoder with random weights needs"):
        scratch.make_tokenizer(tokenizer)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prepared_one_has_the_named_encoders_tokenizer_and_nothing_else_of_it(architecture, tmp_path):
    source = tiny.write_encoder(tmp_path / "source")
    settings = of(architecture, hidden=64, parameters=200_000)
    folder = tmp_path / "prepared"
    prepared.prepare_encoder(str(source), TEXTS, folder, scratch=settings)
    model, tokenizer = encoders.load_encoder(str(folder))
    whole = tiny.tokenizer()
    for text in TEXTS:
        assert tokenizer.tokenize(text) == whole.tokenize(text)
    assert model.config.hidden_size == 64
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer) < len(whole)
    assert len(tokenizer.tokenize("<extra_id_0><extra_id_15>")) == 2
    coverage.check_covered(prepared.load_prepared_tokenizer(folder), TEXTS)
    assert json.loads((folder / "stilts.json").read_text())["scratch"] == settings.model_dump(mode="json")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    prepared.prepare_encoder(str(source), TEXTS, folder, scratch=settings)
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(StiltsError, match="has another prepared encoder"):
        prepared.prepare_encoder(str(source), TEXTS, folder)
