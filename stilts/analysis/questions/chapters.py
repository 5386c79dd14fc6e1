"""What every chapter shows of a study with a question: its records, its tests with verdicts, and what it taught.

A chapter shows several studies of one question: the recorded one, the one on real XTREME rows, the live one. Each is a
section, and a section whose study has no records yet says how to make them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from stilts.analysis.opened import Analysis, open_study
from stilts.analysis.prose import describe_failed_runs, describe_not_learned, describe_scope
from stilts.analysis.questions import crossed, sentences, tables, testing
from stilts.analysis.questions.evidence import Level, add_redrawn_scores, measure_level
from stilts.analysis.questions.testing import Result, Rules, Test, make_untested, run_tests
from stilts.analysis.verdicts import Verdict
from stilts.study.errors import StiltsError
from stilts.study.settings import BASELINE, Study
from stilts.workspace.checkout import Checkout

NO_HEADLINE = "the study does not test it"


@dataclass(frozen=True)
class Learned:
    """What a question's records say, for the page of answers and for the claims ledger.

    Attributes
    ----------
    study : str
        Whose records it is drawn from.
    text : str
        One paragraph; says so where there are no records.
    effect : Result
        Of the one test that stands for the question.
    verdict : Verdict
        Of that test, judged with all of them.
    reason : str
        Of the verdict, a clause.
    beside : str
        What the effect averages, in sentences; "" where nothing is said of it.
    """

    study: str
    text: str
    effect: Result
    verdict: Verdict
    reason: str
    beside: str = ""


@dataclass(frozen=True)
class Section:
    """A study with a question, opened for a chapter.

    Attributes
    ----------
    analysis : Analysis
        Its records, of which there may be none yet.
    rules : Rules
        By which its tests are done.
    """

    analysis: Analysis
    rules: Rules

    @property
    def settings(self) -> Study:
        """The study's file."""
        return self.analysis.settings

    @property
    def scope(self) -> str:
        """What the section rests on; or, where that is nothing, how to make it."""
        return describe_scope(self.analysis)


@dataclass(frozen=True)
class Answer:
    """A question answered from one study's records.

    Attributes
    ----------
    section : Section
    evidence : object
        As the question's own module gathers it.
    results : list of Result
        Of the study file's tests, in their order.
    verdicts : DataFrame
        See `stilts.analysis.questions.testing.tabulate_verdicts`.
    learned : Learned
    """

    section: Section
    evidence: Any
    results: Sequence[Result]
    verdicts: pd.DataFrame
    learned: Learned

    @property
    def said(self) -> str:
        """Of each test its hypothesis, verdict and effect, a line each; then what the headline's effect averages."""
        beside = f"Of the test that stands for the question: {self.learned.beside}" if self.learned.beside else ""
        return "\n\n".join(filter(None, [sentences.describe_verdicts(self.verdicts), beside]))

    @property
    def obstacle(self) -> str:
        """Why none of the tests could be made, a clause; "" where one could or reasons differ."""
        return sentences.find_shared_obstacle(self.verdicts)

    @property
    def shown(self) -> pd.DataFrame:
        """The verdicts for readers, without what `said` has."""
        return tables.show_verdicts(self.verdicts)

    @property
    def titles(self) -> dict[str, str]:
        """What the number of each test is, in words, by the test's id."""
        return {each.test: each.effect for each in self.results}

    @property
    def checks(self) -> pd.DataFrame:
        """Each effect by the mixed model and the cluster bootstrap too, see `crossed.tabulate_checks`."""
        return crossed.tabulate_checks(self.results, self.section.rules)

    @property
    def power(self) -> str:
        """Which effect the design could have seen."""
        return sentences.describe_power(self.verdicts, self.section.rules)

    @property
    def caveats(self) -> str:
        """What the tests left out or do not cover, and which trainings failed."""
        analysis = self.section.analysis
        notes = sentences.describe_caveats(self.results)
        lost = describe_not_learned(analysis) if analysis.failed else ""
        return "\n\n".join(filter(None, [notes, lost, describe_failed_runs(analysis)]))


def open_section(checkout: Checkout, study: str, seed: int = 0) -> Section:
    """Open a study with a question, recorded or not; `seed` draws replicates.

    Raises
    ------
    UnknownName
        If there is no study of that name.
    StiltsError
        If its file has no block `question`.
    """
    question = checkout.study(study).question
    if question is None:
        raise StiltsError(f"study '{study}' has no question: its file lacks the block `question` with its tests")
    return Section(open_study(checkout, study, question.resamples, seed), Rules.of(question, seed))


def answer_from_evidence(
    section: Section,
    evidence: Any,
    tests: Mapping[str, Test],
    text: str,
    obstacle: str = "",
    level: Level | None = None,
    beside: Callable[[Test, Result], str] | None = None,
) -> Answer:
    """Run a study's tests and return all that its chapter shows.

    Parameters
    ----------
    tests : mapping
        The question's tests by id, of which the study file names those that are run.
    text : str
        What goes before the effect of the headline test in the paragraph of `Learned`; "" where nothing can be said.
    obstacle : str
        Why none of the tests can say anything, a clause; "" where they can.
    level : Level, optional
        Of the models that effects are changes of: near floor or ceiling no test can be made.
    beside : callable, optional
        Says of the headline test and its result what the effect averages; it is asked where the test could be made.
    """
    results = [
        testing.add_obstacle(replace(each, obstacle=each.obstacle or obstacle), section.rules, level)
        for each in run_tests(tests, evidence, section.rules)
    ]
    table = testing.tabulate_verdicts(results, section.rules)
    headline = section.settings.question.headline
    chosen = next((each for each in results if each.test == headline), make_untested(NO_HEADLINE))
    found = table[table["test"] == headline]
    verdict = Verdict(next(iter(found["verdict"]), Verdict.UNTESTABLE))
    reason = next(iter(found["reason"]), NO_HEADLINE)
    shared = sentences.find_shared_obstacle(table)
    about = [text, f"None of the {len(table)} tests could be made: {shared}." if shared else ""]
    parts = beside(tests[headline], chosen) if beside and verdict is not Verdict.UNTESTABLE else ""
    if chosen.hypothesis and not shared:
        about += [sentences.describe_headline(table, headline), parts, sentences.describe_others(table, headline)]
    said, recorded = " ".join(filter(None, about)), section.analysis.recorded
    learned = Learned(section.settings.name, said if recorded else section.scope, chosen, verdict, reason, parts)
    return Answer(section, evidence, results, table, learned)


def answer_from_scores(
    section: Section,
    evidence: Any,
    tests: Mapping[str, Test],
    summary: Callable[[Any, Rules], str],
    beside: Callable[[Any, Rules], str],
) -> Answer:
    """Return the same of evidence with a table `scores`, whose effects are changes of the baseline's scores.

    Parameters
    ----------
    summary : callable
        Says from evidence and rules what goes before the answers of the tests.
    beside : callable
        Says from the same what the effect of the headline test averages.
    """
    evidence, rules = add_redrawn_scores(evidence, section.analysis), section.rules
    level = measure_level(evidence.scores, [BASELINE], section.analysis.floors)
    return answer_from_evidence(
        section, evidence, tests, summary(evidence, rules), level=level, beside=lambda *_: beside(evidence, rules)
    )
