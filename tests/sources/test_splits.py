"""Which rows of a test set are a task's."""

import pytest

from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.splits import SuiteSplits
from stilts.sources.suite import Table, write_suite
from stilts.study.errors import StiltsError
from stilts.tasks.formats import SPAN_QA
from stilts.tasks.registry import get_target

ASKED = {
    "en": ["Where should it happen?", "How many hours?", "Which room is meant?", "Where should it happen?"],
    "de": ["Wie viele Stunden?", "Wo soll es geschehen?"],
    "fr": ["Combien d'heures ?"],
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    answers = {"text": ["kitchen"], "answer_start": [0]}
    rows = {
        language: [
            {"id": str(number), "context": "kitchen.", "question": question, "answers": answers}
            for number, question in enumerate(questions)
        ]
        for language, questions in ASKED.items()
    }
    tables = [Table(f"command-qa.{code}", "test", SPAN_QA.features((), pairs=False), own) for code, own in rows.items()]
    return write_suite(tables, tmp_path_factory.mktemp("suite"), {"fingerprint": "rooms"}, POCKET_CARD)


@pytest.mark.parametrize(
    "target, language, most, kept",
    [
        ("command-qa", "en", 3, ["0", "1", "2"]),
        ("command-qa-rooms", "en", 9, ["0", "2", "3"]),
        ("command-qa-rooms", "en", 2, ["0", "2"]),
        ("command-qa-rooms", "de", 9, ["1"]),
    ],
)
def test_a_task_on_one_slot_has_the_questions_on_it_alone(suite, target, language, most, kept):
    split = SuiteSplits(suite, get_target(target), [language], most).read(language)
    assert [row["id"] for row in split.rows] == kept


def test_a_test_set_without_a_question_on_the_slot_ends_in_a_line(suite):
    with pytest.raises(StiltsError, match="task 'command-qa-rooms' in fr: no question asks for 'area'"):
        SuiteSplits(suite, get_target("command-qa-rooms"), ["fr"]).read("fr")
