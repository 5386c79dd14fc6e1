"""Exact vocabulary trimming: only the embedding rows that the study's texts use are kept.

Most weights of a small multilingual encoder are embeddings. A unigram tokenizer that is restricted to the pieces of
some texts still segments these texts alike: their best segmentation is still possible, and no new one competes.
"""

import heapq
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.tasks.coverage import batch_texts, hash_text, shorten_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

UNKNOWN_SHARE = 0.2  # maximum share of unknown tokens; above, the tokenizer was not made for the texts' languages
_SAMPLE = 20_000  # texts on which the share is measured


def list_used_tokens(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> list[int]:
    """Return the token ids, ascending, that a vocabulary trimmed to the texts must contain.

    These are the ids of the texts' tokens, all special tokens, and the piece with the lowest score, from which the
    score of unknown characters is computed.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Tokenizer with a unigram vocabulary.
    texts : iterable of str
        Texts to encode; for a text given as words, each word.

    Raises
    ------
    StiltsError
        If the vocabulary is not a unigram one, or a text is not valid Unicode.
    """
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    _check_unigram(model, tokenizer.name_or_path)
    scores = [score for _, score in model["vocab"]]
    lowest = min(range(len(scores)), key=scores.__getitem__)
    ids = {lowest, model["unk_id"], *tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    for batch in batch_texts(texts):
        _check_unicode(batch)
        for encoding in tokenizer.backend_tokenizer.encode_batch_fast(batch):
            ids.update(encoding.ids)
    return sorted(ids)


def trim_tokenizer(tokenizer: "PreTrainedTokenizerFast", kept: Sequence[int]) -> "PreTrainedTokenizerFast":
    """Return the tokenizer with the kept tokens only; token `kept[i]` gets the id `i`.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Tokenizer with a unigram vocabulary.
    kept : sequence of int
        Ascending ids, from `list_used_tokens`.

    Raises
    ------
    StiltsError
        If the vocabulary is not a unigram one.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    new_id = {old: new for new, old in enumerate(kept)}
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    model = whole["model"]
    _check_unigram(model, tokenizer.name_or_path)
    pieces = model["vocab"]
    model["vocab"] = [pieces[old] for old in kept if old < len(pieces)]
    model["unk_id"] = new_id[model["unk_id"]]
    for token in whole["added_tokens"]:
        token["id"] = new_id[token["id"]]
    _renumber(whole["post_processor"], new_id)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(whole)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        **tokenizer.special_tokens_map,
    )


def trim_model(model: "PreTrainedModel", kept: Sequence[int]) -> "PreTrainedModel":
    """Reduce a model's embedding to the kept rows and update the ids of its special tokens, in place.

    Raises
    ------
    StiltsError
        If the padding token's id would change, from which encoders of the RoBERTa family count positions.
    """
    import torch

    old = model.get_input_embeddings()
    config = model.config
    pad = config.pad_token_id
    if pad is not None and (pad >= len(kept) or kept[pad] != pad):
        raise StiltsError(
            f"encoder {config.name_or_path}: its padding token has id {pad}, after other tokens, "
            "which a trimmed vocabulary cannot keep; set trim_vocabulary: false"
        )
    with torch.no_grad():
        rows = old.weight[torch.as_tensor(kept, device=old.weight.device)].clone()
    model.set_input_embeddings(torch.nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=old.padding_idx))
    config.vocab_size = len(kept)
    new_id = {token: new for new, token in enumerate(kept)}
    for name in ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"):
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, new_id.get(getattr(config, name)))
    return model


def assert_same_pieces(
    whole: "PreTrainedTokenizerFast", trimmed: "PreTrainedTokenizerFast", kept: Sequence[int], texts: Iterable[str]
) -> None:
    """Check that both tokenizers split every text into the same pieces; `kept` are the trimmed one's ids.

    Raises
    ------
    StiltsError
        If they split a text differently; the message names the first one.
    """
    for batch in batch_texts(texts):
        before = whole.backend_tokenizer.encode_batch_fast(batch)
        after = trimmed.backend_tokenizer.encode_batch_fast(batch)
        for text, one, other in zip(batch, before, after, strict=True):
            if one.ids != [kept[token] for token in other.ids]:
                raise StiltsError(
                    f"the trimmed vocabulary does not cover the text {shorten_text(text)}: it gives "
                    f"{len(other.ids)} tokens that differ from the {len(one.ids)} of the full vocabulary; "
                    "prepare the encoder with this text"
                )


def check_known(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str], name: str) -> None:
    """Check that a tokenizer knows a study's texts, on a sample chosen by their digests.

    A text without any token counts as one unknown token.

    Parameters
    ----------
    name : str
        Name of the encoder for messages.

    Raises
    ------
    StiltsError
        If more than `UNKNOWN_SHARE` of the tokens are unknown.
    """
    sample = heapq.nsmallest(_SAMPLE, texts, key=hash_text)
    unknown, tokens, examples = 0, 0, []
    for batch in batch_texts(sample):
        _check_unicode(batch)
        encodings = tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        for text, encoding in zip(batch, encodings, strict=True):
            lost = encoding.ids.count(tokenizer.unk_token_id) if encoding.ids else int(bool(text.strip()))
            unknown, tokens = unknown + lost, tokens + max(len(encoding.ids), lost)
            examples += [text] if lost and len(examples) < 3 else []
    if unknown > UNKNOWN_SHARE * tokens:
        raise StiltsError(
            f"encoder {name}: its tokenizer does not know {100 * unknown / tokens:.0f} % of the tokens of the study's "
            f"texts (at most {100 * UNKNOWN_SHARE:.0f} % allowed), such as {', '.join(map(shorten_text, examples))}; "
            "check that its files are those of the encoder, or name another encoder or other languages"
        )


def _check_unicode(texts: Iterable[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StiltsError(
                f"the text {shorten_text(text)} holds half of a surrogate pair at character {error.start + 1}, "
                "which no tokenizer accepts; correct or remove the example"
            ) from error


def _check_unigram(model: dict, name: str) -> None:
    if model["type"] != "Unigram" or model.get("byte_fallback"):
        kind = model["type"] + (" with byte fallback" if model.get("byte_fallback") else "")
        raise StiltsError(
            f"encoder {name}: its vocabulary is of the kind {kind}; trimming is exact for Unigram vocabularies "
            "without byte fallback only; set trim_vocabulary: false"
        )
    if model.get("unk_id") is None:
        raise StiltsError(
            f"encoder {name}: its vocabulary has no unknown token, which a trimmed one needs; "
            "set trim_vocabulary: false"
        )


def _renumber(part: object, new_id: dict[int, int]) -> None:
    """Replace the token ids in a post-processor's JSON, in place."""
    if isinstance(part, list):
        for item in part:
            _renumber(item, new_id)
    elif isinstance(part, dict):
        if isinstance(part.get("ids"), list):
            part["ids"] = [new_id[old] for old in part["ids"]]
        for name in ("cls", "sep"):  # [token, id] of the BERT and RoBERTa processors
            if isinstance(part.get(name), list):
                part[name][1] = new_id[part[name][1]]
        for item in part.values():
            _renumber(item, new_id)
