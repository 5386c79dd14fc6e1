"""Checks of an encoder's folder before a model library loads it.

They read only the files: `config.json`, the ids of the tokenizer's tokens, and the names and shapes of the weights. So
unusable encoders are refused while planning.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.study.errors import StiltsError, describe_reasons

if TYPE_CHECKING:
    import torch

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
# Vocabulary files of tokenizers without tokenizer.json.
_VOCABULARIES = ("*.model", "*.spm", "vocab*", "*.tiktoken", "tekken.json", "*.codes")
# The files in a folder's fingerprint: config, files of the tokenizer, weights.
_FINGERPRINTED = (CONFIG, "tokenizer*", "special_tokens_map.json", "added_tokens.json", "merges.txt", *_VOCABULARIES,
                  "*.safetensors", "*.safetensors.index.json")  # fmt: skip
_FLOATS = ("F64", "F32", "F16", "BF16")
_LONGEST_SHOWN = 80  # characters of an invalid value in a message
REMEDY = f"the folder needs {CONFIG}, {TOKENIZER} and {WEIGHTS} as save_pretrained writes them"

# Families with a table of position embeddings, whose size config.json limits. All others compute positions (T5, BLOOM,
# XGLM, Llama, Qwen, Gemma, ModernBERT, ...) and accept inputs of any length.
_COUNTED_FROM_ZERO = frozenset(
    ("albert", "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt", "blenderbot",
     "blenderbot-small", "codegen", "convbert", "ctrl", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
     "flaubert", "fnet", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "layoutlm", "led", "marian", "mbart",
     "megatron-bert", "mobilebert", "mra", "nystromformer", "openai-gpt", "opt", "pegasus", "plbart", "rembert",
     "roc_bert", "roformer", "splinter", "squeezebert", "tapas", "xlm", "yoso")
)  # fmt: skip
# In RoBERTa's family the first position is the padding token's id plus one.
_COUNTED_FROM_PADDING = frozenset(
    ("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm", "mluke",
     "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod")
)  # fmt: skip
_POSITIONS = ("max_position_embeddings", "n_positions", "max_encoder_position_embeddings")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "emb_dim")

_Size = Annotated[int, Field(gt=0, le=2**20)] | None
_Layers = Annotated[int, Field(ge=0, le=10_000)] | None
_Positions = Annotated[int, Field(gt=0, le=2**31)] | None


class Config(BaseModel):
    """The values of config.json that are checked for any model, by their names in the families of transformers."""

    model_config = ConfigDict(strict=True, extra="allow")

    model_type: str = Field(min_length=1)
    vocab_size: Annotated[int, Field(ge=8, le=2**24)] | None = None
    pad_token_id: int | None = None
    decoder_start_token_id: int | None = None
    is_encoder_decoder: bool = False
    architectures: list[str] | None = None
    hidden_size: _Size = None
    n_embd: _Size = None
    d_model: _Size = None
    dim: _Size = None
    emb_dim: _Size = None
    embedding_size: _Size = None
    intermediate_size: _Size = None
    n_inner: _Size = None
    hidden_dim: _Size = None
    d_ff: _Size = None
    d_kv: _Size = None
    ffn_dim: _Size = None
    encoder_ffn_dim: _Size = None
    decoder_ffn_dim: _Size = None
    num_hidden_layers: _Layers = None
    num_layers: _Layers = None
    num_decoder_layers: _Layers = None
    encoder_layers: _Layers = None
    decoder_layers: _Layers = None
    n_layer: _Layers = None
    n_layers: _Layers = None
    num_attention_heads: _Size = None
    num_heads: _Size = None
    n_head: _Size = None
    n_heads: _Size = None
    encoder_attention_heads: _Size = None
    decoder_attention_heads: _Size = None
    attention_heads: _Size = None
    max_position_embeddings: _Positions = None
    n_positions: _Positions = None
    max_encoder_position_embeddings: _Positions = None
    type_vocab_size: Annotated[int, Field(ge=0, le=2**20)] | None = None


class _AddedToken(BaseModel):
    id: Annotated[int, Field(strict=True, ge=0)]


class _TokenizerModel(BaseModel):
    vocab: dict[str, Annotated[int, Field(strict=True, ge=0)]] | list[tuple[str, float]]


class _Tokenizer(BaseModel):
    model: _TokenizerModel
    added_tokens: list[_AddedToken] = []


class _Index(BaseModel):
    weight_map: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Weight:
    """The shape of a tensor in a safetensors file, and its type as named by that format ("F32")."""

    shape: tuple[int, ...]
    kind: str


@contextmanager
def opening(name: str, file: str) -> Iterator[None]:
    """Turn any error of a library about an encoder's file, including Rust panics, into a StiltsError of one line.

    Parameters
    ----------
    name : str
        Name of the encoder.
    file : str
        Name of the opened file.
    """
    try:
        yield
    except BaseException as error:
        panic = type(error).__name__ == "PanicException"
        if isinstance(error, StiltsError) or not (isinstance(error, Exception) or panic):
            raise
        raise StiltsError(f"encoder {name} cannot be loaded: {file}: {take_first_line(error)}; {REMEDY}") from error


def check_folder(folder: Path, name: str) -> None:
    """Check that the files of an encoder exist, are valid, and match each other.

    Parameters
    ----------
    folder : Path
        Folder in the layout of `transformers`.
    name : str
        Name of the encoder for messages.

    Raises
    ------
    StiltsError
        If a file is missing, is invalid or contradicts another one.
    """
    check_model(folder, name)
    check_tokenizer(folder, name)


def check_model(folder: Path, name: str) -> None:
    """Check the config and the weights of a folder, as `check_folder` does."""
    if (folder / ADAPTER).exists():
        raise StiltsError(
            f"encoder {name}: it holds {ADAPTER}, an adapter of PEFT and not an encoder; merge it into its "
            "encoder first: PeftModel.from_pretrained(encoder, folder).merge_and_unload().save_pretrained(new folder), "
            "and save the tokenizer there too"
        )
    weights = read_weights(folder, name)
    config = read_config(folder, name)
    if (folder / "generation_config.json").exists():
        read_object(folder / "generation_config.json", name)
    hidden = next((key for key in _HIDDEN if config.get(key) is not None), None)
    sizes = {size for weight in weights.values() for size in weight.shape}
    for key in ("vocab_size", hidden):
        if key and config.get(key) is not None and config[key] not in sizes:
            raise StiltsError(
                f"encoder {name}: {CONFIG}: {key} is {config[key]}, but no weight in {WEIGHTS} has that size; the two "
                "belong to different models"
            )


def check_tokenizer(folder: Path, name: str) -> None:
    """Check the tokenizer files of a folder, as `check_folder` does; the folder need not contain a model."""
    if not (folder / TOKENIZER).is_file() and not any(next(folder.glob(each), None) for each in _VOCABULARIES):
        raise StiltsError(
            f"encoder {name}: the folder has no tokenizer file ({TOKENIZER}, a SentencePiece model or a "
            "vocabulary); save the encoder's tokenizer there: tokenizer.save_pretrained(folder)"
        )
    for file in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        if (folder / file).exists():
            read_object(folder / file, name)
    last = _last_token(folder, name)
    rows = read_config(folder, name).get("vocab_size") if (folder / CONFIG).exists() else None
    if rows is not None:
        check_fits(last, rows, name)


def read_config(folder: Path, name: str) -> Mapping[str, Any]:
    """Return config.json, validated by `Config`.

    Raises
    ------
    StiltsError
        If it is missing or invalid, or requires something unsupported: custom code, quantised weights, or weights in
        files with other names.
    """
    path = folder / CONFIG
    config = read_object(path, name)
    _validated(Config, config, path, name)
    refused = {
        "quantization_config": "its weights are quantised, and the study trains in floating point; save it with "
        "weights in floating point (model.dequantize())",
        "auto_map": "it asks for custom code, which is never run; remove the entry if the transformers class for its "
        "model_type is the same model",
        "transformers_weights": f"weights are read only from {WEIGHTS} or {INDEX}; rename the file",
    }
    for key, reason in refused.items():
        if config.get(key):
            raise _wrong(path, name, f"{key}: {reason} (got {_shown(config[key])})")
    size = config.get("vocab_size")
    for key in ("pad_token_id", "decoder_start_token_id"):
        token = config.get(key)
        if size is not None and token is not None and not 0 <= token < size:
            raise _wrong(path, name, f"{key} is {token}, but the token ids are 0 to {size - 1}")
    return config


def find_position_limit(config: Mapping[str, Any]) -> int | None:
    """Return the maximum number of tokens of an input by the encoder's positions; None if they are unlimited."""
    family = config["model_type"]
    if family in ("deberta", "deberta-v2") and config.get("position_biased_input") is False:
        return None
    if family == "esm" and config.get("position_embedding_type") == "rotary":
        return None
    positions = next((config[name] for name in _POSITIONS if config.get(name) is not None), None)
    if positions is None or family in _COUNTED_FROM_ZERO:
        return positions
    return positions - find_first_position(config) if family in _COUNTED_FROM_PADDING else None


def find_first_position(config: Mapping[str, Any]) -> int:
    """Return the position of an input's first token: in families like RoBERTa's, the first after that of padding."""
    if config["model_type"] not in _COUNTED_FROM_PADDING:
        return 0
    padding = config.get("pad_token_id")
    return 2 if padding is None else padding + 1


def read_weights(folder: Path, name: str) -> Mapping[str, Weight]:
    """Return names and shapes of a folder's weights; only the files' headers are read.

    Raises
    ------
    StiltsError
        If there are none, a file is damaged or not in the folder, or a weight is not in floating point.
    """
    weights: dict[str, Weight] = {}
    for path in _weight_files(folder, name):
        _require_file(path, name)
        status = path.stat()
        weights |= _header(path, status.st_size, status.st_mtime_ns, name)
    return weights


def read_tensors(folder: Path, name: str, ending: str) -> "dict[str, torch.Tensor]":
    """Return the weights of a folder whose names have an ending, without loading the others.

    Raises
    ------
    StiltsError
        As in `read_weights`.
    """
    from safetensors import safe_open

    found = {}
    for path in _weight_files(folder, name):
        with opening(name, str(path)), safe_open(path, framework="pt") as file:
            wanted = [key for key in file.keys() if f".{key}".endswith(ending)]  # noqa: SIM118 - it is no mapping
            found |= {key: file.get_tensor(key) for key in wanted}
    return found


def list_fingerprinted(folder: Path) -> list[Path]:
    """Return the files of a folder that determine what its encoder computes, sorted."""
    return sorted({path for pattern in _FINGERPRINTED for path in folder.glob(pattern) if path.is_file()})


def read_object(path: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file; StiltsError if the file is missing or has no object."""
    _require_file(path, name)
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, name, f"is not JSON ({take_first_line(error)})") from error
    if not isinstance(content, dict):
        kinds = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}
        raise _wrong(path, name, f"holds {kinds.get(type(content), 'a number')} instead of an object")
    return content


def take_first_line(error: BaseException) -> str:
    """Return the first line of an error's message, preceded by the error's type if the message needs it."""
    text = str(error).strip().split("\n")[0].rstrip(".")
    plain = isinstance(error, OSError | ValueError | RuntimeError) and text
    return text if plain else f"{type(error).__name__} {text}".strip()


# --- weights ---------------------------------------------------------------------------------------------------------


def _weight_files(folder: Path, name: str) -> list[Path]:
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        raise StiltsError(
            f"encoder {name}: the folder holds no .safetensors file that transformers reads ({WEIGHTS}, or {INDEX} and "
            "the files it names), the only supported kind of weights"
        )
    index = _validated(_Index, read_object(folder / INDEX, name), folder / INDEX, name)
    shards = [folder / file for file in dict.fromkeys(index.weight_map.values())]
    for file, path in zip(dict.fromkeys(index.weight_map.values()), shards, strict=True):
        if Path(file).name != file or not file.endswith(".safetensors"):
            reason = f"weight_map names '{file}', which is no file of safetensors of its folder; put it there"
            raise _wrong(folder / INDEX, name, reason)
        if not _lies_within(path, folder):
            raise _wrong(path, name, f"is a link out of its folder (to {path.resolve()}); copy the file")
    return shards


def _lies_within(path: Path, folder: Path) -> bool:
    """Return whether a file is in its folder; in the Hub's cache, it links to the folder `blobs` beside `snapshots`."""
    root, real = folder.resolve(), path.resolve()
    cached = root.parent.parent / "blobs" if root.parent.name == "snapshots" else root
    return real.parent in (root, cached)


@lru_cache(maxsize=256)
def _header(path: Path, size: int, modified: int, name: str) -> Mapping[str, Weight]:
    """Return the weights in a safetensors file; size and modification time make the cache miss for a changed file."""
    from safetensors import safe_open

    with path.open("rb") as file:
        if file.read(12) == b"version http":
            raise _wrong(path, name, "is a pointer of Git LFS, not the file; fetch it: git lfs pull")
    with opening(name, str(path)), safe_open(path, framework="np") as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        weights = {key: Weight(tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
    for key, weight in weights.items():
        if key.endswith(".weight") and weight.kind not in _FLOATS:
            reason = f"weight {key} is of {weight.kind}, not one of {', '.join(_FLOATS)}; save it in floating point"
            raise _wrong(path, name, reason)
    return weights


# --- tokens ----------------------------------------------------------------------------------------------------------


def check_fits(last: int, rows: int, name: str) -> None:
    """Check that the highest token id has a row in the embeddings; StiltsError if not."""
    if last >= rows:
        raise StiltsError(
            f"encoder {name}: its tokenizer has token ids up to {last}, but {CONFIG}: vocab_size is {rows}, "
            f"so {last + 1 - rows} have no embedding; model.resize_token_embeddings(len(tokenizer)) and save both"
        )


def _last_token(folder: Path, name: str) -> int:
    """Return the highest token id in the tokenizer's JSON files, -1 if there are none."""
    found = [-1]
    if (folder / TOKENIZER).exists():
        path = folder / TOKENIZER
        status = path.stat()
        found.append(_last_of_tokenizer(path, status.st_size, status.st_mtime_ns, name))
    if (folder / "added_tokens.json").exists():
        added = read_object(folder / "added_tokens.json", name)
        found += [number for number in added.values() if isinstance(number, int)]
    if (folder / "tokenizer_config.json").exists():
        decoder = read_object(folder / "tokenizer_config.json", name).get("added_tokens_decoder")
        found += [int(number) for number in decoder if number.isdecimal()] if isinstance(decoder, dict) else []
    return max(found)


@lru_cache(maxsize=32)
def _last_of_tokenizer(path: Path, size: int, modified: int, name: str) -> int:
    tokenizer = _validated(_Tokenizer, read_object(path, name), path, name)
    vocabulary = tokenizer.model.vocab
    numbers = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
    return max([*numbers, *(token.id for token in tokenizer.added_tokens)], default=-1)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _validated(schema: type[BaseModel], content: Mapping[str, Any], path: Path, name: str) -> Any:
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise _wrong(path, name, describe_reasons(error)) from error


def _require_file(path: Path, name: str) -> None:
    if not path.is_file():
        raise _wrong(path, name, f"missing, or not a regular file; {REMEDY}")


def _wrong(path: Path, name: str, reason: str) -> StiltsError:
    place = path.name if str(path.parent) == name else path
    return StiltsError(f"encoder {name}: {place}: {reason}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
