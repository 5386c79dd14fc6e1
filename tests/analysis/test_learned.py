"""The page of answers and the questions' rows of the ledger, on the committed records."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from stilts.analysis.gain_tables import list_titles
from stilts.analysis.questions import learned
from stilts.analysis.questions.testing import make_untested
from stilts.analysis.verdicts import Verdict
from stilts.analysis.wording import WAY_TITLES, replace_marked_ids
from stilts.study.errors import UnknownName
from stilts.study.settings import QuestionSettings
from stilts.workspace.checkout import find_checkout
from stilts.workspace.notebooks.execution import read_parameters
from stilts.workspace.resolution import resolve

QUESTIONS = ("order", "distance", "architecture", "adapters", "complexity")


@pytest.fixture(scope="module", params=["studies", "pilots"])
def answers(request):
    shown = read_parameters(find_checkout().root / "notebooks" / "learned.ipynb")
    return learned.answer_studies(find_checkout(), shown[request.param])


def test_every_question_has_an_answer_of_its_own_tests(answers):
    assert tuple(answers) == QUESTIONS
    assert [answer.section.settings.question.number for answer in answers.values()] == [1, 2, 3, 4, 5]
    table = learned.tabulate_verdicts(answers.values())
    for answer in answers.values():
        own = table[table["study"] == answer.learned.study]
        assert list(own["test"]) == list(answer.section.settings.question.tests)


def test_a_paragraph_states_the_question_and_what_each_study_says_on_what(answers):
    for name, answer in answers.items():
        said, data = answer.learned, {"pocket": "short commands", "xtreme": "rows of XTREME"}
        suite = answer.section.settings.data.suite
        text = replace_marked_ids(said.text, WAY_TITLES | list_titles(answer.section.analysis))
        one = f"**On {data[suite]}** (study `{said.study}`): {text}"
        question = f"*{answer.section.settings.question.text}*"
        verdict = f"**{said.verdict}** on {data[suite]}"
        short = f"*{said.effect.hypothesis}* Verdict: {verdict}, {verdict}."
        in_short = f"In short, the test that stands for the question has this hypothesis: {short}"
        assert learned.describe_answers(answer, answer) == f"{question}\n\n{in_short}\n\n{one}\n\n{one}"
        assert said.study.startswith(f"{name}-")
        table = answer.verdicts
        assert said.text.count(", corrected p ") <= 1
        if not table["p_holm"].isna().all():
            detectable = table.set_index("test")["detectable"][said.effect.test]
            assert ("80 percent power" in said.text) == (said.effect.known and detectable == detectable)
        else:
            assert f"None of the {len(table)} tests could be made: {said.reason}." in said.text


def test_a_verdict_stands_beside_the_hypothesis_that_its_study_tested(answers):
    answer = answers["complexity"]
    effect = replace(answer.learned.effect, hypothesis="Something else.")
    other = replace(answer, learned=replace(answer.learned, effect=effect))
    verdict = f"Verdict: **{answer.learned.verdict}** on "
    said = learned.describe_answers(answer, other).split("\n\n")[1]
    assert f"*{answer.learned.effect.hypothesis}* {verdict}" in said
    assert f". Another one there: *Something else.* {verdict}" in said


def test_the_ledger_s_row_has_the_verdict_of_the_test_that_stands_for_the_question(answers):
    claims = [learned.make_claim(answer) for answer in answers.values()]
    assert [claim.id for claim in claims] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    for claim, (name, answer) in zip(claims, answers.items(), strict=True):
        effect = answer.learned.effect
        assert effect.test == answer.section.settings.question.headline
        row = answer.verdicts.set_index("test").loc[effect.test]
        assert (claim.text, claim.verdict, claim.judgement.reason) == (row["hypothesis"], row["verdict"], row["reason"])
        assert claim.tested == f"Study `{answer.learned.study}`, {effect.effect}; chapter {name}."
        assert claim.note == (f"{effect} {effect.unit}, from {effect.based_on}" if effect.known else "")


def test_nothing_is_claimed_of_a_test_that_could_not_be_made(answers):
    answer = answers["distance"]
    empty = type(answer)(
        answer.section, None, [], answer.verdicts,
        type(answer.learned)("a-study", "Nothing.", make_untested("no record"), Verdict.UNTESTABLE, "nothing"),
    )  # fmt: skip
    assert "Nothing is recorded yet that the test" in learned.describe_answers(empty)
    claim = learned.make_claim(empty)
    assert (claim.verdict, claim.note) == (Verdict.UNTESTABLE, "")
    assert claim.tested == "Study `a-study`, of which nothing is recorded that its test could be made on."


def test_no_study_is_named_in_the_code_that_answers():
    """Which study stands beside another, and which test is the headline, is for the study files to say."""
    names = {name for name in find_checkout().studies() if name not in (*QUESTIONS, *learned.SUITES)}
    sources = Path(learned.__file__).parents[1].rglob("*.py")
    nodes = [node for source in sources for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))]
    said = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert said & names == set()


def test_a_headline_is_one_of_the_study_s_tests():
    question = {"number": 1, "text": "?", "tests": {"gap": "It is wide."}}
    assert QuestionSettings(**question).headline is None
    assert QuestionSettings(**question, headline="gap").headline == "gap"
    with pytest.raises(UnknownName, match="unknown headline among the question's tests 'gip'. Did you mean 'gap'"):
        QuestionSettings(**question, headline="gip")


def test_every_study_has_a_headline_and_no_run_is_named_by_its_question():
    here = find_checkout()
    asked = {name: here.study(name).question for name in here.studies()}
    assert [name for name, question in asked.items() if question and question.headline is None] == []
    study = here.study("order")
    other = study.model_copy(update={"question": study.question.model_copy(update={"headline": "mixed"})})
    assert [run.id for run in resolve(study, here).runs] == [run.id for run in resolve(other, here).runs]
