"""Mining of translations: which sentences of two corpora are pairs, by the margin of their cosines; F1 over pairs.

Nothing is trained. The threshold is the one with the best F1 on the language's dev split.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.formats.base import UNLIMITED, SearchFormat, row_at
from stilts.tasks.formats.evaluation import ModelUnderTest, Scored, SentenceVectors, Splits
from stilts.tasks.formats.inputs import Row
from stilts.tasks.formats.official_files import join_lines
from stilts.tasks.metrics import mining_counts
from stilts.tasks.neighbours import Candidate, best_threshold, mine, select

if TYPE_CHECKING:
    from datasets import Dataset, Features


class Mining(SearchFormat):
    """Rows `id`, `sentence`, `lang`, `match` (ids of the partners of a foreign sentence, joined by spaces)."""

    name = "mining"
    group = "retrieval"
    metric = "F1"
    rule = "F1 over pairs"
    text_columns = ("sentence",)
    test_columns = ("id", "sentence", "lang", "match")
    searched_sides = 1
    numbered = False

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """A sentence, its language, and its partners."""
        from datasets import Features, Value

        return Features(dict.fromkeys(self.test_columns, Value("string")))

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Mine the pairs of each language's test set with the threshold that is best on its dev set."""
        data = {
            (language, split): splits.data(language, split)
            for language in splits.languages
            for split in ("validation", "test")
        }
        sizes = {key: len(rows) for key, rows in data.items()}
        model.expect(sum(sizes.values()))
        thresholds: dict[str, float] = {}
        for group in model.groups(sizes, [model.layer]):
            rows = {key: data[key].to_list() for key in group}
            vectors = model.vectors([row["sentence"] for own in rows.values() for row in own], [model.layer])
            for (language, split), own in rows.items():
                candidates, gold, sources = mine_candidates(own, language, vectors, model.layer)
                if split == "validation":
                    thresholds[language] = best_threshold(candidates, gold).threshold
                    continue
                pairs = select(candidates, thresholds[language])
                counts = mining_counts(gold, pairs, sources)
                yield Scored(language, join_partners(pairs, sources), counts, {"threshold": thresholds[language]})

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """A foreign sentence with its first partner."""
        data = splits.data(language)
        sentences = dict(zip(data["id"], data["sentence"], strict=True))
        matched = [row for row in self.asked_rows(data, language) if row["match"]]
        row = row_at(matched, place, splits.config(language))
        return {"example": row["sentence"], "answer": sentences[row["match"].split()[0]]}

    def suite_rows(self, sizes: Mapping[str, int]) -> int:
        """Return how many sentences a suite of these sizes holds at most: two splits of pairs and of as many others."""
        return 8 * sizes.get("mining", UNLIMITED)

    def asked_rows(self, data: "Dataset", language: str) -> list[Row]:
        """Return the foreign sentences."""
        return [row for row in data.to_list() if row["lang"] == language]

    def english_sentences(self, data: "Dataset") -> list[str]:
        """Return the sentences of the English side."""
        return [row["sentence"] for row in data.to_list() if row["lang"] == SOURCE_LANGUAGE]

    def true_pairs(self, data: "Dataset", language: str) -> int:
        """Return the pairs that a test set hides."""
        return sum(len(row["match"].split()) for row in self.asked_rows(data, language))

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """The ids of one pair a line."""
        found = zip(rows, predictions, strict=False)
        return join_lines(sorted(f"{row['id']}\t{partner}" for row, partners in found for partner in partners.split()))


def mine_candidates(rows: Sequence[dict], language: str, vectors: SentenceVectors, layer: int):
    """Return mined candidates by sentence id, the gold pairs, and all foreign ids.

    A sentence that a side has several times is mined once, as XTREME's mine_bitext does (utils_retrieve.py), since its
    copies would take each other's place among the neighbours and in the pairs. A pair of sentences then stands for all
    pairs of their ids, as in jiant; XTREME leaves such pairs out, and so loses those that are right.
    """
    foreign, english = (_ids_by_sentence(rows, side) for side in (language, SOURCE_LANGUAGE))
    mined = mine(vectors.of(list(foreign), layer), vectors.of(list(english), layer))
    sources, targets = list(foreign.values()), list(english.values())
    named = [
        Candidate(source, target, candidate.score)
        for candidate in mined
        for source in sources[candidate.source]
        for target in targets[candidate.target]
    ]
    own = [row for row in rows if row["lang"] == language]
    gold = {(row["id"], partner) for row in own for partner in row["match"].split()}
    return named, gold, [row["id"] for row in own]


def _ids_by_sentence(rows: Iterable[dict], language: str) -> dict[str, list[str]]:
    """Return the different sentences of a language in the order of their first rows, and the ids of each."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row["lang"] == language:
            ids.setdefault(row["sentence"], []).append(row["id"])
    return ids


def join_partners(pairs: Iterable[tuple[str, str]], sources: Sequence[str]) -> list[str]:
    """Return the partners that were found for each source, joined by spaces; "" where there is none."""
    found: dict[str, list[str]] = {source: [] for source in sources}
    for source, target in sorted(pairs):
        found[source].append(target)
    return [" ".join(found[source]) for source in sources]
