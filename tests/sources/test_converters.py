"""The same files give the same rows of every task for as long as the suite's VERSION stays."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stilts.sources.hub import list_configs, load_split
from stilts.sources.suite import Request
from stilts.sources.xtreme import Suite, source
from stilts.sources.xtreme.recipes import BY_SOURCE, FAMILIES, RECIPES

COUNT = 60
TRAINED = ("train", "validation")
VERSION = 2
# A digest of the rows of each task.
ROWS = {
    "anli": "ebbd08cf", "bucc2018": "4280770f", "ccg": "11e35e33", "commonsenseqa": "ce3f8ec8", "cosmosqa": "8362ec71",
    "hellaswag": "e106a233", "lareqa": "2cc4741e", "mewsli-x": "aee4e83c", "mlm": "06ea1969", "mlqa": "63254b49",
    "mnli": "28f3ad6c", "mnli-translated": "2e909e3b", "pan-x": "a0c1fb83", "pan-x-train": "37723a36",
    "paws-x": "a4563ff8", "paws-x-train": "c5aa8a1a", "qqp": "87187bf5", "siqa": "76358429", "squad": "795adedf",
    "squad-translated": "00e0611b", "squad2": "77bd2124", "tatoeba": "8ad46885", "text": "89615506",
    "tydiqa": "26ba13fb", "tydiqa-train": "dfdcc536", "udpos": "40e3e068", "udpos-train": "91d03baa",
    "xcopa": "c7fc297b", "xnli": "d1862ec5", "xnli-dev": "092e0c46", "xnli-dev-translated": "44c989fa",
    "xquad": "8e3ddf5d", "xquad-test": "8613d154",
}  # fmt: skip


def numbered(row):
    return [row(i) for i in range(COUNT)]


def qa(i, name="q"):
    context = f"Paragraph {i // 4} says {i}. It was {name} J. Smith on the {i}th. And so on."
    answers = {"text": [f"{name} J."], "answer_start": [context.index(f"{name} J.")]}
    return {"id": f"{name}-{i}-0", "title": f"t{i // 3}", "context": context, "question": f"{i}?", "answers": answers}


def nli(i):
    return {"premise": f"p{i // 3}", "hypothesis": f"h{i}", "label": i % 3}


def named_nli(language, i):
    labels = ("entailment", "neutral", "contradiction")
    return {"language": language, "sentence1": f"{language}{i // 3}", "sentence2": f"{i}", "gold_label": labels[i % 3]}


def pair(i):
    sides = {"source_sentence": "s{}\n", "target_sentence": "t{}\n", "source_lang": "a-{}", "target_lang": "b-{}"}
    return {name: text.format(i) for name, text in sides.items()}


def copa(i):
    asked = ("cause", "effect")[i % 2]
    return {"premise": f"p{i}", "choice1": f"x{i}", "choice2": f"y{i}", "question": asked, "label": i % 2}


def chosen(i, *names):
    return {"context": f"c{i}", "question": f"q{i}", **{name: f"{name} {i}" for name in names}}


def csqa(i):
    choices = {"label": list("ABCDE"), "text": [f"{letter}{i}" for letter in "vwxyz"]}
    return {"question": f"q{i}", "choices": choices, "answerKey": "ABCDE"[i % 5]}


def tagged(column, i):
    return {"tokens": [f"w{i}", "and", f"x{i}"], column: [i % 7, 0, (i + 1) % 7]}


def places():
    """Yield every place of the Hub that a recipe reads, in two languages, with rows."""
    for split in TRAINED:
        matched = {"train": "train", "validation": "validation_matched"}[split]
        yield f"nyu-mll/glue/mnli/{matched}", numbered(nli)
        yield f"stanfordnlp/snli/plain_text/{split}", numbered(lambda i: {**nli(i), "label": i % 4 - 1})
        yield f"nyu-mll/glue/qqp/{split}", numbered(lambda i: {"question1": f"a{i}", "question2": "b", "label": i % 2})
        yield f"facebook/xnli/de/{split}", numbered(nli)
        yield f"rajpurkar/squad/plain_text/{split}", numbered(lambda i: qa(i, "squad"))
        unanswered = {**qa(COUNT, "none"), "answers": {"text": [], "answer_start": []}}
        yield f"rajpurkar/squad_v2/squad_v2/{split}", [*numbered(lambda i: qa(i, "two")), unanswered]
        tydiqa = [qa(i, name) for name in ("english", "korean") for i in range(COUNT)]
        yield f"google/xtreme/tydiqa/{split}", [{**row, "title": f"{split[:i % 9]}{row['title']}"}
                                                for i, row in enumerate(tydiqa)]  # fmt: skip
        ending = {"train": "train", "validation": "dev"}[split]
        yield f"juletxara/xquad_xtreme/de/translate_{ending}", numbered(lambda i: qa(i, "translated"))
        yield f"Rowan/hellaswag/data/{split}", numbered(lambda i: {
            "ctx_a": f"a{i}", "ctx_b": "He", "endings": [f"{n}{i}" for n in "wxyz"], "label": str(i % 4)})  # fmt: skip
        yield f"allenai/cosmos_qa/data/{split}", numbered(
            lambda i: {**chosen(i, "answer0", "answer1", "answer2", "answer3"), "label": i % 4})  # fmt: skip
        yield f"tau/commonsense_qa/data/{split}", numbered(csqa)
        yield f"allenai/social_i_qa/data/{split}", numbered(
            lambda i: {**chosen(i, "answerA", "answerB", "answerC"), "label": str(i % 3 + 1)})  # fmt: skip
        yield f"aps/super_glue/copa/{split}", numbered(copa)
        yield f"izhx/mewsli-x/wikipedia_pairs/{split}", numbered(lambda i: {"mention": f"m{i}", "entity": f"e{i}"})
    for number in (1, 2, 3):
        yield f"facebook/anli/plain_text/train_r{number}", numbered(nli)
        yield f"facebook/anli/plain_text/dev_r{number}", numbered(nli)
    for split in ("validation", "test"):
        yield f"google/xtreme/XNLI/{split}", [named_nli(name, i) for name in ("de", "en", "th") for i in range(COUNT)]
        yield f"google/xtreme/bucc18.de/{split}", numbered(pair)
    for language, name in (("en", "English"), ("de", "German")):
        for split in (*TRAINED, "test"):
            yield f"google/xtreme/PAWS-X.{language}/{split}", numbered(
                lambda i: {"sentence1": f"a{i}", "sentence2": f"b{i}", "label": str(i % 2)})  # fmt: skip
            yield f"google/xtreme/PAN-X.{language}/{split}", numbered(lambda i: tagged("ner_tags", i))
            yield f"google/xtreme/udpos.{name}/{split}", numbered(lambda i: tagged("pos_tags", i))
        yield f"google/xtreme/XQuAD.{language}/validation", numbered(lambda i: qa(i, "xquad"))
        yield f"google-research-datasets/xquad_r/{language}/validation", numbered(lambda i: qa(i, "xquad"))
        yield f"google/xtreme/MLQA.{language}.{language}/test", numbered(lambda i: qa(i, "mlqa"))
        yield f"izhx/mewsli-x/{language}/test", numbered(lambda i: {"mention": f"m{i}", "entity_id": f"Q{i}"})
    yield "izhx/mewsli-x/candidate_entities/test", numbered(lambda i: {"entity_id": f"Q{i}", "description": f"d{i}"})
    yield "google/xtreme/tatoeba.deu/validation", numbered(pair)
    yield "cambridgeltl/xcopa/th/test", numbered(copa)


FUSED = "1-2\tdel\t{0}\n1\tde\t_\tADP\t_\t_\t3{1}\n2\tel\t_\tDET\t_\t_\t3{1}\n3\tmar{2}\t_\tNOUN\t_\t_\t0{1}\n\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A suite of all these, with few rows of each."""
    root = tmp_path_factory.mktemp("converters") / "data"
    for place, rows in places():
        path = root / f"{place}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    treebank = root / "universal-dependencies" / "UD_Thai-PUD" / "th_pud-ud-test.conllu"
    tagged_words = root / "ccg" / "train.tsv"
    for path in (treebank, tagged_words):
        path.parent.mkdir(parents=True)
    treebank.write_text("".join(FUSED.format("\t".join("_" * 8), "\t_\t_\t_", i) for i in range(COUNT)))
    tagged_words.write_text("".join(f"He{i}\tNP\nsat\tS\\NP\n\n" for i in range(COUNT)))
    (root / "ccg" / "validation.tsv").write_text("She\tNP\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root.parent / "cache"))
        sizes = {"train": 9, "intermediate_train": 9, "validation": 4, "test": 6, "retrieval": 5, "mining": 5}
        request = Request(0, sizes, ["de", "ko", "th"], ["de", "ko"], list(FAMILIES))
        return Suite(root).build(root.parent / "suite", request, report=lambda line: None)


def test_converters_give_the_rows_that_their_version_names(made):
    digests = {}
    for config, splits in list_configs(made).items():
        task = config.removeprefix("intermediate.").partition(".")[0]
        rows = {split: load_split(made, config, split).to_list() for split in splits}
        text = json.dumps([config, rows], sort_keys=True)
        digests.setdefault(task, hashlib.sha256()).update(text.encode())
    found = {task: digest.hexdigest()[:8] for task, digest in sorted(digests.items())}
    assert found.keys() == {*RECIPES, *BY_SOURCE, *FAMILIES}
    changed = sorted(task for task in found if found[task] != ROWS.get(task))
    assert (source.VERSION, changed) == (VERSION, []), (
        f"the same files give other rows of {', '.join(changed) or 'nothing'}: raise VERSION in "
        f"stilts/sources/xtreme/source.py, and write here what they give now: {found}"
    )
