"""The page of answers and the questions' rows of the ledger, on the committed records."""

import pytest

from stilts.analysis.questions import learned
from stilts.analysis.questions.common import untested
from stilts.analysis.verdicts import Verdict


@pytest.fixture(scope="module", params=["full", "pilot"])
def answers(request):
    return learned.answers(request.param)


def test_every_question_has_an_answer_of_its_own_tests(answers):
    assert [answer.section.settings.question.number for answer in answers.values()] == [1, 2, 3, 4, 5]
    table = learned.verdicts(answers.values())
    for answer in answers.values():
        own = table[table["study"] == answer.learned.study]
        assert list(own["test"]) == list(answer.section.settings.question.tests)


def test_a_paragraph_states_the_question_and_what_each_study_says_on_what(answers):
    for name, answer in answers.items():
        said, data = answer.learned, {"pocket": "the pocket benchmark", "xtreme": "rows of XTREME"}
        suite = answer.section.settings.data.suite
        one = f"**On {data[suite]}** (study `{said.study}`): {said.text}"
        question = f"*{answer.section.settings.question.text}*"
        verdict = f"**{said.verdict.capitalize()}** on {data[suite]}"
        short = f"*{said.effect.hypothesis}* {verdict}; {verdict}."
        in_short = f"In short, by the test that stands for the question: {short}"
        assert learned.paragraphs(answer, answer) == f"{question}\n\n{in_short}\n\n{one}\n\n{one}"
        assert said.study.startswith(f"{name}-")
        table = answer.verdicts
        assert said.text.count(", corrected p ") == table["p_holm"].count()
        if table["p_holm"].isna().all():
            assert f"None of the {len(table)} tests could be made: {said.reason}." in said.text


def test_the_ledger_s_row_has_the_verdict_of_the_test_that_stands_for_the_question(answers):
    claims = learned.claims(answers)
    assert [claim.id for claim in claims] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    for claim, (name, answer) in zip(claims, answers.items(), strict=True):
        effect = answer.learned.effect
        row = answer.verdicts.set_index("test").loc[effect.test]
        assert (claim.text, claim.verdict, claim.judgement.reason) == (row["hypothesis"], row["verdict"], row["reason"])
        assert claim.tested == f"Study `{answer.learned.study}`, test `{effect.test}`; chapter {name}."
        assert claim.note == (f"{effect} {effect.unit}, from {effect.based_on}" if effect.known else "")


def test_nothing_is_claimed_of_a_test_that_could_not_be_made(answers):
    answer = answers["distance"]
    empty = type(answer)(
        answer.section, None, [], answer.verdicts,
        type(answer.learned)("a-study", "Nothing.", untested("nothing is recorded"), Verdict.UNTESTABLE, "nothing"),
    )  # fmt: skip
    assert "Nothing is recorded yet that the test" in learned.paragraphs(empty)
    (claim,) = learned.claims({"distance": empty})
    assert (claim.verdict, claim.note) == (Verdict.UNTESTABLE, "")
    assert claim.tested == "Study `a-study`, of which nothing is recorded that its test could be made on."
