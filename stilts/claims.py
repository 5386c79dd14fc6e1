"""The published claims as a ledger: where each is tested here, our effect with its interval, and a verdict by rule.

Published effects are those of Phang et al. (2020) on XTREME with XLM-R Large, in points.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stilts.analysis import count, listed
from stilts.linguistics import language
from stilts.records import Record
from stilts.statistics import (
    BASELINE,
    LEVEL,
    SOURCE_LANGUAGE,
    Estimate,
    Replicates,
    comparable,
    contrast,
    gain_weights,
)
from stilts.tasks import INTERMEDIATES, MULTI, TARGETS

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
        What takes the place of an effect where nothing is measured.
    unmeasured : Verdict
        The verdict then.
    """

    id: str
    text: str
    published: str
    tested: str
    parts: tuple[Part, ...] = ()
    note: str = ""
    unmeasured: Verdict = field(default=Verdict.NOT_TESTED)

    @property
    def verdict(self) -> Verdict:
        """Supported if every part is, not supported if any part is not, else cannot tell."""
        verdicts = {part.verdict for part in self.parts}
        if not verdicts:
            return self.unmeasured
        if Verdict.NOT_SUPPORTED in verdicts:
            return Verdict.NOT_SUPPORTED
        return Verdict.SUPPORTED if verdicts == {Verdict.SUPPORTED} else Verdict.CANNOT_TELL


def ledger(replicates: dict[str, Replicates], dev_scores: pd.DataFrame) -> list[Claim]:
    """Return the claims C1 to C10 with what the records say of them.

    Parameters
    ----------
    replicates : dict
        Target -> replicates, as `stilts.statistics.resample` returns.
    dev_scores : DataFrame
        condition, target, score: English dev scores averaged over seeds, as `english_dev_scores` returns.
    """
    return [
        _large_gains(replicates),
        _multi_is_best(replicates),
        _untrained_targets(replicates),
        _questions_and_inference(replicates),
        _chosen_on_dev(replicates, dev_scores),
        *_untested(),
        *_facts(replicates),
    ]


def _measured(missing: Iterable[str], measure: Callable[[], Iterable[Part]]) -> dict[str, Any]:
    """Return a claim's parts; or, where something that they compare has no records, a note that says so."""
    names = sorted(missing)
    return {"note": f"no records of {listed(names)} to compare"} if names else {"parts": tuple(measure())}


def _scope(replicates: dict[str, Replicates]) -> tuple[list[str], list[str]]:
    """Targets and conditions that can be averaged; none where nothing can be compared."""
    usable = any(BASELINE in part.conditions and len(part.conditions) > 1 for part in replicates.values())
    return comparable(replicates) if usable else ([], [])


def _large_gains(replicates: dict[str, Replicates]) -> Claim:
    targets, conditions = _scope(replicates)
    published = {"qa": 8.2, "nli": 7.5}
    return Claim(
        "C1",
        "Question answering (SQuAD), inference (MNLI) and sentence completion (HellaSwag) as intermediate tasks each "
        "raise the target tasks by a wide margin on average.",
        "+8.2, +7.5 and +7.0 (average of the dev sets)",
        f"Gain of `qa` and of `nli`, averaged over {count(targets, 'target')}; at least {LARGE:g} points each. "
        "Sentence completion has no counterpart here.",
        **_measured(
            set(published) - set(conditions),
            lambda: [
                Part(f"{name}, mean gain", contrast(replicates, gain_weights(name, targets)), LARGE, False, points)
                for name, points in published.items()
            ],
        ),
    )


def _multi_is_best(replicates: dict[str, Replicates]) -> Claim:
    targets, conditions = _scope(replicates)
    singles = [name for name in conditions if name in INTERMEDIATES]

    def parts() -> Iterable[Part]:
        gains = {name: contrast(replicates, gain_weights(name, targets)).value for name in singles}
        best = max(gains, key=lambda name: gains[name])
        # The best of several is partly the luckiest: an interval at the level of all comparisons at once allows for it.
        level = 1 - (1 - LEVEL) / len(singles)
        effect = contrast(replicates, gain_weights(MULTI, targets, baseline=best), level)
        yield Part(f"multi minus {best}, the best single", effect, published=0.5)

    missing = {MULTI} - set(conditions) if singles else {MULTI, "a single task"}
    return Claim(
        "C2",
        "Training on all intermediate tasks together does best on average.",
        "+8.7, against +8.2 for the best single task",
        f"Mean score after `multi` minus that after the best single task, over {count(targets, 'target')}; above zero. "
        f"The interval is widened (Bonferroni) for the choice of the best among {len(singles)} on the same scores.",
        **_measured(missing, parts),
    )


def _untrained_targets(replicates: dict[str, Replicates]) -> Claim:
    wanted = [name for name, task in TARGETS.items() if not task.trained]

    def parts() -> Iterable[Part]:
        for target in wanted:
            conditions = [name for name in replicates[target].conditions if name != BASELINE]
            yield Part(f"{target}, mean over tasks", _mean_over(replicates, conditions, target), LARGE)

    return Claim(
        "C3",
        "The target tasks without training data, mining (BUCC) and retrieval (Tatoeba), improve dramatically.",
        "large; no single figure",
        f"Gain on {listed(wanted)}, averaged over the intermediate conditions; at least {LARGE:g} points each.",
        **_measured(_without_gains(replicates, wanted), parts),
    )


def _without_gains(replicates: dict[str, Replicates], targets: Iterable[str]) -> list[str]:
    """Return the targets that have nothing to compare with the baseline."""
    return [name for name in targets if name not in replicates or not _scope({name: replicates[name]})[0]]


def _mean_over(replicates: dict[str, Replicates], conditions: Sequence[str], target: str) -> Estimate:
    """Gain on one target, averaged over conditions."""
    weights = {(name, target): 1 / len(conditions) for name in conditions} | {(BASELINE, target): -1.0}
    return contrast(replicates, weights)


def _questions_and_inference(replicates: dict[str, Replicates]) -> Claim:
    pair = ("command-qa", "command-nli")

    def parts() -> Iterable[Part]:
        for target, at_least, below in zip(pair, (0.0, NEGLIGIBLE), (False, True), strict=True):
            conditions = [name for name in replicates[target].conditions if name != BASELINE]
            effects = {name: contrast(replicates, gain_weights(name, [target])) for name in conditions}
            yield Part(f"{target}, mean over tasks", _mean_over(replicates, conditions, target), at_least, below)
            middle = sorted(conditions, key=lambda name: effects[name].value)[(len(conditions) - 1) // 2]
            yield Part(f"{target}, the median task ({middle})", effects[middle], at_least, below)

    return Claim(
        "C4",
        "Extractive question answering (TyDi QA) improves after many of the intermediate tasks, while inference (XNLI) "
        "does not benefit.",
        "signs per task; no single figure",
        "Gain on `command-qa`, on average over the intermediate conditions and for the median one, so that half of "
        f"them do at least as well; above zero. The same for `command-nli`; below {NEGLIGIBLE:g} point.",
        **_measured(_without_gains(replicates, pair), parts),
    )


def _chosen_on_dev(replicates: dict[str, Replicates], dev_scores: pd.DataFrame) -> Claim:
    chosen = best_on_dev(replicates, dev_scores)

    def parts() -> Iterable[Part]:
        weights: dict[tuple[str, str], float] = {}
        for target, name in chosen.items():
            weights |= gain_weights(name, [target])
        shared = {pair: weight / len(chosen) for pair, weight in weights.items()}
        yield Part("chosen on English dev", contrast(replicates, shared), published=5.4)

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


def best_on_dev(replicates: dict[str, Replicates], dev_scores: pd.DataFrame) -> dict[str, str]:
    """Return the condition with the best English dev score for each target that has both dev and test scores.

    The baseline does not stand for choice. Of equal scores the first in the study's order is taken.
    """
    chosen = {}
    for target, part in replicates.items():
        usable = [name for name in part.conditions if name != BASELINE and BASELINE in part.conditions]
        rows = dev_scores[(dev_scores["target"] == target) & dev_scores["condition"].isin(usable)]
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


def _untested() -> list[Claim]:
    return [
        Claim(
            "C6",
            "English intermediate tasks alone do as well as with multilingual language modelling mixed in, or with the "
            "intermediate data translated: neither is consistently better.",
            "neither consistently better",
            "The two conditions against English alone; no recorded study has them.",
            note="no records of either condition",
        )
    ]


def _facts(replicates: dict[str, Replicates]) -> list[Claim]:
    groups = dict.fromkeys(task.group for task in INTERMEDIATES.values())
    tested = {code for part in replicates.values() for code in part.languages}
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
            "The task registry.",
            note=f"{count(list(INTERMEDIATES), 'intermediate task')}: {', '.join(groups)}",
            unmeasured=Verdict.STATED,
        ),
        Claim(
            "C10",
            "XTREME covers up to 40 typologically diverse languages over nine tasks.",
            "40 languages, 9 tasks",
            "The task registry and the records.",
            note=f"{len(tested)} languages, {shared} of them XTREME's, over {count(list(replicates), 'target task')}",
            unmeasured=Verdict.STATED,
        ),
    ]


def as_table(claims: Iterable[Claim]) -> pd.DataFrame:
    """Return the ledger for readers: claim, published effect, where it is tested, our effect, verdict."""
    rows = [
        {
            "": claim.id,
            "claim": claim.text,
            "published": claim.published,
            "tested here": claim.tested,
            "our effect": "; ".join(f"{part.text}: {part.effect}" for part in claim.parts) or claim.note or "–",
            "verdict": str(claim.verdict),
        }
        for claim in claims
    ]
    return pd.DataFrame(rows)


def as_parts(claims: Iterable[Claim]) -> pd.DataFrame:
    """Return one row per measured part: id, part, value, low, high, at_least, published (points), verdict."""
    rows = [
        {
            "id": claim.id,
            "part": part.text,
            "value": part.effect.value,
            "low": part.effect.low,
            "high": part.effect.high,
            "at_least": part.at_least,
            "published": np.nan if part.published is None else part.published,
            "verdict": str(part.verdict),
        }
        for claim in claims
        for part in claim.parts
    ]
    columns = ["id", "part", "value", "low", "high", "at_least", "published", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def summary(claims: Sequence[Claim]) -> str:
    """Say how many claims got which verdict."""
    verdicts = [claim.verdict for claim in claims]
    named = [f"{verdict} {verdicts.count(verdict)}" for verdict in Verdict if verdict in verdicts]
    return f"Of {len(claims)} claims: {', '.join(named)}."


def show(table: pd.DataFrame) -> "HTML":
    """Return what `as_table` makes, set for the page: code type as such, an effect a line, verdicts framed."""
    from IPython.display import HTML

    marked = table.map(lambda text: re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text)))
    marked["our effect"] = marked["our effect"].str.replace("; ", "<br>")
    marked["verdict"] = marked["verdict"].map('<span class="verdict">{}</span>'.format)
    return HTML(marked.to_html(index=False, escape=False, border=0, justify="left", classes="ledger"))
