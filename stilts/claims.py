"""The published claims as a ledger: where a study tests each, its effect with its interval, and a verdict by rule.

Published effects are those of Phang et al. (2020) on XTREME with XLM-R Large, in points.
"""

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stilts.analysis import Analysis, comparable_parts, count, listed
from stilts.conditions import MIXED, TRANSLATED, Counterpart, counterparts, english_conditions, single_tasks
from stilts.linguistics import language
from stilts.records import Record
from stilts.statistics import (
    BASELINE,
    LEVEL,
    SOURCE_LANGUAGE,
    Estimate,
    Replicates,
    contrast,
    gain_weights,
)
from stilts.tasks import INTERMEDIATES, MULTI, TARGETS, of_suite

if TYPE_CHECKING:
    from IPython.display import HTML

LARGE = 2.0
"""Points that a gain called large, or dramatic, must reach at least; about a quarter of the smallest published one."""

NEGLIGIBLE = 1.0
"""Points below which a gain counts as no benefit."""


class Verdict(StrEnum):
    """What the interval lets us say."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    CANNOT_TELL = "cannot tell at this scale"
    NOT_TESTED = "not tested here yet"
    STATED = "stated, not tested"
    BY_DESIGN = "holds by design"


@dataclass(frozen=True)
class Part:
    """One measurable part of a claim.

    Attributes
    ----------
    text : str
        What is measured.
    effect : Estimate
        In points.
    at_least : float
        Points that the claim asks for.
    below : bool
        Whether the claim is that the effect stays below `at_least` instead.
    published : float or None
        The published effect that it is set against.
    """

    text: str
    effect: Estimate
    at_least: float = 0.0
    below: bool = False
    published: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Supported or not where the whole interval lies on one side of what the claim asks for; else cannot tell."""
        above, under = self.effect.low > self.at_least, self.effect.high < self.at_least
        if not above and not under:
            return Verdict.CANNOT_TELL
        return Verdict.SUPPORTED if above != self.below else Verdict.NOT_SUPPORTED


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Attributes
    ----------
    id : str
    text : str
        The claim in our own words.
    published : str
        The published effect.
    tested : str
        Where this project tests it.
    parts : tuple of Part
        Empty where nothing is measured.
    note : str
        What takes the place of an effect where nothing is measured, or where `incomplete` says what is not.
    unmeasured : Verdict
        The verdict where nothing is measured.
    incomplete : bool
        Whether something that the claim speaks of is not measured, so that the parts cannot support it as a whole.
    """

    id: str
    text: str
    published: str
    tested: str
    parts: tuple[Part, ...] = ()
    note: str = ""
    unmeasured: Verdict = field(default=Verdict.NOT_TESTED)
    incomplete: bool = False

    @property
    def verdict(self) -> Verdict:
        """Supported if every part is and none lacks, not supported if any part is not, else cannot tell."""
        verdicts = {part.verdict for part in self.parts}
        if not verdicts:
            return self.unmeasured
        if Verdict.NOT_SUPPORTED in verdicts:
            return Verdict.NOT_SUPPORTED
        whole = verdicts == {Verdict.SUPPORTED} and not self.incomplete
        return Verdict.SUPPORTED if whole else Verdict.CANNOT_TELL


@dataclass(frozen=True)
class Roles:
    """Which tasks of a suite stand for those that the claims name.

    Attributes
    ----------
    large : dict
        Intermediate task -> its published mean gain in points (C1).
    missing : str
        What has no counterpart in the suite, a sentence; "" if nothing.
    untrained : tuple of str
        Target tasks for retrieval and mining (C3).
    improving, unaffected : str
        Target tasks for TyDi QA and XNLI (C4).
    """

    large: Mapping[str, float]
    missing: str
    untrained: tuple[str, ...]
    improving: str
    unaffected: str


ROLES = {
    "pocket": Roles(
        {"qa": 8.2, "nli": 7.5}, "Sentence completion has no counterpart here.", ("ui-retrieval", "ui-mining"),
        "command-qa", "command-nli",
    ),
    "xtreme": Roles(
        {"squad": 8.2, "mnli": 7.5, "hellaswag": 7.0}, "", ("tatoeba", "bucc2018"), "tydiqa", "xnli",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What a study has recorded, as the claims need it.

    Attributes
    ----------
    suite : str
    replicates : dict
        Target -> replicates, as `stilts.statistics.resample` returns; empty where nothing is recorded.
    dev_scores : DataFrame
        condition, target, score: English dev scores averaged over seeds, as `english_dev_scores` returns.
    tasks : dict
        Condition -> its intermediate tasks.
    """

    suite: str
    replicates: Mapping[str, Replicates]
    dev_scores: pd.DataFrame
    tasks: Mapping[str, tuple[str, ...]]

    @property
    def roles(self) -> Roles:
        """Which tasks stand for those that the claims name."""
        return ROLES[self.suite]

    def english(self, conditions: Iterable[str]) -> list[str]:
        """Return the conditions of English intermediate tasks alone; the baseline is none."""
        known = english_conditions(self.tasks)
        return [name for name in conditions if name in known]


def evidence(analysis: Analysis) -> Evidence:
    """Return the evidence that a study's records give."""
    return Evidence(analysis.suite, analysis.replicates, english_dev_scores(analysis.records), analysis.conditions)


def ledger(found: Evidence) -> list[Claim]:
    """Return the claims C1 to C10 with what one study's records say of them."""
    return [
        _large_gains(found),
        _multi_is_best(found),
        _untrained_targets(found),
        _questions_and_inference(found),
        _chosen_on_dev(found),
        _english_is_enough(found),
        *_facts(found),
    ]


def _measured(missing: Iterable[str], measure: Callable[[], Iterable[Part]]) -> dict[str, Any]:
    """Return a claim's parts; or, where something that they compare has no records, a note that says so."""
    names = sorted(missing)
    return {"note": f"no records of {listed(names)} to compare"} if names else {"parts": tuple(measure())}


def _large_gains(found: Evidence) -> Claim:
    targets, conditions = comparable_parts(found.replicates)
    published = found.roles.large

    def part(name: str, points: float) -> Part:
        return Part(f"{name}, mean gain", contrast(found.replicates, gain_weights(name, targets)), LARGE, False, points)

    return Claim(
        "C1",
        "Question answering (SQuAD), inference (MNLI) and sentence completion (HellaSwag) as intermediate tasks each "
        "raise the target tasks by a wide margin on average.",
        "+8.2, +7.5 and +7.0 (average of the dev sets)",
        f"Gain of {listed(list(published))}, averaged over {count(targets, 'target')}; at least {LARGE:g} points each. "
        f"{found.roles.missing}".strip(),
        **_measured(
            set(published) - set(conditions),
            lambda: [part(name, points) for name, points in published.items()],
        ),
    )


def _multi_is_best(found: Evidence) -> Claim:
    targets, conditions = comparable_parts(found.replicates)
    singles = [name for name in conditions if name in single_tasks(found.tasks)]

    def parts() -> Iterable[Part]:
        gains = {name: contrast(found.replicates, gain_weights(name, targets)).value for name in singles}
        best = max(gains, key=lambda name: gains[name])
        # The best of several is partly the luckiest: an interval at the level of all comparisons at once allows for it.
        level = 1 - (1 - LEVEL) / len(singles)
        effect = contrast(found.replicates, gain_weights(MULTI, targets, baseline=best), level)
        yield Part(f"{MULTI} minus {best}, the best single", effect, published=0.5)

    missing = {MULTI} - set(conditions) if singles else {MULTI, "a single task"}
    return Claim(
        "C2",
        "Training on all intermediate tasks together does best on average.",
        "+8.7, against +8.2 for the best single task",
        f"Mean score after `{MULTI}` minus that after the best single task, over {count(targets, 'target')}; above "
        "zero. The interval is widened (Bonferroni) for the choice of the best among "
        f"{len(singles)} on the same scores.",
        **_measured(missing, parts),
    )


def _untrained_targets(found: Evidence) -> Claim:
    wanted = found.roles.untrained

    def parts() -> Iterable[Part]:
        for target in wanted:
            conditions = found.english(found.replicates[target].conditions)
            yield Part(f"{target}, mean over tasks", _mean_over(found.replicates, conditions, target), LARGE)

    return Claim(
        "C3",
        "The target tasks without training data, mining (BUCC) and retrieval (Tatoeba), improve dramatically.",
        "large; no single figure",
        f"Gain on {listed(wanted)}, averaged over the conditions of English tasks; at least {LARGE:g} points each.",
        **_measured(_without_gains(found, wanted), parts),
    )


def _without_gains(found: Evidence, targets: Iterable[str]) -> list[str]:
    """Return the targets that have no English condition to compare with the baseline."""
    known = {name: part.conditions for name, part in found.replicates.items() if BASELINE in part.conditions}
    return [name for name in targets if not found.english(known.get(name, ()))]


def _mean_over(replicates: Mapping[str, Replicates], conditions: Sequence[str], target: str) -> Estimate:
    """Gain on one target, averaged over conditions."""
    weights = {(name, target): 1 / len(conditions) for name in conditions} | {(BASELINE, target): -1.0}
    return contrast(replicates, weights)


def _questions_and_inference(found: Evidence) -> Claim:
    pair = (found.roles.improving, found.roles.unaffected)

    def parts() -> Iterable[Part]:
        for target, at_least, below in zip(pair, (0.0, NEGLIGIBLE), (False, True), strict=True):
            conditions = found.english(found.replicates[target].conditions)
            effects = {name: contrast(found.replicates, gain_weights(name, [target])) for name in conditions}
            mean = _mean_over(found.replicates, conditions, target)
            yield Part(f"{target}, mean over tasks", mean, at_least, below)
            middle = sorted(conditions, key=lambda name: effects[name].value)[(len(conditions) - 1) // 2]
            yield Part(f"{target}, the median task ({middle})", effects[middle], at_least, below)

    return Claim(
        "C4",
        "Extractive question answering (TyDi QA) improves after many of the intermediate tasks, while inference (XNLI) "
        "does not benefit.",
        "signs per task; no single figure",
        f"Gain on `{pair[0]}`, on average over the conditions of English tasks and for the median one, so that half of "
        f"them do at least as well; above zero. The same for `{pair[1]}`; below {NEGLIGIBLE:g} point.",
        **_measured(_without_gains(found, pair), parts),
    )


def _chosen_on_dev(found: Evidence) -> Claim:
    chosen = best_on_dev(found)

    def parts() -> Iterable[Part]:
        weights: dict[tuple[str, str], float] = {}
        for target, name in chosen.items():
            weights |= gain_weights(name, [target])
        shared = {pair: weight / len(chosen) for pair, weight in weights.items()}
        yield Part("chosen on English dev", contrast(found.replicates, shared), published=5.4)

    named = ", ".join(f"`{name}` for `{target}`" for target, name in chosen.items())
    return Claim(
        "C5",
        "With the best intermediate task for each target, chosen on English development data, the test scores rise on "
        "average.",
        "+5.4 (average of the test sets)",
        f"Mean test gain over the {count(list(chosen), 'target')} with an English dev set; above zero. Chosen: "
        f"{named or 'none'}. The interval takes the choice as given.",
        **_measured([] if chosen else ["target training"], parts),
    )


def best_on_dev(found: Evidence) -> dict[str, str]:
    """Return the English condition with the best English dev score for each target that has both dev and test scores.

    A target that is trained as another task has that one's dev score. The baseline does not stand for choice. Of equal
    scores the first in the study's order is taken.
    """
    chosen, scores = {}, found.dev_scores
    for target, part in found.replicates.items():
        usable = found.english(part.conditions) if BASELINE in part.conditions else []
        rows = scores[(scores["target"] == TARGETS[target].training_task) & scores["condition"].isin(usable)]
        if len(rows):
            chosen[target] = rows.loc[rows["score"].idxmax(), "condition"]
    return chosen


def english_dev_scores(records: Iterable[Record]) -> pd.DataFrame:
    """Return condition, target, score: English dev scores of the targets that train, averaged over seeds.

    Conditions keep the order of the records.
    """
    rows = [
        {"condition": record.run.condition, "target": record.run.target}
        | {"score": record.metrics[SOURCE_LANGUAGE]["score"]}
        for record in records
        if record.run.phase == "target"
    ]
    table = pd.DataFrame(rows, columns=["condition", "target", "score"])
    return table.groupby(["condition", "target"], sort=False)["score"].mean().reset_index()


def _english_is_enough(found: Evidence) -> Claim:
    targets, conditions = comparable_parts(found.replicates)
    pairs = [pair for pair in counterparts(found.tasks) if {pair.condition, pair.against} <= set(conditions)]

    def part(pair: Counterpart) -> Part:
        effect = contrast(found.replicates, gain_weights(pair.condition, targets, baseline=pair.against))
        return Part(f"{pair}, mean over targets", effect, NEGLIGIBLE, below=True)

    return Claim(
        "C6",
        "English intermediate tasks alone do as well as with multilingual language modelling mixed in, or with the "
        "intermediate data translated: neither is consistently better.",
        "neither consistently better",
        f"Each such condition minus its English counterpart, averaged over {count(targets, 'target')}; below "
        f"{NEGLIGIBLE:g} point."
        if pairs
        else "The two conditions against English alone; the study has no records of them.",
        note=_lacking(pairs),
        parts=tuple(part(pair) for pair in pairs),
        incomplete=bool(_lacking(pairs)),
    )


def _lacking(pairs: Sequence[Counterpart]) -> str:
    """Which of the two kinds of conditions has no record, in words."""
    lacking = [kind for kind in (MIXED, TRANSLATED) if not any(kind in pair.change for pair in pairs)]
    return f"no records with {' or '.join(lacking)}" if lacking else ""


def _facts(found: Evidence) -> list[Claim]:
    known = [task for task in of_suite(INTERMEDIATES, found.suite).values() if task.in_multi]
    recorded = {name for tasks in found.tasks.values() for name in tasks}
    groups = dict.fromkeys(task.group for task in known if task.name in recorded)
    tested = {code for part in found.replicates.values() for code in part.languages}
    shared = sum(language(code).xtreme for code in tested)
    return [
        Claim(
            "C7",
            "The encoder that it starts from, XLM-R Large, led zero-shot cross-lingual transfer at the time.",
            "–",
            "A statement about the models of its time; this study starts from another encoder.",
            unmeasured=Verdict.STATED,
        ),
        Claim(
            "C8",
            "Three phases: public multilingual pretraining; intermediate training in English; target training in "
            "English, then zero-shot evaluation.",
            "–",
            "The design of this study.",
            note="a run belongs to one of the phases",
            unmeasured=Verdict.BY_DESIGN,
        ),
        Claim(
            "C9",
            "Nine English intermediate tasks cover several formats.",
            "9 tasks",
            "The task registry and the records.",
            note=f"{len([task for task in known if task.name in recorded])} of {count(known, 'intermediate task')} "
            f"have records: {', '.join(groups) or 'no group'}",
            unmeasured=Verdict.STATED,
        ),
        Claim(
            "C10",
            "XTREME covers up to 40 typologically diverse languages over nine tasks.",
            "40 languages, 9 tasks",
            "The task registry and the records.",
            note=f"{count(sorted(tested), 'language')}, {shared} of them XTREME's, over "
            f"{count(list(found.replicates), 'target task')}",
            unmeasured=Verdict.STATED,
        ),
    ]


def as_table(ledgers: Mapping[str, Sequence[Claim]]) -> pd.DataFrame:
    """Return the ledgers of several studies for readers: a row for each claim, two columns and one for each study.

    Parameters
    ----------
    ledgers : mapping
        Study, as its column is headed -> its ledger. All hold the same claims in the same order.

    Returns
    -------
    DataFrame
        id, claim, published, and by study where it is tested, what came out and the verdict, a line each.
    """
    first = next(iter(ledgers.values()))
    rows = [{"id": claim.id, "claim": claim.text, "published": claim.published} for claim in first]
    for study, claims in ledgers.items():
        for row, claim in zip(rows, claims, strict=True):
            row[study] = "\n".join([claim.tested, *_effects(claim), str(claim.verdict)])
    return pd.DataFrame(rows)


def _effects(claim: Claim) -> list[str]:
    measured = [f"{part.text}: {part.effect}" for part in claim.parts]
    return [*measured, *([claim.note] if claim.note else [])] or ["–"]


def as_parts(ledgers: Mapping[str, Sequence[Claim]]) -> pd.DataFrame:
    """Return one row per measured part: study, id, part, value, low, high, at_least, published (points), verdict."""
    rows = [
        {
            "study": study,
            "id": claim.id,
            "part": part.text,
            "value": part.effect.value,
            "low": part.effect.low,
            "high": part.effect.high,
            "at_least": part.at_least,
            "published": np.nan if part.published is None else part.published,
            "verdict": str(part.verdict),
        }
        for study, claims in ledgers.items()
        for claim in claims
        for part in claim.parts
    ]
    columns = ["study", "id", "part", "value", "low", "high", "at_least", "published", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def summary(ledgers: Mapping[str, Sequence[Claim]]) -> str:
    """Say for each study how many claims got which verdict."""
    return " ".join(f"{study}: {_verdicts([claim.verdict for claim in claims])}." for study, claims in ledgers.items())


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    named = [f"{verdict} {verdicts.count(verdict)}" for verdict in Verdict if verdict in verdicts]
    return f"of {len(verdicts)} claims, {', '.join(named)}"


def show(table: pd.DataFrame) -> "HTML":
    """Return what `as_table` makes, set for the page: code type as such, a line for each effect, verdicts framed."""
    from IPython.display import HTML

    marked = table.map(lambda text: re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text)))
    marked = marked.rename(columns=html.escape)
    for study in marked.columns[3:]:
        marked[study] = marked[study].map(_set_lines)
    return HTML(marked.to_html(index=False, escape=False, border=0, justify="left", classes="ledger"))


def _set_lines(text: str) -> str:
    tested, *effects, verdict = text.split("\n")
    shown = "<br>".join(effects)
    return f'<p>{tested}</p><p class="effects">{shown}</p><span class="verdict">{verdict}</span>'
