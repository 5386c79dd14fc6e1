"""Encoders, decoders and encoder-decoders through one door: loaded from folders, their states and pools, trained."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    BertConfig,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    MBartConfig,
    MT5Config,
    PreTrainedTokenizerFast,
    T5Config,
    XGLMConfig,
)

from stilts.models.backbones import Backbone, shift_right
from stilts.models.encoders import load_encoder, load_model, load_tokenizer
from stilts.models.model import build_model
from stilts.models.prepared import prepare_encoder
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats import CLASSIFICATION, FORMATS, TAGGING
from stilts.tasks.formats.inputs import Input, pad_arrays
from stilts.training import prediction
from stilts.training.loop import train
from stilts.training.optimization import checkpoint_gradients, freeze

SPECIAL = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def configs(vocabulary: int) -> dict[str, tuple[str, object]]:
    """Small models of the families that matter, by name: architecture and config."""
    sizes = {"vocab_size": vocabulary, **SPECIAL}
    t5 = {**sizes, "d_model": 16, "d_ff": 32, "d_kv": 8, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 1}
    halves = {f"{half}_{name}": 2 for half in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    llama = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {
        "bert": ("encoder", BertConfig(**sizes, **llama)),
        "gpt2": ("decoder", GPT2Config(**sizes, n_embd=16, n_layer=2, n_head=2)),
        "llama": ("decoder", LlamaConfig(**sizes | {"pad_token_id": None}, **llama)),
        "xglm": ("decoder", XGLMConfig(**sizes, d_model=16, num_layers=2, attention_heads=2, ffn_dim=32)),
        "bloom": ("decoder", BloomConfig(**sizes, hidden_size=16, n_layer=2, n_head=2)),
        "t5": ("encoder-decoder", T5Config(**t5)),
        "mt5": ("encoder-decoder", MT5Config(**t5, tie_word_embeddings=False)),
        "mbart": ("encoder-decoder", MBartConfig(**sizes, **halves, d_model=16, encoder_ffn_dim=32, decoder_ffn_dim=32,
                                                 decoder_start_token_id=2)),
    }  # fmt: skip


FAMILIES = {name: architecture for name, (architecture, _) in configs(10).items()}
DECODERS = [name for name, architecture in FAMILIES.items() if architecture == "decoder"]
BOTH = [name for name, architecture in FAMILIES.items() if architecture == "encoder-decoder"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of transformers for each family, with the tiny tokenizer."""
    root, tokenizer = tmp_path_factory.mktemp("families"), tiny.tokenizer()
    for name, (_, config) in configs(len(tokenizer)).items():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def states(model, ids: list[int]) -> torch.Tensor:
    backbone = Backbone(model)
    with torch.inference_mode():
        return backbone.token_states(torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.long))[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_is_recognised_by_what_it_computes(folders, name):
    model = load_model(str(folders / name))
    assert Backbone(model).architecture == FAMILIES[name]
    assert not model.training
    assert model.config.pad_token_id is not None
    before, after = states(model, [5, 6, 7, 8]), states(model, [5, 6, 7, 9])
    if FAMILIES[name] == "decoder":
        torch.testing.assert_close(before[:3], after[:3])
    else:
        assert not torch.allclose(before[0], after[0], atol=1e-5)


def test_a_bert_that_is_told_to_be_a_decoder_is_one():
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, is_decoder=True)
    assert Backbone(AutoModel.from_config(config)).architecture == "decoder"


def test_weights_of_the_pools():
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    weights = {}
    for name in ("bert", "gpt2", "t5"):
        backbone = Backbone(AutoModel.from_config(configs(20)[name][1]))
        weights[name] = (backbone.input_weights(mask).tolist(), backbone.text_weights(mask).tolist())
    last = [[0, 0, 1], [0, 1, 0]]
    assert weights == {
        "bert": (mask.tolist(), mask.tolist()), "gpt2": (last, [[1, 2, 3], [1, 2, 0]]), "t5": (last, mask.tolist()),
    }  # fmt: skip


@pytest.mark.parametrize("name", BOTH)
def test_a_decoder_reads_the_input_again_one_token_later(folders, name):
    model = load_model(str(folders / name))
    start = model.config.decoder_start_token_id
    ids = torch.tensor([[5, 6, 7]])
    assert shift_right(ids, model).tolist() == [[start, 5, 6]]
    with torch.inference_mode():
        expected = model(input_ids=ids, decoder_input_ids=torch.tensor([[start, 5, 6]])).last_hidden_state[0]
    torch.testing.assert_close(states(model, [5, 6, 7]), expected)


def test_a_model_that_does_not_say_how_to_begin_is_named(folders):
    model = load_model(str(folders / "t5"))
    model.config.decoder_start_token_id = None
    with pytest.raises(StiltsError, match="its config.json has no decoder_start_token_id"):
        shift_right(torch.tensor([[1]]), model)


@pytest.mark.parametrize("name", FAMILIES)
def test_padding_changes_no_vector(folders, name):
    model, tokenizer = load_encoder(str(folders / name))
    texts = ["open the kitchen", "a much longer text than the other one", "x"]
    ids, options = tokenizer(texts)["input_ids"], {"layers": [1, -1], "precision": "fp32"}
    together = prediction.embed(model, ids, batch_tokens=10_000, **options)
    alone = prediction.embed(model, ids, batch_tokens=1, **options)
    assert together.shape == (2, 3, 16)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_a_vector_of_a_decoder_counts_later_tokens_more(folders, name):
    model, tokenizer = load_encoder(str(folders / name))
    ids = tokenizer("open the hall")["input_ids"]
    (vector,) = prediction.embed(model, [ids], [-1], batch_tokens=64, precision="fp32")[0]
    each = states(model, ids).numpy()
    places = np.arange(1, len(each) + 1)
    np.testing.assert_allclose(vector, (each * places[:, None]).sum(0) / places.sum(), atol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_tied_weights_stand_once_in_a_state_which_is_read_back_whole(folders, name, tmp_path):
    heads = {"intent": (CLASSIFICATION, ["a", "b"])}
    model = build_model(folders / name, heads, seed=1)
    with torch.no_grad():
        model.encoder.get_input_embeddings().weight.add_(1)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    names = [key for key in model.state_dict() if key.endswith(("shared.weight", "embed_tokens.weight"))]
    assert names == ["encoder.shared.weight"]
    other = build_model(folders / name, heads, seed=2)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())
    third = build_model(folders / name, {}, seed=2)
    third.load_encoder(model.state_dict())
    assert torch.equal(third.encoder.decoder.embed_tokens.weight, model.encoder.shared.weight)
    missing = {key: value for key, value in model.state_dict().items() if key != "encoder.shared.weight"}
    with pytest.raises(RuntimeError, match="shared.weight"):
        other.load_state_dict(missing)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_trimmed_vocabulary_changes_no_state(folders, name, tmp_path):
    text = "open the kitchen door"
    prepare_encoder(str(folders / name), [text], tmp_path / "prepared")
    whole, small = load_encoder(str(folders / name)), load_encoder(str(tmp_path / "prepared"))
    assert small[0].get_input_embeddings().weight.shape[0] == len(small[1]) < len(whole[1])
    before, after = (states(model, tokenizer(text)["input_ids"]) for model, tokenizer in (whole, small))
    torch.testing.assert_close(before, after)


TASKS = {
    "classification": (tiny.nli_rows("en"), tiny.NLI),
    "tagging": (tiny.slot_rows("en"), tiny.TAGS),
    "span_qa": (tiny.qa_rows("en"), ()),
}


@pytest.mark.parametrize("name", ["gpt2", "xglm", "t5", "mbart"])
@pytest.mark.parametrize("task", TASKS)
def test_every_architecture_trains_with_layers_computed_again_and_part_of_it_frozen(folders, name, task):
    data = tiny.encoded(task, *TASKS[task])
    model = build_model(folders / name, {task: (data.form, data.labels)}, seed=1)
    before = copy.deepcopy(model.state_dict())
    settings = TrainingSettings(**tiny.TRAINING | {"epochs": 1, "evaluations": 1}, frozen_layers=1,
                                gradient_checkpointing=True)  # fmt: skip
    train(model, {task: data}, settings, seed=1, dev_scores=lambda: {task: 0.0})
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    layers = {"gpt2": "h", "xglm": "layers", "t5": "block", "mbart": "layers"}[name]
    assert any(f"{layers}.1." in key for key in moved)
    assert not any(f"{layers}.0." in key for key in moved)
    embedded = ("wte", "wpe", "shared", "embed_tokens", "embed_positions")
    assert not any(part in key for key in moved for part in embedded)


def test_layers_computed_again_give_the_same_gradients(folders):
    inputs = FORMATS["classification"].encode(tiny.nli_rows("en")[:4], tiny.tokenizer(), 64)
    found = []
    for again in (False, True):
        model = build_model(folders / "mbart", {"nli": (CLASSIFICATION, tiny.NLI)}, seed=1).eval()
        freeze(model, TrainingSettings())
        if again:
            checkpoint_gradients(model)
        model.logits("nli", inputs).sum().backward()
        found.append(model.encoder.encoder.layers[0].fc1.weight.grad)
    torch.testing.assert_close(*found)


def test_with_a_decoder_a_word_is_tagged_by_the_state_of_its_last_subword(folders):
    (part,) = FORMATS["tagging"].encode([{"tokens": ["kitchenette", "7"], "tags": [1, 0]}], tiny.tokenizer(), 64)
    first, second = part.detail
    assert second - first > 1
    ends = [*range(len(part.input_ids))]
    ends[first] = second - 1
    assert part.ends.tolist() == ends
    for name in ("gpt2", "bert", "t5"):
        model = build_model(folders / name, {"slots": (TAGGING, tiny.TAGS)}, seed=1).eval()
        with torch.inference_mode():
            logits = model.logits("slots", [part])[0]
            plain = model.logits("slots", [replace(part, ends=None)])[0]
        expected = plain[ends] if name == "gpt2" else plain
        torch.testing.assert_close(logits, expected)


def test_texts_are_parted_where_a_tokenizer_sets_no_token(tmp_path):
    backend = Tokenizer(models.WordLevel({"<end>": 0, "a": 1, "b": 2}, unk_token="<end>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<end>").save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer("a b")["input_ids"] == [1, 2, 0]
    pair = tokenizer("a", "b")
    assert (pair["input_ids"], pair.sequence_ids()) == ([1, 0, 2, 0], [0, None, 1, None])
    tokenizer.save_pretrained(tmp_path / "again")
    assert load_tokenizer(str(tmp_path / "again"))("a", "b")["input_ids"] == [1, 0, 2, 0]


def test_a_tokenizer_without_any_special_token_is_named(tmp_path):
    backend = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    with pytest.raises(StiltsError, match="no special token to separate the texts of a pair"):
        load_tokenizer(str(tmp_path))


def test_arrays_are_filled_at_their_end():
    arrays = [np.array([1, 2], dtype=np.int32), np.array([3], dtype=np.int32)]
    assert pad_arrays(arrays, 9).tolist() == [[1, 2], [3, 9]]
    assert Input(0, [1, 2], None, written=np.array([5])).tokens == 3
