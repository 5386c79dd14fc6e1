"""One test of every registered format, retrieval and mining among them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from format_rules import Example, check_format

from stilts.sources.suite import Table
from stilts.tasks.formats import FORMATS, PASSAGE_RETRIEVAL
from stilts.tasks.formats.passage_retrieval import POOL

EMBEDDINGS = {"train_embeddings": True}  # for tasks that ask for tokens of which random embeddings know nothing
TEXTS = [{"text": row["context"]} for row in tiny.qa_rows("en")]


def in_two_languages(rows: Callable[[str], list[dict]]) -> dict[str, list[dict]]:
    return {language: rows(language)[:8] for language in ("en", "de")}


def spans() -> Example:
    return Example(in_two_languages(tiny.qa_rows), tiny.qa_rows("en"))


def choices(language: str) -> list[dict]:
    rows = []
    for number, command in enumerate(tiny.commands(language)):
        others = [place for place in tiny.PLACES[language] if place != command[1]][: 1 + number % 3]
        label = number % (len(others) + 1)
        own = [*others[:label], command[1], *others[label:]]
        rows.append({"prompt": tiny.sentence(language, command), "choices": own, "label": label})
    return rows


def language_model() -> Example:
    return Example({"en": TEXTS[:8], "de": TEXTS[8:16]}, TEXTS, settings=EMBEDDINGS)


def passages() -> Example:
    pairs = zip(tiny.PLACES["de"], tiny.PLACES["en"], strict=True)
    trained = [{"query": german, "passage": f"open the {english} now"} for german, english in pairs]
    queries = [{"id": str(i), "query": row["query"], "gold": [f"p{i}"]} for i, row in enumerate(trained)]
    pool = [{"id": f"p{i}", "passage": row["passage"], "lang": "en"} for i, row in enumerate(trained)]
    candidates = Table(f"made.{POOL.config}", POOL.split, PASSAGE_RETRIEVAL.pool_features(), pool)
    return Example(
        {"en": queries, "de": queries[:3]}, trained, further=[candidates],
        test_features=PASSAGE_RETRIEVAL.query_features(), settings=EMBEDDINGS,
    )  # fmt: skip


def translations(rows: Callable[[str], list[dict]]) -> Example:
    return Example({language: rows(language) for language in ("de", "sw")})


EXAMPLES: dict[str, Callable[[], Example]] = {
    "classification": lambda: Example(in_two_languages(tiny.nli_rows), tiny.nli_rows("en"), tiny.NLI),
    "tagging": lambda: Example(in_two_languages(tiny.slot_rows), tiny.slot_rows("en"), tiny.TAGS),
    "span_qa": spans,
    "span_qa_mlqa": spans,
    "span_qa_null": spans,
    "multiple_choice": lambda: Example(in_two_languages(choices), choices("en")),
    "mlm": language_model,
    "causal_lm": language_model,
    "span_corruption": language_model,
    "passage_retrieval": passages,
    "retrieval": lambda: translations(tiny.retrieval_rows),
    "retrieval_from_english": lambda: translations(tiny.retrieval_rows),
    "mining": lambda: translations(tiny.mining_rows),
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, Path]:
    """Tiny encoders; only one that writes can be trained to restore spans."""
    folder = tmp_path_factory.mktemp("encoders")
    whole = tiny.write_encoder(folder / "encoder")
    return dict.fromkeys(FORMATS, whole) | {"span_corruption": tiny.write_encoder_decoder(folder / "both")}


def test_every_format_has_an_example():
    assert EXAMPLES.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_keeps_its_promise(name, encoders, tmp_path):
    check_format(FORMATS[name], EXAMPLES[name](), encoders[name], tmp_path / "suite")
