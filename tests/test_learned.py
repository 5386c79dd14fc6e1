"""The page of answers and the questions' rows of the ledger, on the committed records."""

import pytest

from stilts.claims import Verdict
from stilts.questions import learned
from stilts.questions.common import NO, UNCLEAR, YES, untested

EXPECTED = {YES: Verdict.SUPPORTED, NO: Verdict.NOT_SUPPORTED, UNCLEAR: Verdict.CANNOT_TELL}


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
        if said.text != answer.section.scope:
            assert said.text.count(", corrected p ") == answer.verdicts["estimate"].count() > 0


def test_the_ledger_s_row_has_the_verdict_of_the_test_that_stands_for_the_question(answers):
    claims = learned.claims(answers)
    assert [claim.id for claim in claims] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    for claim, answer in zip(claims, answers.values(), strict=True):
        effect = answer.learned.effect
        if not effect.known:
            assert (claim.verdict, claim.note) == (Verdict.NOT_TESTED, "")
            continue
        row = answer.verdicts.set_index("test").loc[effect.test]
        assert claim.verdict == EXPECTED[row["verdict"]]
        assert claim.text == row["hypothesis"]
        assert claim.note == f"{effect} {effect.unit}, from {effect.based_on}"


def test_nothing_is_claimed_of_a_test_that_could_not_be_made(answers):
    answer = answers["distance"]
    empty = type(answer)(
        answer.section, None, [], answer.verdicts,
        type(answer.learned)("a-study", "Nothing.", untested("nothing is recorded"), UNCLEAR),
    )  # fmt: skip
    assert "Nothing is recorded yet that the test" in learned.paragraphs(empty)
    (claim,) = learned.claims({"distance": empty})
    assert (claim.verdict, claim.note) == (Verdict.NOT_TESTED, "")
    assert claim.tested == "Study `a-study`, of which nothing is recorded that its test could be made on."
