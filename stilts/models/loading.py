"""Load models and tokenizers of `transformers` from checked folders, with errors of one line."""

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

from stilts.models.backbones import find_architecture, name_tied_weights_once
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

_MOST = 2  # maximum ratio of a model's weights to those in its files; only a pooler may be missing there


def load_config(folder: Path, name: str) -> PretrainedConfig:
    """Return a folder's config, without its choice of attention implementation.

    Parameters
    ----------
    name : str
        Name of the encoder for messages, and for `transformers`, which recognises Hub repositories by it.

    Raises
    ------
    StiltsError
        If `transformers` has no model for the config.
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
    """Return the model of a folder that passed `stilts.models.encoder_files.check_folder`, in 32-bit floats.

    Raises
    ------
    StiltsError
        If config and weights belong to different models, or the model's states are invalid.
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
            ignore_mismatched_sizes=True,  # they are reported below
            **omit_pooler(config),
        )
    for key, held, described in sorted(loading["mismatched_keys"]):
        raise StiltsError(
            f"encoder {name}: {WEIGHTS}: {key} has the shape {tuple(held)}, by {CONFIG} it has {tuple(described)}; the "
            "two belong to different models"
        )
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise StiltsError(f"encoder {name}: {len(missing)} of the model's weights are missing, first '{missing[0]}'")
    if more := find_further_layers(loading["unexpected_keys"], model.state_dict()):
        raise StiltsError(
            f"encoder {name}: {WEIGHTS} has weights of more layers than {CONFIG} says, the first is '{more[0]}'; the "
            "two belong to different models"
        )
    if config.pad_token_id is None:  # most decoders have none; the attention mask hides padding
        model.config.pad_token_id = 0
    model = name_tied_weights_once(model).eval()
    _check_states(model, name)
    return model


def load_folder_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a checked folder; `transformers` alone would make an empty one if files are missing.

    Raises
    ------
    StiltsError
        If a file is missing or cannot be read, or tokens have no row in the embeddings.
    """
    if (folder / TOKENIZER).exists():
        with opening(name, TOKENIZER):
            Tokenizer.from_file(str(folder / TOKENIZER))
    config = load_config(folder, name) if (folder / CONFIG).exists() else None
    with opening(name, "the tokenizer's files (tokenizer_config.json)"):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
        # Some files set truncation or padding, which the study controls itself.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        last = max(tokenizer.get_vocab().values(), default=-1)
    if not tokenizer.is_fast:
        raise StiltsError(f"encoder {name}: it has no fast tokenizer ({TOKENIZER}), which features need")
    if not (folder / TOKENIZER).exists():
        needed = [file for key, file in tokenizer.vocab_files_names.items() if key != "tokenizer_file"]
        if lacking := [file for file in needed if not (folder / file).is_file()]:
            raise StiltsError(
                f"encoder {name}: the folder has neither {TOKENIZER} nor {' and '.join(lacking)}, from which its "
                "tokenizer is built; copy the encoder's files there"
            )
    if isinstance(rows := getattr(config, "vocab_size", None), int):
        check_fits(last, rows, name)
    return tokenizer


def omit_pooler(config: PretrainedConfig) -> Mapping[str, bool]:
    """Return the option that omits the pooler, if the model's class has it."""
    known = type(config) in MODEL_MAPPING
    optional = known and "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)]).parameters
    return {"add_pooling_layer": False} if optional else {}


def find_further_layers(unexpected: Iterable[str], expected: Iterable[str]) -> list[str]:
    """Return the unexpected weights, sorted, that belong to additional layers, and not for example to a head.

    Their names differ from those of expected weights only in the number of the layer.

    Parameters
    ----------
    unexpected : iterable of str
        Names in a file that the model does not have; they may have a prefix.
    expected : iterable of str
        Names of the model's weights.
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
    """Refuse a config of a far larger model than the weights, before memory is allocated for it."""
    with opening(name, CONFIG), torch.device("meta"):
        model = AutoModel.from_config(config, **omit_pooler(config))
        described = sum(weight.numel() for weight in model.parameters())
    held = sum(math.prod(weight.shape) for weight in weights.values())
    if described > _MOST * held:
        raise StiltsError(
            f"encoder {name}: {CONFIG} describes a model of {described} weights, but {WEIGHTS} holds {held}; the two "
            "belong to different models"
        )


def _check_states(model: PreTrainedModel, name: str) -> None:
    """Run the model on a few tokens to check that it reads text and that its states are finite."""
    with opening(name, f"{WEIGHTS} by {CONFIG}"), torch.inference_mode():
        ids = torch.tensor([[0, 1, 2, 3]])
        options = {"decoder_input_ids": ids} if find_architecture(model) == "encoder-decoder" else {}
        states = model(input_ids=ids, attention_mask=torch.ones_like(ids), **options).last_hidden_state
        if states.shape != (*ids.shape, model.config.hidden_size):
            raise ValueError(f"its states have the shape {tuple(states.shape)}")
    if not states.isfinite().all():
        raise StiltsError(f"encoder {name}: its hidden states are not finite; {WEIGHTS} is damaged or holds NaN")
