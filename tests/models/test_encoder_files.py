"""Broken folders of encoders: each ends in one line that names the folder and what is wrong in it."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, BertTokenizerFast

from stilts.models import encoders, prepared
from stilts.models.encoder_files import find_position_limit
from stilts.study.errors import StiltsError


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return tiny.write_encoder(tmp_path_factory.mktemp("encoders") / "sound")


@pytest.fixture
def folder(sound, tmp_path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "encoder"))


def change(path: Path, **changes):
    """Change entries of a JSON file; None takes one out."""
    entries = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in entries.items() if value is not ...}))


def config(**changes):
    return lambda folder: change(folder / "config.json", **changes)


def write(name: str, content: str | bytes):
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def weights(alter):
    def harm(folder: Path):
        state = load_file(folder / "model.safetensors")
        save_file(alter(state), folder / "model.safetensors", metadata={"format": "pt"})

    return harm


def shards(place: str):
    """Say in an index that the weights stand at a place."""

    def harm(folder: Path):
        names = list(load_file(folder / "model.safetensors"))
        (folder.parent / "elsewhere").mkdir()
        shutil.copy(folder / "model.safetensors", folder.parent / "elsewhere" / "w.safetensors")
        (folder / "inside").mkdir()
        (folder / "model.safetensors").rename(folder / "inside" / "w.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, place.format(parent=folder.parent))}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return harm


def linked_shard(folder: Path):
    shards("linked.safetensors")(folder)
    (folder / "linked.safetensors").symlink_to(folder.parent / "elsewhere" / "w.safetensors")


def tokenizer(alter):
    def harm(folder: Path):
        content = json.loads((folder / "tokenizer.json").read_text())
        alter(content)
        (folder / "tokenizer.json").write_text(json.dumps(content))

    return harm


def add_token(content):
    new = {"id": len(content["model"]["vocab"]), "content": "<new>"}
    content["added_tokens"].append(content["added_tokens"][-1] | new)


def cut_short(folder: Path):
    write("model.safetensors", (folder / "model.safetensors").read_bytes()[:-9])(folder)


def fifo(folder: Path):
    import os

    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def as_adapter(folder: Path):
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "x", "peft_type": "LORA"}))
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")


# What is wrong, and what the line says of it; found by the plan, which loads no model.
PLANNED = {
    "config is missing": (remove("config.json"), r"config.json: missing, or not a regular file"),
    "config is a pipe": (fifo, r"config.json: missing, or not a regular file"),
    "config is empty": (write("config.json", ""), r"config.json: is not JSON"),
    "config is cut short": (write("config.json", '{"model_type": "be'), r"config.json: is not JSON"),
    "config is not UTF-8": (write("config.json", b'{"model_type": "\xff"}'), r"config.json: is not JSON"),
    "config is nested deeply": (write("config.json", "[" * 100_000), r"config.json: is not JSON"),
    "config is null": (write("config.json", "null"), r"config.json: holds null instead of an object"),
    "config is a list": (write("config.json", "[]"), r"config.json: holds a list instead of an object"),
    "config is a number": (write("config.json", "5"), r"config.json: holds a number instead of an object"),
    "no model type": (config(model_type=...), r"config.json: model_type: .*required"),
    "model type is a number": (config(model_type=7), r"config.json: model_type: .*\(got 7\)"),
    "hidden size is text": (config(hidden_size="32"), r"config.json: hidden_size: .*\(got '32'\)"),
    "hidden size is a fraction": (config(hidden_size=32.5), r"config.json: hidden_size: .*\(got 32.5\)"),
    "hidden size is true": (config(hidden_size=True), r"config.json: hidden_size: .*\(got True\)"),
    "hidden size is a list": (config(hidden_size=[32]), r"config.json: hidden_size: .*\(got \[32\]\)"),
    "hidden size is 0": (config(hidden_size=0), r"config.json: hidden_size: .*\(got 0\)"),
    "hidden size is absurd": (config(hidden_size=10**12), r"config.json: hidden_size: .*\(got 1000000000000\)"),
    "hidden size of other weights": (config(hidden_size=48), r"config.json: hidden_size is 48, but no weight .* has"),
    "no layers": (config(num_hidden_layers=-1), r"config.json: num_hidden_layers: .*\(got -1\)"),
    "layers beyond reason": (config(num_hidden_layers=10**9), r"config.json: num_hidden_layers: "),
    "heads are text": (config(num_attention_heads="two"), r"config.json: num_attention_heads: "),
    "positions are text": (config(max_position_embeddings="512"), r"config.json: max_position_embeddings: "),
    "vocabulary is negative": (config(vocab_size=-5), r"config.json: vocab_size: .*\(got -5\)"),
    "vocabulary of other weights": (config(vocab_size=123_456, pad_token_id=0), r"vocab_size is 123456, but no weight"),
    "padding behind the vocabulary": (config(pad_token_id=99_999), r"pad_token_id is 99999, but .* 0 to 3000"),
    "padding is negative": (config(pad_token_id=-1), r"pad_token_id is -1, but .* 0 to 3000"),
    "padding is text": (config(pad_token_id="1"), r"config.json: pad_token_id: .*\(got '1'\)"),
    "start behind the vocabulary": (config(decoder_start_token_id=3001), r"decoder_start_token_id is 3001, but"),
    "architectures are a number": (config(architectures=5), r"config.json: architectures: .*\(got 5\)"),
    "quantised": (config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
                  r"config.json: quantization_config: .* in floating point.*bitsandbytes"),
    "code of its own": (config(auto_map={"AutoModel": "owner/name--modeling.Model"}),
                        r"config.json: auto_map: .*never run"),
    "names its weights": (config(transformers_weights="../other.safetensors"), r"config.json: transformers_weights: "),
    "an adapter": (as_adapter, r"adapter_config.json, .*merge_and_unload"),
    "an adapter beside the model": (write("adapter_config.json", "{}"), r"adapter_config.json, .*merge_and_unload"),
    "no weights": (remove("model.safetensors"), r"holds no .safetensors file"),
    "weights are empty": (write("model.safetensors", b""), r"model.safetensors: "),
    "weights are text": (write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
                         r"model.safetensors: .*git lfs pull"),
    "weights are cut short": (cut_short, r"model.safetensors: "),
    "weights are of whole numbers": (weights(lambda state: {key: value.to(torch.int8) for key, value in state.items()}),
                                     r"model.safetensors: .* is of I8"),
    "shards above": (shards("../elsewhere/w.safetensors"),
                     r"index.json: .*'../elsewhere/w.safetensors'.* of its folder"),
    "shards at a path": (shards("{parent}/elsewhere/w.safetensors"),
                         r"index.json: .*elsewhere/w.safetensors'.* of its folder"),
    "shards in a folder": (shards("inside/w.safetensors"), r"index.json: .*'inside/w.safetensors'.* of its folder"),
    "shards that are links": (linked_shard, r"linked.safetensors: is a link out of its folder"),
    "shards that are missing": (shards("gone.safetensors"), r"gone.safetensors: missing, or not a regular file"),
    "an index without weights": (lambda folder: (remove("model.safetensors")(folder),
                                                 write("model.safetensors.index.json", "{}")(folder)),
                                 r"index.json: weight_map: .*required"),
    "no tokenizer": (remove("tokenizer.json"), r"no tokenizer file"),
    "tokenizer is null": (write("tokenizer.json", "null"), r"tokenizer.json: holds null instead of an object"),
    "tokenizer is a list": (write("tokenizer.json", "[1]"), r"tokenizer.json: holds a list instead of an object"),
    "tokenizer is empty": (write("tokenizer.json", "{}"), r"tokenizer.json: model: .*required"),
    "tokenizer without a vocabulary": (tokenizer(lambda content: content["model"].pop("vocab")),
                                       r"tokenizer.json: model.vocab"),
    "tokenizer with a vocabulary of text": (tokenizer(lambda content: content["model"].update(vocab="a b")),
                                            r"tokenizer.json: model.vocab"),
    "tokens are added": (tokenizer(add_token), r"up to 3001, but .*vocab_size is 3001.*resize_token_embeddings"),
    "tokens are added beside": (write("added_tokens.json", '{"<new>": 5000}'), r"up to 5000, but .*vocab_size is 3001"),
    "settings of the tokenizer are a list": (write("tokenizer_config.json", "[]"),
                                             r"tokenizer_config.json: holds a list"),
    "special tokens are null": (write("special_tokens_map.json", "null"), r"special_tokens_map.json: holds null"),
}  # fmt: skip

PART = "encoder.layer.0.output.dense.weight"
# What only a load finds, before anything is trained.
LOADED = {
    "unknown model type": (config(model_type="bertt"), r"config.json: model_type .*'bertt'"),
    "not a model of texts": (config(model_type="vit"), r"weights are missing"),
    "heads that do not divide": (config(num_attention_heads=5), r"cannot be loaded: .*heads"),
    "unknown activation": (config(hidden_act="gelux"), r"cannot be loaded: .*gelux"),
    "an epsilon of text": (config(layer_norm_eps="small"), r"cannot be loaded"),
    "fewer layers than weights": (config(num_hidden_layers=1),
                                  r"weights of more layers than config.json says, .*layer.1"),
    "more layers than weights": (config(num_hidden_layers=3), r"weights are missing, .*layer.2"),
    "many more layers than weights": (config(num_hidden_layers=999), r"config.json describes a model of .* weights"),
    "positions of other weights": (config(max_position_embeddings=100),
                                   r"position_embeddings.weight has the shape \(256, 32\), by .* it has \(100"),
    "positions beyond any memory": (config(max_position_embeddings=2**31 - 1), r"config.json describes a model of"),
    "weights of another shape": (weights(lambda state: state | {PART: torch.zeros(8, 8)}),
                                 r"output.dense.weight has the shape \(8, 8\)"),
    "weights that are no numbers": (weights(lambda state: {key: value * torch.nan for key, value in state.items()}),
                                    r"its hidden states are not finite"),
    "a tokenizer of a later version": (tokenizer(lambda content: content["model"].update(type="Multigram")),
                                       r"tokenizer.json: "),
    "a later normaliser": (tokenizer(lambda content: content.update(normalizer={"type": "Renormalizer"})),
                           r"tokenizer.json: "),
    "an unknown token out of range": (tokenizer(lambda content: content["model"].update(unk_id=10**6)),
                                      r"tokenizer.json: "),
    "a class of tokenizer of nobody": (lambda folder: change(folder / "tokenizer_config.json", added_tokens_decoder=5),
                                       r"tokenizer_config.json"),
}  # fmt: skip


@pytest.mark.parametrize("harm, said", PLANNED.values(), ids=PLANNED)
def test_a_broken_folder_is_refused_when_it_is_named(folder, harm, said):
    harm(folder)
    with pytest.raises(StiltsError, match=said) as error:
        encoders.fingerprint_encoder(str(folder))
    assert str(error.value).startswith(f"encoder {folder}")
    assert "\n" not in str(error.value)
    with pytest.raises(StiltsError, match=said):
        encoders.load_encoder(str(folder))


@pytest.mark.parametrize("harm, said", LOADED.values(), ids=LOADED)
def test_a_broken_folder_is_refused_when_it_is_loaded(folder, harm, said, tmp_path):
    harm(folder)
    with pytest.raises(StiltsError, match=said) as error:
        encoders.load_encoder(str(folder))
    assert str(error.value).startswith(f"encoder {folder}")
    assert "\n" not in str(error.value)
    with pytest.raises(StiltsError, match=said):
        prepared.prepare_encoder(str(folder), ["open kitchen"], tmp_path / "prepared", trim=False)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    "settings, limit",
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "mbart", "max_position_embeddings": 1024}, 1024),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, 512),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "bloom"}, None),
        ({"model_type": "xglm", "max_position_embeddings": 2048}, None),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, None),
        ({"model_type": "bert"}, None),
    ],
    ids=str,
)
def test_positions_end_where_a_family_has_a_table_of_them(settings, limit):
    assert find_position_limit(settings) == limit


def test_the_table_of_positions_is_as_long_as_is_said(sound):
    for name, options in (("roberta", {"pad_token_id": 1}), ("bert", {}), ("gpt2", {}), ("mbart", {"pad_token_id": 1})):
        config = {"vocab_size": 20, "max_position_embeddings": 34, "bos_token_id": 0, "eos_token_id": 2, **options}
        config |= {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        config |= {"d_model": 8, "decoder_start_token_id": 2}
        config |= {f"{half}_{size}": 2 for half in ("encoder", "decoder") for size in ("layers", "attention_heads")}
        model = AutoModel.from_config(AutoConfig.for_model(name, **config)).eval()
        limit = find_position_limit({"model_type": name, **config})
        model(torch.full((1, limit), 5))
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, limit + 1), 5))


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
def test_how_attention_is_computed_is_not_for_the_encoder_to_say(folder, sound, key):
    expected = encoders.load_model(str(sound)).config._attn_implementation
    for value in ("kernels-community/flash-attn", "eager", {"": "owner/kernel"}, 5):
        change(folder / "config.json", **{key: value})
        assert encoders.load_model(str(folder)).config._attn_implementation == expected


def test_shards_are_read_and_counted_in_the_fingerprint(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    halves = {f"model-0000{half}-of-00002.safetensors": list(state)[half - 1 :: 2] for half in (1, 2)}
    for file, names in halves.items():
        save_file({name: state[name] for name in names}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, names in halves.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    loaded = encoders.load_model(str(folder)).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    before = encoders.fingerprint_encoder(str(folder))
    file, names = list(halves.items())[1]
    save_file({name: state[name] + 1 for name in names}, folder / file, metadata={"format": "pt"})
    assert encoders.fingerprint_encoder(str(folder)) != before


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
     "merges.txt", "spiece.model", "source.spm", "bpe.codes"],
)  # fmt: skip
def test_files_of_the_tokenizer_are_in_the_fingerprint(folder, name):
    before = encoders.fingerprint_encoder(str(folder))
    content = (folder / name).read_bytes() if (folder / name).exists() else b"{}"
    (folder / name).write_bytes(content + b" ")
    assert encoders.fingerprint_encoder(str(folder)) != before


def test_a_tokenizer_that_does_not_know_the_texts_is_refused(folder, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "open"]))
    (folder / "tokenizer.json").unlink()
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(folder)
    with pytest.raises(StiltsError, match="does not know 67 % of the tokens of the study's texts .*'die küche'"):
        prepared.prepare_encoder(str(folder), ["open", "die küche"], tmp_path / "prepared", trim=False)
    prepared.prepare_encoder(str(folder), ["open", "open open open the"], tmp_path / "known", trim=False)


def test_limits_of_length_that_a_tokenizers_file_holds_cut_no_text(folder, tmp_path):
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    tokenizer(lambda content: content.update(truncation=truncation))(folder)
    text = "open the kitchen door and close the garage of the house"
    prepared.prepare_encoder(str(folder), [text], tmp_path / "prepared")
    whole, trimmed = tiny.tokenizer(), encoders.load_tokenizer(str(tmp_path / "prepared"))
    ids = trimmed(text)["input_ids"]
    assert trimmed.convert_ids_to_tokens(ids) == whole.convert_ids_to_tokens(whole(text)["input_ids"])
