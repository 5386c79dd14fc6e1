"""What the five questions' records say: the page of answers, and the questions' rows of the claims ledger."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from stilts.analysis.claims import UNJUDGED, Claim
from stilts.analysis.gain_tables import list_titles
from stilts.analysis.questions import adapters_answer, architecture, complexity, distance_answer, order
from stilts.analysis.questions.chapters import Answer, Section, open_section
from stilts.analysis.verdicts import Judgement
from stilts.analysis.wording import WAY_TITLES, replace_marked_ids
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks.markup import escape_text

TITLES = {
    "order": "1. Does the order of languages matter?",
    "distance": "2. Do far languages lose more?",
    "architecture": "3. Does it take an encoder?",
    "adapters": "4. Do adapters gain from similar tasks?",
    "complexity": "5. Does a harder task ask for English?",
}
"""Chapter -> its question in a few words."""

SUITES = {"pocket": "short commands", "xtreme": "rows of XTREME"}

QUESTIONS: Mapping[int, tuple[str, Callable[[Section], Answer]]] = {
    1: ("order", order.answer_question),
    2: ("distance", distance_answer.answer_question),
    3: ("architecture", architecture.answer_question),
    4: ("adapters", adapters_answer.answer_question),
    5: ("complexity", complexity.answer_question),
}
"""Number of a question in a study's file -> its chapter, and what answers it from a study."""


def answer_studies(checkout: Checkout, studies: Iterable[str], seed: int = 0) -> dict[str, Answer]:
    """Return the answers of studies that ask a question each, by chapter; `seed` draws bootstrap replicates."""
    found = [answer_study(checkout, study, seed) for study in studies]
    return {_chapter(each): each for each in found}


def answer_study(checkout: Checkout, study: str, seed: int = 0) -> Answer:
    """Return the answer to the question of a study from its records, of which there may be none yet."""
    section = open_section(checkout, study, seed)
    _, answer_from = QUESTIONS[section.settings.question.number]
    return answer_from(section)


def _chapter(answer: Answer) -> str:
    return QUESTIONS[answer.section.settings.question.number][0]


def describe_answers(*answers: Answer) -> str:
    """Return the answers to one question in Markdown, each from another study of it, after the verdicts in short."""
    said = [f"**On {_suite(each)}** (study `{each.learned.study}`): {_say_in_words(each)}" for each in answers]
    return "\n\n".join([f"*{escape_text(answers[0].section.settings.question.text)}*", _in_short(answers), *said])


def _say_in_words(answer: Answer) -> str:
    """Return what an answer says, with names in place of the ids of conditions, tasks and ways of training."""
    return replace_marked_ids(answer.learned.text, WAY_TITLES | list_titles(answer.section.analysis))


def _in_short(answers: Iterable[Answer]) -> str:
    """Say the verdict of the one test that stands for a question, where there is one."""
    judged = [each for each in answers if each.section.analysis.recorded and each.learned.effect.hypothesis]
    if not judged:
        return "Nothing is recorded yet that the test which stands for the question could be made on."
    said: dict[str, list[str]] = {}
    for each in judged:
        verdict = f"**{each.learned.verdict}** on {_suite(each)}"
        said.setdefault(escape_text(each.learned.effect.hypothesis), []).append(verdict)
    by_hypothesis = [f"*{hypothesis}* Verdict: {', '.join(verdicts)}." for hypothesis, verdicts in said.items()]
    together = " Another one there: ".join(by_hypothesis)
    return f"In short, the test that stands for the question has this hypothesis: {together}"


def _suite(answer: Answer) -> str:
    return SUITES[answer.section.settings.data.suite]


def tabulate_verdicts(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return the tests of several studies as `testing.tabulate_verdicts` has them, with the study first."""
    tables = [answer.verdicts.assign(study=answer.learned.study) for answer in answers]
    together = pd.concat(tables, ignore_index=True)
    return together[["study", *(column for column in together if column != "study")]]


def tabulate_forest(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return the tests of all questions for `draw_question_forest`, those of one question and setting together.

    Returns
    -------
    DataFrame
        question, setting (the suite), study, and the columns of `testing.tabulate_verdicts`.
    """
    tables = [
        each.verdicts.assign(question=TITLES[_chapter(each)], setting=_suite(each), study=each.learned.study)
        for each in answers
        if each.section.analysis.recorded
    ]
    if not tables:
        return pd.DataFrame(columns=["question", "setting", "study", "hypothesis"])
    order = list(TITLES.values())
    return pd.concat(tables, ignore_index=True).sort_values(
        "question", key=lambda names: names.map(order.index), kind="stable", ignore_index=True
    )


def make_claim(answer: Answer) -> Claim:
    """Return a question's row of the ledger: the hypothesis of the test that stands for it, and its verdict."""
    effect, question = answer.learned.effect, answer.section.settings.question
    tested, judgement = "of which nothing is recorded that its test could be made on.", UNJUDGED
    if answer.section.analysis.recorded and effect.hypothesis:
        tested = f"{effect.effect}; chapter {_chapter(answer)}."
        judgement = Judgement(answer.learned.verdict, answer.learned.reason, float("nan"))
    return Claim(
        f"Q{question.number}",
        effect.hypothesis or question.text,
        "\N{EN DASH}",
        f"Study `{answer.learned.study}`, {tested}",
        note=f"{effect} {effect.unit}, from {effect.based_on}" if effect.known else "",
        judgement=judgement,
    )
