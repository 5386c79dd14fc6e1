"""Three good rows of every file that the recipes of the suite "xtreme" read, as the Hub has them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stilts.sources.xtreme.folder import DataFolder
from stilts.sources.xtreme.recipes import BY_SOURCE, FAMILIES, RECIPES
from stilts.study.errors import StiltsError

COUNT = 3
NLI = ("entailment", "neutral", "contradiction")


def times(make) -> list[dict]:
    return [make(number) for number in range(COUNT)]


def nli(number: int) -> dict:
    return {"premise": f"premise {number}", "hypothesis": f"hypothesis {number}", "label": number}


def named_nli(number: int) -> dict:
    return {"language": ("en", "de", "de")[number], "sentence1": f"a {number}", "sentence2": f"b {number}",
            "gold_label": NLI[number]}  # fmt: skip


def paraphrase(number: int) -> dict:
    return {"sentence1": f"a {number}", "sentence2": f"b {number}", "label": str(number % 2)}


def question(number: int) -> dict:
    return {"id": f"q{number}", "context": f"It was in {number}.", "question": "When?",
            "answers": {"text": [str(number)], "answer_start": [10]}}  # fmt: skip


def tydiqa_test(number: int) -> dict:
    return {**question(number), "id": f"english-{number}"}


def tydiqa(number: int) -> dict:
    return {**tydiqa_test(number), "title": f"title {number}"}


def tagged(column: str):
    return lambda number: {"tokens": ["Anna", f"sang {number}"], column: [1, 0]}


def pair(number: int) -> dict:
    return {"source_sentence": f"Satz {number}", "target_sentence": f"Sentence {number}",
            "source_lang": f"de-{number}", "target_lang": f"en-{number}"}  # fmt: skip


def sentences(number: int) -> dict:
    return {name: text for name, text in pair(number).items() if name.endswith("_sentence")}


def copa(number: int) -> dict:
    return {"premise": "It fell.", "choice1": "x", "choice2": "y", "question": "cause", "label": number % 2}


def qqp(number: int) -> dict:
    return {"question1": "a", "question2": "b", "label": number % 2}


def hellaswag(number: int) -> dict:
    return {"ctx_a": "He sat.", "ctx_b": "He", "endings": ["a", "b", "c", "d"], "label": str(number)}


def cosmosqa(number: int) -> dict:
    return {"context": "c", "question": "q", **{f"answer{i}": f"a{i}" for i in range(4)}, "label": number}


def commonsenseqa(number: int) -> dict:
    choices = {"label": ["A", "B", "C", "D", "E"], "text": ["v", "w", "x", "y", "z"]}
    return {"question": f"q{number}", "choices": choices, "answerKey": "B"}


def siqa(number: int) -> dict:
    return {"context": "c", "question": "q", "answerA": "x", "answerB": "y", "answerC": "z", "label": str(number + 1)}


def entity_pair(number: int) -> dict:
    return {"mention": f"Bonn: {{ Bonn }} {number}", "entity": f"Bonn {number}"}


def mention(number: int) -> dict:
    return {"mention": f"Bonn: {{ Bonn }} {number}", "entity_id": f"Q{number}", "example_id": f"x{number}"}


def entity(number: int) -> dict:
    return {"entity_id": f"Q{number}", "description": f"Bonn {number}", "description_language": "de"}


def _splits(place: str, make, splits=("train", "validation")) -> dict[str, list[dict]]:
    return {f"{place}/{split}": times(make) for split in splits}


_MNLI = _splits("nyu-mll/glue/mnli", nli, ("train", "validation_matched"))
_SQUAD = _splits("rajpurkar/squad/plain_text", question)
_XNLI_DEV = {"google/xtreme/XNLI/validation": times(named_nli)}
_TYDIQA = _splits("google/xtreme/tydiqa", tydiqa, ("train",))
_TRANSLATED = _splits("juletxara/xquad_xtreme/de", question, ("translate_train", "translate_dev"))
_PANX, _UDPOS = tagged("ner_tags"), tagged("pos_tags")
_TOKENS = [{"tokens": row["tokens"]} for row in times(_PANX)]
_UNLABELLED = {
    place: [{name: value for name, value in row.items() if name != "gold_label"} for row in rows]
    for place, rows in {**_XNLI_DEV, "google/xtreme/PAN-X.de/train": _TOKENS}.items()
}

# Task -> place -> rows. A file has no column that its recipe does not read. English and German are asked for.
_WHOLE = {
    "xnli": {**_MNLI, "google/xtreme/XNLI/test": times(named_nli)},
    "paws-x": {**_splits("google/xtreme/PAWS-X.en", paraphrase), "google/xtreme/PAWS-X.de/test": times(paraphrase)},
    "udpos": {**_splits("google/xtreme/udpos.English", _UDPOS), "google/xtreme/udpos.German/test": times(_UDPOS)},
    "pan-x": {**_splits("google/xtreme/PAN-X.en", _PANX), "google/xtreme/PAN-X.de/test": times(_PANX)},
    "xquad": {**_SQUAD, "google/xtreme/XQuAD.de/validation": times(question)},
    "mlqa": {"google/xtreme/MLQA.de.de/test": times(question)},
    "tydiqa": {**_TYDIQA, "google/xtreme/tydiqa/validation": times(tydiqa_test)},
    "bucc2018": _splits("google/xtreme/bucc18.de", pair, ("validation", "test")),
    "tatoeba": {"google/xtreme/tatoeba.deu/validation": times(sentences)},
    "xcopa": {**_splits("aps/super_glue/copa", copa), "cambridgeltl/xcopa/it/test": times(copa)},
    "lareqa": {**_SQUAD, "google-research-datasets/xquad_r/de/validation": times(question)},
    "mewsli-x": {
        **_splits("izhx/mewsli-x/wikipedia_pairs", entity_pair),
        "izhx/mewsli-x/de/test": times(mention), "izhx/mewsli-x/candidate_entities/test": times(entity),
    },
    "anli": {
        f"facebook/anli/plain_text/{split}_r{number}": times(nli) for split in ("train", "dev") for number in (1, 2, 3)
    },
    "mnli": _MNLI,
    "qqp": _splits("nyu-mll/glue/qqp", qqp),
    "squad": _SQUAD,
    "squad2": _splits("rajpurkar/squad_v2/squad_v2", question),
    "hellaswag": _splits("Rowan/hellaswag/data", hellaswag),
    "cosmosqa": _splits("allenai/cosmos_qa/data", cosmosqa),
    "commonsenseqa": _splits("tau/commonsense_qa/data", commonsenseqa),
    "siqa": _splits("allenai/social_i_qa/data", siqa),
    "mlm": _UNLABELLED,
    "mnli-translated": {"facebook/xnli/de/train": times(nli)},
    "squad-translated": _TRANSLATED,
    "xnli-dev-translated": _XNLI_DEV,
}  # fmt: skip
_FAMILIES = {"text": {"wikimedia/wikipedia/20231101.de/train": [{"text": "x" * 50} for _ in range(COUNT)]}}
_BY_SOURCE = {
    "mnli": _splits("facebook/xnli/de", nli),
    "squad": _TRANSLATED,
    "xnli-dev": _XNLI_DEV,
    "paws-x-train": _splits("google/xtreme/PAWS-X.de", paraphrase),
    "xquad-test": {"google/xtreme/XQuAD.de/validation": times(question)},
    "tydiqa-train": {**_TYDIQA, "google/xtreme/tydiqa/validation": times(lambda number: {"title": f"test {number}"})},
    "pan-x-train": _splits("google/xtreme/PAN-X.de", _PANX),
    "udpos-train": _splits("google/xtreme/udpos.German", _UDPOS),
}
KINDS = {"whole": RECIPES, "family": FAMILIES, "by source": BY_SOURCE}
FILES = {"whole": _WHOLE, "family": _FAMILIES, "by source": _BY_SOURCE}  # kind of recipe -> task -> place -> rows


def path_of(root: Path, place: str) -> Path:
    """Where the one file of a place, ``owner/name/config/split``, stands."""
    config, _, split = place.rpartition("/")
    return root / config / f"{split}-00000-of-00001.parquet"


def put(root: Path, place: str, rows: "list[dict] | pa.Table") -> Path:
    """Write the one file of a place."""
    path = path_of(root, place)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), path)
    return path


def put_all(kind: str, task: str, root: Path) -> None:
    """Write all files of a recipe."""
    for place, rows in FILES[kind][task].items():
        put(root, place, rows)


def make(kind: str, task: str, root: Path) -> dict[tuple[str, str], list[dict]]:
    """All rows that a recipe makes of a folder, by config and split."""
    languages = ["en" if task == "tydiqa-train" else "de"] if kind == "by source" else ["en", "de", "it"]
    made = KINDS[kind][task].make(DataFolder(root), languages)
    return {(piece.config, piece.split): piece.rows.to_pylist() for piece in made}


def outcome(work: Callable[[], object]) -> str:
    """What a user is told."""
    try:
        work()
        return "nothing"
    except StiltsError as error:
        return str(error)
    except Exception as error:
        return f"raw {error!r}"
