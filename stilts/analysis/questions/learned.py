"""What the five questions' records say: the page of answers, and the questions' rows of the claims ledger."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from stilts.analysis.claims import UNJUDGED, Claim
from stilts.analysis.questions import adapters_answer, architecture, complexity, distance_answer, order
from stilts.analysis.questions.chapters import Answer, Section, open_section
from stilts.analysis.verdicts import Judgement
from stilts.workspace.checkout import workspace
from stilts.workspace.notebooks.markup import plain

FULL_FINE_TUNING = {"adapters-full": "pocket-full"}
"""Study with adapters -> the study that its runs without adapters are recorded in, where it has none of its own."""

_SUITES = {"pocket": "the pocket benchmark", "xtreme": "rows of XTREME"}


def _adapters(section: Section) -> Answer:
    beside = FULL_FINE_TUNING.get(section.settings.name)
    return adapters_answer.answer(section, workspace().study(beside) if beside else None)


QUESTIONS: Mapping[str, Callable[[Section], Answer]] = {
    "order": order.answer,
    "distance": distance_answer.answer,
    "architecture": architecture.answer,
    "adapters": _adapters,
    "complexity": complexity.answer,
}
"""Question, which its chapter and the beginning of its studies' names are called by -> what answers it from a study."""


def answers(scale: str, seed: int = 0) -> dict[str, Answer]:
    """Return the answer to each question from the records of its study of a scale, of which there may be none yet.

    Parameters
    ----------
    scale : str
        `full` (the pocket benchmark, recorded) or `pilot` (rows of XTREME); studies are called <question>-<scale>.
    seed : int
        Draws bootstrap replicates.
    """
    return {name: answer(name, scale, seed) for name in QUESTIONS}


def answer(question: str, study: str, seed: int = 0) -> Answer:
    """Return the answer to a question from its study `<question>-<study>`."""
    return QUESTIONS[question](open_section(f"{question}-{study}", seed))


def paragraphs(*answers: Answer) -> str:
    """Return the answers to one question in Markdown, each from another study of it, after the verdicts in short."""
    said = [f"**On {_suite(each)}** (study `{each.learned.study}`): {each.learned.text}" for each in answers]
    return "\n\n".join([f"*{plain(answers[0].section.settings.question.text)}*", _in_short(answers), *said])


def _in_short(answers: Iterable[Answer]) -> str:
    """Say the verdict of the one test that stands for a question, where there is one."""
    judged = [each for each in answers if each.section.analysis.recorded and each.learned.effect.hypothesis]
    if not judged:
        return "Nothing is recorded yet that the test which stands for the question could be made on."
    found = "; ".join(f"**{each.learned.verdict.capitalize()}** on {_suite(each)}" for each in judged)
    hypothesis = plain(judged[0].learned.effect.hypothesis)
    return f"In short, by the test that stands for the question: *{hypothesis}* {found}."


def _suite(answer: Answer) -> str:
    return _SUITES[answer.section.settings.data.suite]


def verdicts(answers: Iterable[Answer]) -> pd.DataFrame:
    """Return the tests of several studies as `common.verdicts` has them, with the study first."""
    tables = [answer.verdicts.assign(study=answer.learned.study) for answer in answers]
    together = pd.concat(tables, ignore_index=True)
    return together[["study", *(column for column in together if column != "study")]]


def claims(found: Mapping[str, Answer]) -> list[Claim]:
    """Return a row of the ledger for each question: the hypothesis of the test that stands for it, and its verdict."""
    return [_claim(name, answer) for name, answer in found.items()]


def _claim(name: str, answer: Answer) -> Claim:
    effect, question = answer.learned.effect, answer.section.settings.question
    tested, judgement = "of which nothing is recorded that its test could be made on.", UNJUDGED
    if answer.section.analysis.recorded and effect.hypothesis:
        tested = f"test `{effect.test}`; chapter {name}."
        judgement = Judgement(answer.learned.verdict, answer.learned.reason, float("nan"))
    return Claim(
        f"Q{question.number}",
        effect.hypothesis or question.text,
        "\N{EN DASH}",
        f"Study `{answer.learned.study}`, {tested}",
        note=f"{effect} {effect.unit}, from {effect.based_on}" if effect.known else "",
        judgement=judgement,
    )
