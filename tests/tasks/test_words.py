"""Words of tagging get the tokens that they have in running text, whatever marks a word's beginning in a tokenizer."""

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from stilts.models import vocabulary
from stilts.models.prepared import prepare_encoder
from stilts.study.errors import StiltsError
from stilts.tasks import coverage
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.subwords import find_pair_layout, find_special_tokens, split_words, takes_words_alone

CORPUS = ["the kitchen door is open", "open the kitchen and the hall 42 , please .", "it 's the küche"] * 20
SPECIAL = ["<s>", "</s>", "<pad>", "<unk>", "<mask>"]
QWEN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def bytes_of(*before):
    """Byte-level pieces after other cuts; without these by the regex of GPT-2."""
    return pre_tokenizers.Sequence([*before, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not before)])


def trained(model, trainer, cut, normalizer=None, at_training=None):
    """A tokenizer that learned its pieces within words, as those of SentencePiece do."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer or normalizers.Sequence([])
    tokenizer.pre_tokenizer = at_training or cut
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.pre_tokenizer = cut
    return tokenizer


def bpe(cut, normalizer=None, at_training=None, alphabet=(), **model):
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=SPECIAL, initial_alphabet=list(alphabet), show_progress=False
    )
    return trained(models.BPE(**model), trainer, cut, normalizer, at_training)


def unigram(cut):
    trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    return trained(models.Unigram(), trainer, cut)


def wordpiece():
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=SPECIAL, show_progress=False)
    return trained(models.WordPiece(unk_token="<unk>"), trainer, pre_tokenizers.BertPreTokenizer(),
                   normalizers.BertNormalizer())  # fmt: skip


BYTES = pre_tokenizers.ByteLevel.alphabet()
MARKED = normalizers.Replace(" ", "▁")
FAMILIES = {
    "gpt-2, roberta": lambda: bpe(bytes_of(), alphabet=BYTES),
    "roberta with a prefix": lambda: bpe(pre_tokenizers.ByteLevel(add_prefix_space=True), alphabet=BYTES),
    "modernbert": lambda: bpe(bytes_of(), normalizers.NFC(), alphabet=BYTES),
    "qwen": lambda: bpe(bytes_of(pre_tokenizers.Split(Regex(QWEN), "isolated")), normalizers.NFC(), alphabet=BYTES),
    "bloom": lambda: bpe(bytes_of(pre_tokenizers.Split(Regex(BLOOM), "isolated")), alphabet=BYTES),
    "gemma, mmbert": lambda: bpe(pre_tokenizers.Split(" ", "merged_with_previous"), MARKED,
                                 pre_tokenizers.Split(Regex("▁?[^▁]+"), "isolated"), unk_token="<unk>"),
    "llama": lambda: bpe(pre_tokenizers.Metaspace(prepend_scheme="first"), unk_token="<unk>"),
    "metaspace without a prefix": lambda: unigram(pre_tokenizers.Metaspace(prepend_scheme="never")),
    "xlm-r, t5": lambda: unigram(pre_tokenizers.Metaspace(prepend_scheme="always")),
    "bert": wordpiece,
}  # fmt: skip
ALONE = {"roberta with a prefix", "xlm-r, t5", "bert", "llama"}


@pytest.fixture(scope="module")
def tokenizers():
    made = {}
    for name, make in FAMILIES.items():
        backend = make()
        backend.post_processor = processors.TemplateProcessing(
            "<s> $A </s>", "<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        unknown = {"unk_token": "<unk>"} if backend.model.__class__.__name__ != "BPE" or backend.model.unk_token else {}
        made[name] = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="<pad>", **unknown)
    return made


def check(tokenizer, words):
    """The words' tokens are those of the running text, and each begins where its word does."""
    (found,) = split_words(tokenizer, [words])
    text = " ".join(words)
    running = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    assert [token for own in found for token in own] == running["input_ids"]
    place, begin = 0, 0
    for word, own in zip(words, found, strict=True):
        start, stop = running["offset_mapping"][place][0], running["offset_mapping"][place + len(own) - 1][1]
        assert max(0, begin - 1) <= start <= begin
        assert stop == begin + len(word)
        place, begin = place + len(own), begin + len(word) + 1


@pytest.mark.parametrize("name", FAMILIES)
def test_words_have_the_tokens_of_running_text(tokenizers, name):
    check(tokenizers[name], ["the", "kitchen", "door", "is", "open"])
    check(tokenizers[name], ["open", "the", "kitchen", ",", "please", "42", "it", "'s", "küche", "."])
    assert takes_words_alone(tokenizers[name]) == (name in ALONE)


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["the", "kitchen", "42", ",", "'s", "kitchenette", "U.S.", "(", "ü", "7th"]),
        st.text(st.characters(categories=["Ll", "Lu", "Nd", "Po", "So"], max_codepoint=0x2FFF), min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150)
@given(WORDS, st.sampled_from(["gpt-2, roberta", "modernbert", "qwen", "bloom"]))
def test_any_words_have_the_tokens_of_running_text_by_bytes(tokenizers, words, name):
    (found,) = split_words(tokenizers[name], [words])
    running = tokenizers[name](" ".join(words), add_special_tokens=False)["input_ids"]
    assert [token for own in found for token in own] == running
    assert all(found)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_token_of_each_word_is_labelled(tokenizers, name):
    tokenizer = tokenizers[name]
    words = ["the", "kitchen", "42", "küche"]
    (part,) = FORMATS["tagging"].encode([{"tokens": words, "tags": [0, 1, 2, 0]}], tokenizer, 64)
    (found,) = split_words(tokenizer, [words])
    assert part.input_ids.tolist() == tokenizer(" ".join(words))["input_ids"]
    assert [int(part.input_ids[place]) for place in part.detail] == [own[0] for own in found]
    assert [int(part.target[place]) for place in part.detail] == [0, 1, 2, 0]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("words", [[""], ["", ""], ["the", "", "hall"], ["the", ""], ["\u200d", "hall"], []])
def test_an_empty_word_keeps_its_place(tokenizers, name, words):
    parts = FORMATS["tagging"].encode([{"tokens": words, "tags": [1] * len(words)}], tokenizers[name], 64)
    assert sum(len(part.detail) for part in parts) == len(words)
    for part in parts:
        assert len(set(part.detail.tolist())) == len(part.detail)


def test_an_empty_word_without_anything_to_stand_for_it_is_named():
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    with pytest.raises(StiltsError, match="gives no token for the word '' .* from the sentence 'a  b'"):
        FORMATS["tagging"].encode([{"tokens": ["a", "", "b"], "tags": [0, 0, 0]}], tokenizer, 64)


def test_a_word_that_the_token_before_it_holds_gets_tokens_of_its_own():
    backend = bpe(pre_tokenizers.Split(" ", "merged_with_previous"), MARKED, unk_token="<unk>")  # learned across words
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    (found,) = split_words(tokenizer, [["the", "kitchen", "door"]])
    assert all(found)
    assert tokenizer.unk_token_id not in [token for own in found for token in own]


@pytest.mark.parametrize("name", FAMILIES)
def test_special_tokens_stand_around_texts(tokenizers, name):
    assert find_special_tokens(tokenizers[name]) == ([0], [1])
    assert find_pair_layout(tokenizers[name]) == ([0], [1], [1])


def test_the_vocabulary_of_a_tokenizer_that_needs_the_space_is_not_trimmed(tokenizers, tmp_path):
    folder = tiny.write_encoder(tmp_path / "encoder")
    tokenizers["metaspace without a prefix"].save_pretrained(folder)
    with pytest.raises(StiltsError, match=f"encoder {folder}: .* not exact; set trim_vocabulary: false"):
        prepare_encoder(str(folder), CORPUS, tmp_path / "prepared")


# --- texts that were not there when the vocabulary was trimmed -------------------------------------------------------

UNSEEN = {
    "classification": {"sentence1": "a new text", "label": 0},
    "tagging": {"tokens": ["the", "garden"], "tags": [0, 0]},
    "span_qa": {"id": "1", "context": "a new text", "question": "the", "answers": {"text": [], "answer_start": []}},
    "multiple_choice": {"prompt": "the", "choices": ["the", "a new text"], "label": 0},
    "mlm": {"text": "a new text"},
    "causal_lm": {"text": "a new text"},
    "span_corruption": {"text": "a new text"},
    "passage_retrieval": {"query": "the", "passage": "a new text"},
}


@pytest.mark.parametrize("form", UNSEEN)
def test_a_text_outside_the_trimmed_vocabulary_is_an_error_where_it_is_encoded(form):
    whole = tiny.tokenizer()
    kept = vocabulary.list_used_tokens(whole, ["the"])
    trimmed = vocabulary.trim_tokenizer(whole, kept)
    trimmed.add_special_tokens({"extra_special_tokens": ["<extra_id_0>", "<extra_id_1>"]})
    coverage.cover(trimmed, coverage.hash_texts(["the"]))
    with pytest.raises(StiltsError, match="the text '(a new text|garden)' is not among those"):
        FORMATS[form].encode([UNSEEN[form]], trimmed, 64)
