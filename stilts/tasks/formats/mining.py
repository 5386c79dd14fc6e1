"""Mining of translation pairs in two corpora by the margin of their cosines; the metric is F1 over pairs.

Nothing is trained. The threshold is the one with the best F1 on the language's dev split.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.formats.base import UNLIMITED, SearchFormat, get_row
from stilts.tasks.formats.evaluation import ModelUnderTest, Scored, SentenceVectors, Splits
from stilts.tasks.formats.inputs import Row
from stilts.tasks.formats.official_files import join_lines
from stilts.tasks.metrics import count_mined_pairs
from stilts.tasks.neighbours import Candidate, find_best_threshold, mine, select

if TYPE_CHECKING:
    from datasets import Dataset, Features


class Mining(SearchFormat):
    """Rows `id`, `sentence`, `lang`, `match` (ids of a foreign sentence's translations, joined by spaces)."""

    name = "mining"
    group = "retrieval"
    metric = "F1"
    rule = "F1 over pairs"
    text_columns = ("sentence",)
    test_columns = ("id", "sentence", "lang", "match")
    searched_sides = 1
    numbered = False

    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """A sentence, its language, and its translations."""
        from datasets import Features, Value

        return Features(dict.fromkeys(self.test_columns, Value("string")))

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Mine the pairs of each language's test set with the best threshold on its dev set."""
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
                    thresholds[language] = find_best_threshold(candidates, gold).threshold
                    continue
                pairs = select(candidates, thresholds[language])
                counts = count_mined_pairs(gold, pairs, sources)
                yield Scored(language, join_partners(pairs, sources), counts, {"threshold": thresholds[language]})

    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """A foreign sentence with its first translation."""
        data = splits.data(language)
        sentences = dict(zip(data["id"], data["sentence"], strict=True))
        matched = [row for row in self.asked_rows(data, language) if row["match"]]
        row = get_row(matched, place, splits.config(language))
        return {"example": row["sentence"], "answer": sentences[row["match"].split()[0]]}

    def suite_rows(self, sizes: Mapping[str, int]) -> int:
        """Return the maximum number of sentences: two splits, each with pairs and as many unpaired sentences."""
        return 8 * sizes.get("mining", UNLIMITED)

    def asked_rows(self, data: "Dataset", language: str) -> list[Row]:
        """Return the foreign sentences."""
        return [row for row in data.to_list() if row["lang"] == language]

    def english_sentences(self, data: "Dataset") -> list[str]:
        """Return the sentences of the English side."""
        return [row["sentence"] for row in data.to_list() if row["lang"] == SOURCE_LANGUAGE]

    def true_pairs(self, data: "Dataset", language: str) -> int:
        """Return the number of gold pairs in a test set."""
        return sum(len(row["match"].split()) for row in self.asked_rows(data, language))

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """The ids of one pair per line."""
        found = zip(rows, predictions, strict=False)
        return join_lines(sorted(f"{row['id']}\t{partner}" for row, partners in found for partner in partners.split()))


def mine_candidates(
    rows: Sequence[dict], language: str, vectors: SentenceVectors, layer: int
) -> tuple[list[Candidate], set[tuple[str, str]], list[str]]:
    """Return mined candidates by sentence id, the gold pairs, and all foreign ids.

    A repeated sentence is mined once, as in XTREME's mine_bitext (utils_retrieve.py), since its copies would compete
    with each other. A mined pair then yields all pairs of the sentences' ids, as in jiant; XTREME drops these, and
    with them correct ones.
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
    """Return the distinct sentences of a language in the order of their first rows -> their ids."""
    ids: dict[str, list[str]] = {}
    for row in rows:
        if row["lang"] == language:
            ids.setdefault(row["sentence"], []).append(row["id"])
    return ids


def join_partners(pairs: Iterable[tuple[str, str]], sources: Sequence[str]) -> list[str]:
    """Return the targets found for each source, joined by spaces; "" if there are none."""
    found: dict[str, list[str]] = {source: [] for source in sources}
    for source, target in sorted(pairs):
        found[source].append(target)
    return [" ".join(found[source]) for source in sources]
