"""Retrieval of translations by the nearest cosine in the other language; the metric is accuracy.

Nothing is trained. Vectors are means of hidden states and are scored for every layer of the encoder.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stilts.tasks.formats.base import UNLIMITED, SearchFormat, get_row
from stilts.tasks.formats.evaluation import ModelUnderTest, Scored, Splits
from stilts.tasks.formats.inputs import Row
from stilts.tasks.formats.official_files import join_lines, read_row_numbers
from stilts.tasks.metrics import score
from stilts.tasks.neighbours import count_nearest, find_nearest

if TYPE_CHECKING:
    from datasets import Dataset, Features

SIDES = ("source_sentence", "target_sentence")


class Retrieval(SearchFormat):
    """Rows `source_sentence`, `target_sentence` (English), `source_lang`, `target_lang`.

    Parameters
    ----------
    name : str
        Name in the registry of formats.
    english_queries : bool
        Whether the English sentences are the queries, as in XTREME's evaluation of Tatoeba; else the foreign ones are.
    """

    group = "retrieval"
    metric = "accuracy"
    rule = "accuracy"
    text_columns = SIDES
    test_columns = SIDES
    searched_sides = 2

    def __init__(self, name: str = "retrieval", *, english_queries: bool = False):
        self.name = name
        self.english_queries = english_queries

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """Two sentences and their languages."""
        from datasets import Features, Value

        return Features(dict.fromkeys((*SIDES, "source_lang", "target_lang"), Value("string")))

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Find the translation of each sentence by cosine, at every hidden layer."""
        tests = {language: splits.data(language) for language in splits.languages}
        model.expect(sum(2 * len(data) for data in tests.values()))
        for group in model.groups({language: 2 * len(data) for language, data in tests.items()}, model.layers):
            texts = {language: tests[language].select_columns(list(SIDES)).to_dict() for language in group}
            for language, by_layer in self._nearest_by_layer(model, texts).items():
                counts = {layer: count_nearest(rows) for layer, rows in by_layer.items()}
                scores = {f"layer_{layer}": score(own) for layer, own in counts.items()}
                yield Scored(language, by_layer[model.layer].astype(str).tolist(), counts[model.layer], scores)

    def _nearest_by_layer(
        self, model: ModelUnderTest, texts: Mapping[str, Mapping[str, list[str]]]
    ) -> dict[str, dict[int, np.ndarray]]:
        """Return language -> layer -> the index row nearest to each query, (queries,)."""
        query, index = reversed(SIDES) if self.english_queries else SIDES
        found: dict[str, dict[int, np.ndarray]] = {language: {} for language in texts}
        every = [text for own in texts.values() for pair in zip(*own.values(), strict=True) for text in pair]
        for layers in model.layer_groups(every):
            vectors = model.vectors(every, layers)
            for language, own in texts.items():
                for layer in layers:
                    found[language][layer], _ = find_nearest(
                        vectors.of(own[query], layer), vectors.of(own[index], layer)
                    )
        return found

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """A sentence and its translation."""
        row = get_row(splits.data(language), place, splits.config(language))
        return {"example": row["source_sentence"], "answer": row["target_sentence"]}

    def english_sentences(self, data: "Dataset") -> list[str]:
        """Return the English side."""
        return list(data["target_sentence"])

    def suite_rows(self, sizes: Mapping[str, int]) -> int:
        """Return the maximum number of pairs in a suite of these sizes."""
        return sizes.get("retrieval", UNLIMITED)

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """The line number in the foreign file that each English sentence found, ordered by the English texts.

        XTREME sorts the English side by code points and keeps the order of the foreign one (utils_preprocess.py).
        """
        numbers = read_row_numbers(rows)
        order = sorted(range(len(predictions)), key=lambda i: (rows[i]["target_sentence"].strip(), numbers[i]))
        return join_lines(str(numbers[int(predictions[i])]) for i in order)
