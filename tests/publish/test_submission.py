"""The leaderboard's folder: read back by the official metrics, it has the scores that the records have."""

import json
import random
from dataclasses import replace
from statistics import mean
from types import SimpleNamespace

import pytest
import tiny
from datasets import Features, Value
from fakes import ORIGIN
from mirror import MIRROR, needs_mirror

from stilts.phases.runner import complete
from stilts.publish import submission
from stilts.publish.submission import MANIFEST, choose, submit
from stilts.sources.hub import load_split
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Table, write_suite
from stilts.sources.xtreme import source
from stilts.sources.xtreme.folder import DataFolder
from stilts.sources.xtreme.official import FOLDERS, TEST_ROWS
from stilts.sources.xtreme.recipes import RECIPES
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.tasks import metrics
from stilts.tasks.formats import CLASSIFICATION, MINING, RETRIEVAL, RETRIEVAL_FROM_ENGLISH, SPAN_QA, TAGGING
from stilts.tasks.registry import get_target
from stilts.workspace.checkout import Checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan, resolve

UPOS = ["NOUN", "NUM", "SYM", "VERB", "X"]
NER = ["O", "B-LOC", "I-LOC"]
TEST = 12  # rows of a test set
TARGETS = list(FOLDERS)
OFFICIAL = {
    target: dict.fromkeys(("de", "sw") if target in ("bucc2018", "tatoeba") else tiny.LANGUAGES, TEST)
    for target in TARGETS
}
OFFICIAL |= {"tatoeba": {"de": 24, "sw": 24}, "udpos": dict.fromkeys(tiny.LANGUAGES), "mlqa": {"en": TEST, "de": TEST}}


def official_rows(target: str, language: str) -> list[dict]:
    """A test set in the order of its official file."""
    if target == "bucc2018":
        return tiny.mining_rows(language)
    if target == "tatoeba":
        return tiny.retrieval_rows(language)
    if target in ("xquad", "mlqa", "tydiqa"):
        return [{**row, "id": f"{language}-{row['id']}"} for row in tiny.qa_rows(language)[:TEST]]
    if target == "xnli":
        return tiny.nli_rows(language)[:TEST]
    if target == "paws-x":
        return [{**row, "sentence2": row["sentence1"][::-1]} for row in tiny.intent_rows(language)[:TEST]]
    rows = tiny.slot_rows(language)[:TEST]
    names = NER if target == "pan-x" else UPOS
    return [{"tokens": row["tokens"], "tags": [(i + tag) % len(names) for i, tag in enumerate(row["tags"])]}
            for row in rows]  # fmt: skip


def layout(target: str):
    """Columns of a target in the suite; those that name rows by number get them in `id`."""
    form, labels, pairs = {
        "xnli": (CLASSIFICATION, tiny.NLI, True),
        "paws-x": (CLASSIFICATION, ["different", "paraphrase"], True),
        "udpos": (TAGGING, UPOS, False),
        "pan-x": (TAGGING, NER, False),
        "bucc2018": (MINING, (), False),
        "tatoeba": (RETRIEVAL, (), False),
    }.get(target, (SPAN_QA, (), False))
    return form.features(labels, pairs=pairs)


def suite_tables(ids: bool = True):
    """The suite: rows in another order than the official one, with what leads back to it."""
    for target in TARGETS:
        columns = layout(target)
        for language in OFFICIAL[target]:
            rows = official_rows(target, language)
            test = columns if "id" in columns or not ids else Features({**columns, "id": Value("int64")})
            numbered = [{"id": number, **row} if "id" in test else row for number, row in enumerate(rows)]
            yield Table(f"{target}.{language}", "test", test, random.Random(target).sample(numbered, len(rows)))
            if target == "bucc2018":
                yield Table(f"{target}.{language}", "validation", columns, rows)
        if target not in ("bucc2018", "tatoeba", "mlqa"):
            for split in ("train", "validation"):
                yield Table(f"{target}.en", split, columns, official_rows(target, "en"))
    for split in ("train", "validation"):
        yield Table("intermediate.mnli.en", split, layout("xnli"), official_rows("xnli", "en"))


def fake_source(ids: bool = True) -> SimpleNamespace:
    def build(folder, request, report=None):
        about = {"fingerprint": "tiny", "notes": {"bucc2018": ["made for a test"]}}
        return write_suite(suite_tables(ids), folder, about, POCKET_CARD)

    return SimpleNamespace(**vars(tiny.SOURCE) | {"fingerprint": lambda *_: "tiny", "build": build})


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A study of all nine targets, done."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "xtreme", lambda folder: fake_source())
        patched.setattr(submission, "TEST_ROWS", OFFICIAL)
        folder = tmp_path_factory.mktemp("submission")
        training = tiny.TRAINING | {"examples": 8, "epochs": 1, "evaluations": 1}
        here = tiny.checkout(
            folder / "checkout", tiny.write_encoder(folder / "encoder"), data={"suite": "xtreme"}, targets=TARGETS,
            intermediates=["mnli"], intermediate_training=training, target_training=training,
            evaluation={"examples": 50},
        )  # fmt: skip
        prepare(open_plan(here, "tiny"))
        plan = open_plan(here, "tiny")
        for run in plan.runs:
            complete(run, plan)
        yield here


@pytest.fixture
def plan(here):
    return open_plan(here, "tiny")


# --- a whole one -----------------------------------------------------------------------------------------------------


def lines(path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def official_score(folder, target: str, language: str) -> float:
    """What the rules of evaluate.py give, from the file and the test set in its official order alone."""
    rows, form = official_rows(target, language), folder / FOLDERS[target]
    if target in ("xquad", "mlqa", "tydiqa"):
        answers = json.loads((form / f"test-{language}.json").read_text(encoding="utf-8"))
        golds = [row["answers"]["text"] for row in rows]
        rule = language if target == "mlqa" else None
        return metrics.score(metrics.count_answers(golds, [answers[row["id"]] for row in rows], rule))
    path = form / f"test-{language}.tsv"
    if target == "bucc2018":
        gold = [(row["id"], row["match"]) for row in rows if row["match"] and row["lang"] == language]
        mined = [tuple(line.split("\t")) for line in lines(path)]
        return metrics.score(metrics.count_mined_pairs(gold, mined))
    if target in ("udpos", "pan-x"):
        names = NER if target == "pan-x" else UPOS
        predicted = [block.split("\n") for block in path.read_text(encoding="utf-8").rstrip("\n").split("\n\n")]
        gold = [[names[tag] for tag in row["tags"]] for row in rows]
        return metrics.score(metrics.count_chunks(gold, predicted))
    if target == "tatoeba":
        english = [row["target_sentence"] for row in rows]
        gold = [str(number) for number in sorted(range(len(rows)), key=lambda number: (english[number], number))]
    else:
        names = {"xnli": tiny.NLI, "paws-x": ["0", "1"]}[target]
        gold = [names[row["label"]] for row in rows]
    return metrics.accuracy(gold, lines(path))


def test_official_metrics_of_the_folder_are_the_scores_of_the_records(here, plan, tmp_path):
    written = submit(plan, tmp_path / "sent")
    assert written.gaps == []
    store = here.store()
    for target, choice in written.choices.items():
        recorded = store.get(choice.run.id).metrics
        assert recorded.keys() == OFFICIAL[target].keys()
        for language, own in recorded.items():
            assert official_score(tmp_path / "sent", target, language) == pytest.approx(own["score"], abs=1e-9)
    suffixes = {target: "json" if target in ("xquad", "mlqa", "tydiqa") else "tsv" for target in TARGETS}
    assert {str(path.relative_to(tmp_path / "sent")) for path in (tmp_path / "sent").rglob("*") if path.is_file()} == {
        MANIFEST, *(f"{FOLDERS[target]}/test-{language}.{suffixes[target]}" for target in TARGETS
                    for language in OFFICIAL[target]),
    }  # fmt: skip


class RightStore:
    """The records of a study as if every prediction were right."""

    def __init__(self, here: Checkout, plan):
        self._whole, self._suite, self._runs = here.store(), here.suite_folder(plan.runs[0]), plan.by_id
        self.find, self.get = self._whole.find, self._whole.get

    def predictions(self, run_id: str):
        task = get_target(self._runs[run_id].target)
        table = self._whole.predictions(run_id)
        right = []
        for language in table["language"].unique():
            data = load_split(self._suite, task.config_for(language), "test")
            right += self._answers(task, data, language)
        return table.assign(prediction=right)

    def _answers(self, task, data, language: str) -> list[str]:
        if task.format == CLASSIFICATION:
            return [data.features["label"].names[row["label"]] for row in data]
        if task.format == TAGGING:
            return [" ".join(data.features["tags"].feature.names[tag] for tag in row["tags"]) for row in data]
        if task.format == RETRIEVAL_FROM_ENGLISH:
            return [str(place) for place in range(len(data))]
        if task.format == MINING:
            return [row["match"] for row in data if row["lang"] == language]
        return [row["answers"]["text"][0] for row in data]


def test_right_predictions_score_everything_in_the_official_order(here, plan, tmp_path):
    right = SimpleNamespace(suite_folder=here.suite_folder, store=lambda: RightStore(here, plan))
    written = submit(replace(plan, checkout=right), tmp_path / "sent")
    for target in TARGETS:
        for language in OFFICIAL[target]:
            assert official_score(tmp_path / "sent", target, language) == 100, (target, language)
    assert written.gaps == []


def test_the_manifest_says_what_was_chosen_and_by_which_rule(here, plan, tmp_path):
    submit(plan, tmp_path / "sent")
    manifest = json.loads((tmp_path / "sent" / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["study"], manifest["whole"], manifest["gaps"]) == ("tiny", True, [])
    assert manifest["rules"] == submission.RULES
    assert manifest["not checked"] == ["udpos: the number of rows, which is not published in this form"]
    xnli = manifest["targets"]["xnli"]
    (target,) = (run for run in plan.runs if (run.phase, run.target) == ("target", "xnli"))
    dev = here.store().get(target.id).metrics["en"]["score"]
    assert (xnli["intermediate task"], xnli["seed"], xnli["parents"]) == ("mnli", 1, [target.id])
    assert (xnli["dev score"], xnli["dev scores"]) == (dev, {"mnli": {"1": dev}})
    assert xnli["score"] == pytest.approx(mean(xnli["scores"].values()))
    assert xnli["metric"] == "accuracy"
    assert manifest["targets"]["udpos"]["metric"] == "F1 over chunks, all of a language together"
    assert manifest["targets"]["udpos"]["chunk rule"] == "seqeval-0.0.12"
    xquad, recorded = manifest["targets"]["xquad"], here.store().get(manifest["targets"]["xquad"]["run"]).metrics
    assert xquad["metric"].startswith("F1 over the words of an answer")
    means = [mean(own[name] for own in recorded.values()) for name in ("score", "exact_match")]
    assert xquad["score"] == pytest.approx(means[0])
    assert xquad["XTREME's score"] == pytest.approx(mean(means))
    of_task = {target: about["XTREME's score"] for target, about in manifest["targets"].items()}
    groups, averages = manifest["averages"]["groups"], manifest["averages"]
    assert groups.keys() == {"classification", "tagging", "question answering", "retrieval"}
    assert groups["question answering"] == pytest.approx(mean(of_task[name] for name in ("xquad", "mlqa", "tydiqa")))
    assert averages["all tasks"] == pytest.approx(mean(of_task.values()))
    assert manifest["targets"]["bucc2018"]["notes"] == ["made for a test"]
    assert manifest["targets"]["mlqa"]["dev scores"] == manifest["targets"]["xquad"]["dev scores"]


def test_averages_are_those_of_evaluate_py():
    """Its own numbers for its mock submission, with the chunks of seqeval 0.0.12."""
    scores = {"paws-x": 51.428571, "xnli": 30.666667, "pan-x": 57.507937, "udpos": 70.217460, "bucc2018": 55.0,
              "tatoeba": 53.611111, "xquad": 78.615702, "mlqa": 69.455782, "tydiqa": 93.055556}  # fmt: skip
    found = submission.average_scores(scores)
    assert found["groups"] == pytest.approx(
        {"classification": 41.047619, "tagging": 63.862698, "question answering": 80.375680, "retrieval": 54.305556}
    )
    assert found["all tasks"] == pytest.approx(62.173199)
    without = submission.average_scores({name: score for name, score in scores.items() if name != "mlqa"})
    assert (without["groups"]["question answering"], without["all tasks"]) == (None, None)
    assert without["groups"]["tagging"] == found["groups"]["tagging"]


# --- one that is not whole -------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_listed_and_nothing_written(here, plan, tmp_path, monkeypatch):
    more = {**OFFICIAL, "xnli": {**OFFICIAL["xnli"], "ur": 5010}, "paws-x": dict.fromkeys(tiny.LANGUAGES, 2000)}
    monkeypatch.setattr(submission, "TEST_ROWS", more)
    fewer = plan.study.model_copy(update={"targets": tuple(name for name in TARGETS if name != "pan-x")})
    with pytest.raises(StiltsError) as raised:
        submit(replace(plan, study=fewer), tmp_path / "sent")
    short = "12 rows in the suite, 2,000 in the official test set (data.sizes, or the data folder)"
    assert str(raised.value).splitlines() == [
        "the submission would be incomplete:",
        "- xnli, ur: no predictions",
        *(f"- paws-x, {language}: {short}" for language in tiny.LANGUAGES),
        "- pan-x: not among the targets of study 'tiny'",
        "Use --partial to write what exists.",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_partial_one_holds_what_is_there_and_says_what_is_not(here, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "TEST_ROWS", {**OFFICIAL, "xnli": {**OFFICIAL["xnli"], "ur": 5010}})
    submit(plan, tmp_path / "sent", partial=True)
    manifest = json.loads((tmp_path / "sent" / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["whole"], manifest["gaps"]) == (False, ["xnli, ur: no predictions"])
    assert manifest["targets"]["xnli"]["XTREME's score"] is None
    assert (manifest["averages"]["groups"]["classification"], manifest["averages"]["all tasks"]) == (None, None)
    assert manifest["averages"]["groups"]["retrieval"] is not None
    assert len(list((tmp_path / "sent" / "xnli").iterdir())) == 3


def test_a_cut_evaluation_is_no_whole_test_set(here, plan):
    cut = replace(plan, checkout=SimpleNamespace(store=lambda: CutStore(here)))
    gaps = submission.collect(cut, plan.suite_folder).gaps
    assert "xnli, de: 5 predictions for the 12 rows of the suite (evaluation.examples cuts them)" in gaps
    assert "bucc2018, sw: 5 predictions for the 18 rows of the suite (evaluation.examples cuts them)" in gaps


class CutStore:
    """The records of a study with only the first five predictions of each language."""

    def __init__(self, here: Checkout):
        self._whole = here.store()
        self.find, self.get = self._whole.find, self._whole.get

    def predictions(self, run_id: str):
        return self._whole.predictions(run_id).groupby("language", observed=True).head(5)


def test_a_suite_with_holes_or_without_ids_is_no_whole_test_set(here, plan, tmp_path):
    holed = tmp_path / "holed"
    tables = [table for table in suite_tables() if table.split == "test"]
    for number, table in enumerate(tables):
        if table.config.startswith("udpos"):
            rows = [{**row, "id": TEST if row["id"] == 3 else row["id"]} for row in table.rows]
            tables[number] = table._replace(rows=rows)
    write_suite(tables, holed, {"fingerprint": "x"}, POCKET_CARD)
    gaps = submission.collect(plan, holed).gaps
    assert "udpos, de: 1 rows before the last one are not in the suite (data.sizes, or the data folder)" in gaps
    write_suite(suite_tables(ids=False), tmp_path / "old", {"fingerprint": "x"}, POCKET_CARD)
    collected = submission.collect(plan, tmp_path / "old")
    lacking = "the suite does not say where a row stands in the official file (no column 'id'); build it again"
    assert f"tatoeba, de: {lacking}" in collected.gaps
    assert {path.partition("/")[0] for path in collected.files} == {"xquad", "mlqa", "tydiqa", "bucc2018"}


def test_treebanks_as_the_hub_has_them_are_not_the_official_ones(here, plan, tmp_path):
    about = {"fingerprint": "x", "sources": {"google/xtreme/udpos.German/test": {"rows": 977, "published": 977}}}
    write_suite(suite_tables(), tmp_path / "hub", about, POCKET_CARD)
    gaps = submission.collect(plan, tmp_path / "hub").gaps
    assert [gap for gap in gaps if gap.startswith("udpos")] == [f"udpos: {submission.HUB_TREEBANKS}"]


@pytest.mark.parametrize("problem", ["suite", "folder", "unprepared"])
def test_what_cannot_be_submitted_is_said(here, plan, tmp_path, problem):
    study, folder = plan.study, tmp_path / "sent"
    if problem == "suite":
        study = study.model_copy(update={"data": study.data.model_copy(update={"suite": "pocket"})})
        message = "study 'tiny' uses suite 'pocket'"
    elif problem == "folder":
        folder.mkdir()
        message = "sent already exists"
    else:
        plan = replace(plan, checkout=Checkout(here.root, runs=tmp_path / "runs"))
        message = "`stilts prepare tiny` builds it"
    with pytest.raises(StiltsError, match=message):
        submit(replace(plan, study=study), folder)


def test_a_folder_that_cannot_be_written_leaves_nothing(here, plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StiltsError, match="cannot write submission"):
        submit(plan, tmp_path / "file" / "sent")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- the choice ------------------------------------------------------------------------------------------------------


def chosen(here, scores: dict[tuple[str, str, int], float], target: str):
    """The choice for a target from dev scores by (condition, target, seed), of a study with two seeds."""
    study = here.study("tiny").model_copy(update={"intermediates": ("none", "mnli", "qqp"), "seeds": (1, 2)})
    plan = resolve(study, here)
    records = {
        run.id: Record(run=run, metrics={"en": {"score": value}}, provenance=ORIGIN)
        for run in plan.runs
        if (value := scores.get((run.condition, run.target, run.seed))) is not None and run.phase == "target"
    }
    choice = choose(plan, records, target)
    return choice and (choice.run.phase, choice.run.target, choice.run.condition, choice.run.seed)


def test_the_best_mean_over_seeds_wins_and_then_its_best_seed(here):
    scores = {("mnli", "xnli", 1): 90, ("mnli", "xnli", 2): 50, ("qqp", "xnli", 1): 71, ("qqp", "xnli", 2): 72}
    assert chosen(here, scores, "xnli") == ("zero-shot", "xnli", "qqp", 2)


def test_no_intermediate_task_does_not_stand_for_choice_unless_it_is_alone(here):
    alone = {("none", "xnli", 1): 99}
    assert chosen(here, alone | {("qqp", "xnli", 1): 1}, "xnli") == ("zero-shot", "xnli", "qqp", 1)
    assert chosen(here, alone, "xnli") == ("zero-shot", "xnli", "none", 1)


def test_of_equal_scores_the_first_of_the_study_is_taken(here):
    scores = {(condition, "xnli", seed): 70 for condition in ("qqp", "mnli") for seed in (2, 1)}
    assert chosen(here, scores, "xnli") == ("zero-shot", "xnli", "mnli", 1)


def test_mlqa_is_chosen_as_xquad_whose_model_it_shares(here):
    assert chosen(here, {("mnli", "xquad", 2): 70}, "mlqa") == ("zero-shot", "mlqa", "mnli", 2)


def test_targets_without_training_go_by_the_mean_of_those_with(here):
    scores = {("mnli", "xnli", 1): 60, ("mnli", "udpos", 1): 60, ("qqp", "xnli", 1): 50, ("qqp", "udpos", 1): 90}
    assert chosen(here, scores, "tatoeba") == ("zero-shot", "tatoeba", "qqp", 1)
    assert chosen(here, scores | {("qqp", "xnli", 1): None}, "bucc2018") == ("zero-shot", "bucc2018", "mnli", 1)
    assert chosen(here, {}, "tatoeba") is None


def test_counts_of_the_official_sets_are_those_of_the_paper():
    languages = {target: len(rows) for target, rows in TEST_ROWS.items()}
    assert languages == {
        "xnli": 15, "paws-x": 7, "udpos": 33, "pan-x": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9, "bucc2018": 4,
        "tatoeba": 36,
    }  # fmt: skip
    assert sum(TEST_ROWS["tydiqa"].values()) == 5077
    assert sum(TEST_ROWS["xnli"].values()) == 75150


# --- the suite itself ------------------------------------------------------------------------------------------------


@needs_mirror
def test_rows_of_the_suite_lead_back_to_the_publishers_order():
    data = DataFolder(MIRROR)
    for piece in (*RECIPES["tatoeba"].make(data, ["de"]), *RECIPES["paws-x"].make(data, ["de"])):
        if piece.split != "test":
            continue
        published = piece.rows.to_pylist()
        rows = source._some_rows(source._numbered(piece), source.Sizes(test=50, retrieval=50), 0).to_pylist()
        assert len(rows) == 50
        assert [published[row["id"]] for row in rows] == [{k: row[k] for k in published[0]} for row in rows]
        assert [row["id"] for row in rows] != sorted(row["id"] for row in rows)
