"""Exact vocabulary trimming: keep of an encoder's embedding only the rows that the study's texts use.

Most of a small multilingual encoder is its embedding. A unigram tokenizer restricted to the pieces that it gives for
some texts gives those texts the same pieces again: their best segmentation is still there, and nothing new competes.
"""

import heapq
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.tasks.coverage import batch_texts, hash_text, shorten_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

UNKNOWN_SHARE = 0.2  # of the tokens of a study's texts, at most: with more, the tokenizer is not one of these languages
_SAMPLE = 20_000  # texts of which the share is measured


def used_tokens(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> list[int]:
    """The token ids that a vocabulary trimmed to the texts must hold, ascending.

    These are the ids of the texts' tokens, all special tokens, and the piece of the lowest score, from which the score
    of an unknown character is reckoned.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        With a unigram vocabulary.
    texts : iterable of str
        Texts as they will be given to the tokenizer; of a text that is given as words, each word.

    Raises
    ------
    StiltsError
        The vocabulary is of another kind than unigram; or a text is no valid Unicode.
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
    """The tokenizer with the kept tokens only; token `kept[i]` gets the id `i`.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        With a unigram vocabulary.
    kept : sequence of int
        Ascending ids, as `used_tokens` gives them.

    Raises
    ------
    StiltsError
        The vocabulary is of another kind than unigram.
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
    """Give the model an embedding of the kept rows only, in place, and number its special tokens anew.

    Raises
    ------
    StiltsError
        The padding token would get another id: encoders of the RoBERTa family count positions from it.
    """
    import torch

    old = model.get_input_embeddings()
    config = model.config
    pad = config.pad_token_id
    if pad is not None and (pad >= len(kept) or kept[pad] != pad):
        raise StiltsError(
            f"encoder {config.name_or_path}: its padding token has the id {pad} behind other tokens, "
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
    """Check that both tokenizers cut every text into the same pieces; `kept` is what the one was trimmed to.

    Raises
    ------
    StiltsError
        The first text that they cut differently.
    """
    for batch in batch_texts(texts):
        before = whole.backend_tokenizer.encode_batch_fast(batch)
        after = trimmed.backend_tokenizer.encode_batch_fast(batch)
        for text, one, other in zip(batch, before, after, strict=True):
            if one.ids != [kept[token] for token in other.ids]:
                raise StiltsError(
                    f"the trimmed vocabulary does not hold the text {shorten_text(text)}: it is cut into "
                    f"{len(other.ids)} tokens that differ from the {len(one.ids)} of the whole vocabulary; "
                    "prepare the encoder with this text"
                )


def check_known(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str], name: str) -> None:
    """Check that a tokenizer knows a study's texts; measured on some that their digests choose.

    A text of which it makes no token at all counts as one that it does not know.

    Parameters
    ----------
    name : str
        What the encoder is called in messages.

    Raises
    ------
    StiltsError
        More than `UNKNOWN_SHARE` of their tokens are unknown ones.
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
            f"texts (at most {100 * UNKNOWN_SHARE:.0f} % may be), such as {', '.join(map(shorten_text, examples))}; "
            "see whether its files are those of the encoder, or name another encoder or other languages"
        )


def _check_unicode(texts: Iterable[str]) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StiltsError(
                f"the text {shorten_text(text)} holds half of a surrogate pair at character {error.start + 1}, "
                "which no tokenizer takes; mend or leave out the example"
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
    """Replace the token ids inside a post-processor's description, in place."""
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
