"""Models and tokenizers of `transformers` from folders whose files are checked; whatever it raises becomes one line."""

import inspect
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import (
    CONFIG_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from stilts.models.backbones import architecture, name_tied_weights_once
from stilts.models.encoder_files import (
    CONFIG,
    TOKENIZER,
    WEIGHTS,
    Weight,
    check_fits,
    opening,
    read_config,
    read_weights,
)
from stilts.study.errors import StiltsError

_MOST = 2  # a model has at most so many times the weights of its files: what is not there is drawn, a pooler or nothing


def load_config(folder: Path, name: str) -> PretrainedConfig:
    """Return a folder's settings as `transformers` has them; how attention is computed is for us to say, not for them.

    Parameters
    ----------
    name : str
        What the encoder is called in messages, and where `transformers` knows a repository of the Hub by its name.

    Raises
    ------
    StiltsError
        The settings make no model of `transformers`.
    """
    family = read_config(folder, name)["model_type"]
    if family not in CONFIG_MAPPING:
        raise StiltsError(
            f"encoder {name}: {CONFIG}: model_type is '{family}', which this version of transformers has no class for"
        )
    with opening(name, CONFIG):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        config.name_or_path = name
        config._attn_implementation = None  # it could name a kernel on the Hub, which is code
        config._experts_implementation = None
    return config


def load_folder(folder: Path, name: str) -> PreTrainedModel:
    """Return the model of a folder that `stilts.models.encoder_files.check_folder` found right, in 32-bit floats.

    Raises
    ------
    StiltsError
        Settings and weights are of different models, or the model computes nothing of use.
    """
    config, weights = load_config(folder, name), read_weights(folder, name)
    _check_size(config, weights, name)
    with opening(name, f"{WEIGHTS} by {CONFIG}"):
        model, loading = AutoModel.from_pretrained(
            folder,
            config=config,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are named below
            **without_pooler(config),
        )
    for key, held, described in sorted(loading["mismatched_keys"]):
        raise StiltsError(
            f"encoder {name}: {WEIGHTS}: {key} has the shape {tuple(held)}, by {CONFIG} it has {tuple(described)}; the "
            "two are of different models"
        )
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise StiltsError(f"encoder {name}: weights lack {len(missing)} of the model's, the first is '{missing[0]}'")
    if more := further_layers(loading["unexpected_keys"], model.state_dict()):
        raise StiltsError(
            f"encoder {name}: {WEIGHTS} has weights of more layers than {CONFIG} says, the first is '{more[0]}'; the "
            "two are of different models"
        )
    if config.pad_token_id is None:  # most decoders have none; the attention mask hides whatever stands there
        model.config.pad_token_id = 0
    model = name_tied_weights_once(model).eval()
    _check_states(model, name)
    return model


def load_folder_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of such a folder, as its files are: `transformers` would make an empty one of none.

    Raises
    ------
    StiltsError
        A file is missing or cannot be read, or tokens have no row in the embeddings.
    """
    if (folder / TOKENIZER).exists():
        with opening(name, TOKENIZER):
            Tokenizer.from_file(str(folder / TOKENIZER))
    config = load_config(folder, name) if (folder / CONFIG).exists() else None
    with opening(name, "the tokenizer's files (tokenizer_config.json)"):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        # Some files say how long texts are cut that are read in no study by their length alone.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        last = max(tokenizer.get_vocab().values(), default=-1)
    if not tokenizer.is_fast:
        raise StiltsError(f"encoder {name}: it has no fast tokenizer ({TOKENIZER}), which features need")
    if not (folder / TOKENIZER).exists():
        needed = [file for key, file in tokenizer.vocab_files_names.items() if key != "tokenizer_file"]
        if lacking := [file for file in needed if not (folder / file).is_file()]:
            raise StiltsError(
                f"encoder {name}: the folder has neither {TOKENIZER} nor {' and '.join(lacking)}, of which its "
                "tokenizer is made; put the encoder's own there"
            )
    if isinstance(rows := getattr(config, "vocab_size", None), int):
        check_fits(last, rows, name)
    return tokenizer


def without_pooler(config: PretrainedConfig) -> Mapping[str, bool]:
    """Return the option that leaves a pooler out of a model, where its class has that option."""
    known = type(config) in MODEL_MAPPING
    optional = known and "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)]).parameters
    return {"add_pooling_layer": False} if optional else {}


def further_layers(unexpected: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Return the weights that differ from those of a model in a layer's number alone, in order; heads are no such ones.

    Parameters
    ----------
    unexpected : iterable of str
        Names in a file that a model has not; they may begin with the name of the model within a larger one.
    expected : iterable of str
        The model's.
    """
    known = {_unnumbered(name) for name in expected}
    found = []
    for name in unexpected:
        parts = _unnumbered(name).split(".")
        if "#" in parts and any(".".join(parts[start:]) in known for start in range(len(parts))):
            found.append(name)
    return sorted(found)


def _unnumbered(name: str) -> str:
    return re.sub(r"(?<=\.)\d+(?=\.)", "#", name)


def _check_size(config: PretrainedConfig, weights: Mapping[str, Weight], name: str) -> None:
    """Refuse settings of a far larger model than the weights are of, before memory is taken for it."""
    with opening(name, CONFIG), torch.device("meta"):
        model = AutoModel.from_config(config, **without_pooler(config))
        described = sum(weight.numel() for weight in model.parameters())
    held = sum(math.prod(weight.shape) for weight in weights.values())
    if described > _MOST * held:
        raise StiltsError(
            f"encoder {name}: {CONFIG} describes a model of {described} weights, but {WEIGHTS} holds {held}; the two "
            "are of different models"
        )


def _check_states(model: PreTrainedModel, name: str) -> None:
    """Have the model read a few tokens: it must be one of texts, and its states must be numbers."""
    with opening(name, f"{WEIGHTS} by {CONFIG}"), torch.inference_mode():
        ids = torch.tensor([[0, 1, 2, 3]])
        options = {"decoder_input_ids": ids} if architecture(model) == "encoder-decoder" else {}
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids), **options).last_hidden_state
        if states.shape != (*ids.shape, model.config.hidden_size):
            raise ValueError(f"its states have the shape {tuple(states.shape)}")
    if not states.isfinite().all():
        raise StiltsError(f"encoder {name}: its states are not finite; {WEIGHTS} is damaged or holds no numbers")
