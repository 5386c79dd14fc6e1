"""Question 1: does the order of the source languages of intermediate training change zero-shot question answering?

Conditions are told apart by the source languages of their stages: English twice, another language twice, English first
and the other last, English last, both mixed in one stage. All of them make the same number of updates.

Outcomes, in points
-------------------
F1 of languages that no condition trains on in the intermediate phase (`unseen`), of the language beside English
(`seen`), and of English, in which the target is trained; never averaged over two of these.
Before target training, of the same languages: F1 of the head that intermediate training leaves (`direct`), on the
questions that it was trained for. Target training in English, which all conditions share, could level out what order
did.
Forgetting: the dev score of the first stage's language after the second stage minus after the first; negative is
forgotten.

An effect of order is the score with English last minus the score with English first, averaged over the languages
beside English, each of which has both orders.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from stilts.analysis.captions import state_gains
from stilts.analysis.contrasts import (
    Weights,
    add_weights,
    contrast,
    find_missing,
    find_unseen,
    keep_languages,
    scale_weights,
    weigh_evenly,
    weigh_gain,
)
from stilts.analysis.estimates import Estimate, keep_clear
from stilts.analysis.languages.facts import get_language, tabulate_languages
from stilts.analysis.questions import chapters
from stilts.analysis.questions.chapters import Answer, Section
from stilts.analysis.questions.crossed import estimate_effect, estimate_from_evidence, estimate_mean_effect
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS, tabulate_learned_outcomes
from stilts.analysis.questions.sentences import describe_uncorrected
from stilts.analysis.questions.tables import tabulate_language_means
from stilts.analysis.questions.testing import Result, Rules, Test, make_unrecorded, make_untested, note_sources
from stilts.analysis.wording import count, format_effect, format_signed
from stilts.study.records import Record
from stilts.study.settings import SOURCE_LANGUAGE, Study
from stilts.tasks.registry import TARGETS, get_intermediate, resolve_conditions

UNSEEN, SEEN, ENGLISH = "unseen", "seen", "English"
KINDS = (UNSEEN, SEEN, ENGLISH)
NO_ORDERS = "the study has no language with both orders"
# Kinds of conditions that a sentence calls otherwise than a table.
_WORDS = {"mixed": "both languages mixed", "the other twice": "the other language twice"}

Stages = tuple[tuple[str, ...], ...]
"""Source languages of each stage of the intermediate phase, none without intermediate training."""


@dataclass(frozen=True)
class Plan:
    """Which condition has which stages.

    Attributes
    ----------
    stages : dict
        Condition -> its stages.
    """

    stages: Mapping[str, Stages]

    def named(self, *stages: Iterable[str]) -> str | None:
        """Return the condition with these stages, in whatever order the languages of one stage stand; None if none."""
        wanted = [set(stage) for stage in stages]
        return next((name for name, own in self.stages.items() if [set(stage) for stage in own] == wanted), None)

    @property
    def baseline(self) -> str | None:
        """The condition without intermediate training."""
        return self.named()

    @property
    def sources(self) -> list[str]:
        """All source languages besides English, in the study's order."""
        found = (code for own in self.stages.values() for stage in own for code in stage)
        return [code for code in dict.fromkeys(found) if code != SOURCE_LANGUAGE]

    @property
    def others(self) -> list[str]:
        """The languages beside English that have both orders."""
        return [code for code in self.sources if self.english_first(code) and self.english_last(code)]

    def english_first(self, code: str) -> str | None:
        """Return the condition with English before a language."""
        return self.named([SOURCE_LANGUAGE], [code])

    def english_last(self, code: str) -> str | None:
        """Return the condition with a language before English."""
        return self.named([code], [SOURCE_LANGUAGE])

    def twice(self, code: str) -> str | None:
        """Return the condition with two stages in one language."""
        return self.named([code], [code])

    def mixed(self, code: str) -> str | None:
        """Return the condition with English and a language in one stage."""
        return self.named([SOURCE_LANGUAGE, code])

    @property
    def groups(self) -> dict[str, list[str | None]]:
        """Conditions of one kind each, over the languages beside English; None for what the study lacks.

        Twice in another language is a control that a study may have for some of its languages, or for none.
        """
        return {
            "none": [self.baseline],
            "English twice": [self.twice(SOURCE_LANGUAGE)],
            "the other twice": [name for name in map(self.twice, self.others) if name],
            "English first": [self.english_first(code) for code in self.others],
            "English last": [self.english_last(code) for code in self.others],
            "mixed": [self.mixed(code) for code in self.others],
        }

    def title(self, name: str) -> str:
        """Return what a condition does, for readers: "German, then English"."""
        own = self.stages[name]
        if not own:
            return "none"
        said = [" and ".join(get_language(code).name for code in stage) for stage in own]
        if len(said) == 1:
            return f"{said[0]}, mixed" if len(own[0]) > 1 else f"{said[0]}, one stage"
        return f"{said[0]} twice" if len(set(said)) == 1 else ", then ".join(said)


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    plan : Plan
    scores : DataFrame
        As `stilts.analysis.questions.evidence.tabulate_learned_outcomes` returns it; may be empty.
    direct : DataFrame
        The same of targets that the head of an intermediate task predicts, before target training.
    dev : DataFrame
        A row for each condition of two stages and seed: condition, first and second (languages), seed, before and after
        (dev score of the first stage's language in percent, after the first and after the second stage).
    redrawn : Evidence or None
        See `stilts.analysis.questions.evidence.Redrawable`.
    """

    plan: Plan
    scores: pd.DataFrame
    dev: pd.DataFrame
    direct: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(OUTCOME_COLUMNS)))
    redrawn: "Evidence | None" = None

    @property
    def unseen(self) -> list[str]:
        """Test languages in which no condition has intermediate data, English left out too."""
        return find_unseen(self.scores["language"].unique(), self.plan.sources)

    @property
    def before_target(self) -> "Evidence":
        """The evidence with the scores before target training."""
        return replace(self, scores=self.direct, redrawn=None)

    def order(self, code: str) -> Weights:
        """Return the weights of English last minus English first, for one language beside English."""
        return weigh_gain(self.plan.english_last(code), self.plan.english_first(code))

    def mean_order(self, codes: Sequence[str]) -> Weights:
        """Return the weights of English last minus English first, averaged over some languages beside English."""
        return add_weights(*(scale_weights(self.order(code), 1 / len(codes)) for code in codes))

    def both_orders(self) -> list[str]:
        """Conditions with English and another language in two stages."""
        each = ((self.plan.english_first(code), self.plan.english_last(code)) for code in self.plan.others)
        return [name for pair in each for name in pair]


# --- Evidence --------------------------------------------------------------------------------------------------------


def make_plan(study: Study) -> Plan:
    """Return which condition of a study has which stages."""
    return Plan({
        each.name: tuple(
            tuple(dict.fromkeys(get_intermediate(task).source_language for task in stage))
            for stage in (*each.before, each.tasks) if stage
        )
        for each in resolve_conditions(study)
    })  # fmt: skip


def gather(study: Study, records: Sequence[Record], failed: Collection[tuple[str, str]]) -> Evidence:
    """Return the evidence from a study's records, of which there may be none, without the cells not learned."""
    plan, table = make_plan(study), tabulate_learned_outcomes(records, failed)
    direct = table["target"].isin([name for name, task in TARGETS.items() if task.scored_by])
    scores, before = (table[chosen].reset_index(drop=True) for chosen in (~direct, direct))
    return Evidence(plan, scores, tabulate_dev_scores(records, plan), before)


def tabulate_dev_scores(records: Iterable[Record], plan: Plan) -> pd.DataFrame:
    """Return `Evidence.dev` from the records of both stages; a condition that lacks the first one's is left out.

    So is one with several languages in a stage, whose training has no one dev score.
    """
    known = {record.id: record for record in records}
    rows = []
    for record in known.values():
        own = plan.stages.get(record.run.condition, ())
        if record.run.phase != "intermediate" or [len(stage) for stage in own] != [1, 1]:
            continue
        if record.run.parents[0] not in known:
            continue
        (first,), (second,) = own
        before = known[record.run.parents[0]].metrics[first]["score"]
        rows.append((record.run.condition, first, second, record.run.seed, before, record.metrics[first]["score"]))
    return pd.DataFrame(rows, columns=["condition", "first", "second", "seed", "before", "after"])


# --- Tests -----------------------------------------------------------------------------------------------------------


def compare_orders_unseen(evidence: Evidence, rules: Rules) -> Result:
    """English last minus English first, in languages that no condition trains on in the intermediate phase."""
    others = evidence.plan.others
    return estimate_mean_effect(evidence, evidence.mean_order(others), evidence.unseen, rules, _chosen(others))


def compare_orders_seen(evidence: Evidence, rules: Rules) -> Result:
    """English last minus English first, in the language beside English; a row for each of these languages."""
    if absent := find_missing(evidence.scores, evidence.both_orders()):
        return make_unrecorded(absent)
    if not evidence.plan.others:
        return make_untested(NO_ORDERS)
    return estimate_from_evidence(evidence, _own_orders, rules)


def _own_orders(evidence: Evidence) -> pd.DataFrame:
    """Return the effect of order in each language beside English that was trained, a row each."""
    others = evidence.plan.others
    return pd.concat([keep_languages(contrast(evidence.scores, evidence.order(code)), [code]) for code in others])


def compare_orders_unseen_direct(evidence: Evidence, rules: Rules) -> Result:
    """The effect of order in unseen languages before target training."""
    return compare_orders_unseen(evidence.before_target, rules)


def compare_orders_seen_direct(evidence: Evidence, rules: Rules) -> Result:
    """The effect of order in the language beside English before target training."""
    return compare_orders_seen(evidence.before_target, rules)


def compare_order_groups_direct(evidence: Evidence, rules: Rules) -> Result:
    """The effect of order beside `WEAK_LAST` minus beside the others, in unseen languages before target training."""
    others = evidence.plan.others
    weak, rest = ([code for code in others if (code in WEAK_LAST) == wanted] for wanted in (True, False))
    if not others:
        return make_untested(NO_ORDERS, expected=1)
    if not weak or not rest:
        return make_untested("the study lacks both orders of German or Thai, or of another language", expected=1)
    weights = add_weights(evidence.mean_order(weak), scale_weights(evidence.mean_order(rest), -1.0))
    before = evidence.before_target
    return estimate_mean_effect(before, weights, evidence.unseen, rules, _chosen(others), expected=1)


def compare_two_languages(evidence: Evidence, rules: Rules) -> Result:
    """Two languages, in the mean of both orders, minus English twice, in unseen languages."""
    twice = evidence.plan.twice(SOURCE_LANGUAGE)
    if twice is None:
        return make_untested("the study has no condition with English twice")
    if not evidence.plan.others:
        return make_untested(NO_ORDERS)
    weights = add_weights(weigh_evenly(evidence.both_orders()), {twice: -1.0})
    return estimate_mean_effect(evidence, weights, evidence.unseen, rules, _chosen(evidence.plan.others))


def compare_mixed(evidence: Evidence, rules: Rules) -> Result:
    """Two languages in one stage minus one after the other, in the mean of both orders, in unseen languages."""
    names = [evidence.plan.mixed(code) for code in evidence.plan.others]
    if None in names:
        return make_untested("the study lacks a mixed condition for one of its languages")
    weights = add_weights(weigh_evenly(names), weigh_evenly(evidence.both_orders(), -1.0))
    return estimate_mean_effect(evidence, weights, evidence.unseen, rules, _chosen(evidence.plan.others))


def estimate_forgetting(evidence: Evidence, rules: Rules) -> Result:
    """Dev score of the first language after the other's stage minus after its own; a row for each pair with English."""
    changes = tabulate_dev_changes(evidence)
    if changes.empty:
        return make_untested("nothing is recorded yet of both stages", expected=-1)
    both = changes.groupby(["other", "seed"])["change"].mean().unstack("seed")
    return estimate_effect(both, rules, expected=-1)


def tabulate_dev_changes(evidence: Evidence) -> pd.DataFrame:
    """Return what the second stage does to the first one's dev score, for each condition of two languages and seed.

    Columns: condition, first, other (the language beside English), seed, change (points; negative is forgotten).

    Seeds at which one of the two orders is not recorded are left out.
    """
    table = evidence.dev[evidence.dev["first"] != evidence.dev["second"]]
    other = table["first"].where(table["first"] != SOURCE_LANGUAGE, table["second"])
    table = table.assign(other=other, change=table["after"] - table["before"])
    whole = table.groupby(["other", "seed"])["condition"].transform("count") == 2
    return table.loc[whole, ["condition", "first", "other", "seed", "change"]].reset_index(drop=True)


def _chosen(others: Sequence[str]) -> tuple[str, ...]:
    return note_sources(", ".join(get_language(code).name for code in others))


# In three seeds before the study's own, the head was worst in unseen languages where one of these came last.
WEAK_LAST = ("de", "th")
_ORDER = "English last minus English first"
_DIRECT = "before target training"
TESTS: dict[str, Test] = {
    "order-unseen": Test(f"{_ORDER}, unseen languages", compare_orders_unseen),
    "order-seen": Test(f"{_ORDER}, the other source language", compare_orders_seen),
    "two-languages": Test("two source languages minus English twice", compare_two_languages),
    "mixed": Test("mixed minus one after the other", compare_mixed),
    "forgetting": Test("first language's dev score, after the second stage minus before it", estimate_forgetting),
    "order-unseen-direct": Test(f"{_ORDER}, unseen languages, {_DIRECT}", compare_orders_unseen_direct),
    "order-groups-direct": Test(
        f"{_ORDER}, beside German and Thai minus beside the others, unseen languages, {_DIRECT}",
        compare_order_groups_direct,
    ),
    "order-seen-direct": Test(f"{_ORDER}, the other source language, {_DIRECT}", compare_orders_seen_direct),
}


# --- Tables ----------------------------------------------------------------------------------------------------------


def tabulate_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return each condition's gain over none and over English alone, for each kind of language.

    English alone is English twice, or for a condition of one stage English in one stage, where the study has it.

    Returns
    -------
    DataFrame
        condition, training (in words), languages (`unseen`, `seen`, `English`), rows (how many they are), score
        (percent), gain, low, high (over none), over_english, over_english_low, over_english_high (points). Kinds
        without a language are left out.
    """
    plan = evidence.plan
    recorded = [name for name in plan.stages if not find_missing(evidence.scores, [name])]
    trained = [name for name in recorded if name != plan.baseline and plan.baseline in recorded]
    rows = [_gain_row(evidence, rules, name, kind) for name in trained for kind in KINDS]
    columns = ["condition", "training", "languages", "rows", "score", "gain", "low", "high", "over_english",
               "over_english_low", "over_english_high"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[4:], float))
    return table.dropna(subset=["score"]).reset_index(drop=True)


def _gain_row(evidence: Evidence, rules: Rules, name: str, kind: str) -> dict[str, str | float]:
    plan, codes = evidence.plan, _of_kind(evidence, name, kind)
    row = {"condition": name, "training": plan.title(name), "languages": kind, "rows": len(codes)}
    row["score"] = _estimate(evidence, {name: 1.0}, codes, rules).value
    row |= _estimate(evidence, weigh_gain(name, plan.baseline), codes, rules).row("gain")
    alone = _english_alone(plan, name)
    if alone is not None and alone != name and not find_missing(evidence.scores, [alone]):
        row |= _estimate(evidence, weigh_gain(name, alone), codes, rules).ends("over_english")
    return row


def _english_alone(plan: Plan, name: str) -> str | None:
    one_stage = plan.named([SOURCE_LANGUAGE]) if len(plan.stages[name]) == 1 else None
    return one_stage or plan.twice(SOURCE_LANGUAGE)


def _of_kind(evidence: Evidence, name: str, kind: str) -> list[str]:
    if kind == UNSEEN:
        return evidence.unseen
    own = {code for stage in evidence.plan.stages[name] for code in stage}
    return sorted(own - {SOURCE_LANGUAGE}) if kind == SEEN else [SOURCE_LANGUAGE]


def _estimate(evidence: Evidence, weights: Weights, codes: Sequence[str], rules: Rules) -> Estimate:
    """Value and interval; of one language and one seed the value alone."""
    kept = keep_languages(contrast(evidence.scores, weights), codes)
    redrawn = None
    if evidence.redrawn is not None:
        redrawn = keep_languages(contrast(evidence.redrawn.scores, weights), codes)
    return replace(estimate_effect(kept, rules, redrawn=redrawn), value=kept.mean(axis=None))


def tabulate_kind_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the mean gain over none of each kind of conditions in unseen languages.

    Returns
    -------
    DataFrame
        group, conditions (their number), rows (languages), gain, low, high (points). Kinds that are not recorded as a
        whole are left out.
    """
    rows = [
        {"group": kind, "conditions": len(weights) - 1, "rows": len(evidence.unseen)}
        | _estimate(evidence, weights, evidence.unseen, rules).row("gain")
        for kind, weights in _weigh_kinds(evidence).items()
    ]
    return pd.DataFrame(rows, columns=["group", "conditions", "rows", "gain", "low", "high"])


def tabulate_kind_language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return the same in each unseen language: group, language, gain (points)."""
    kinds = _weigh_kinds(evidence).items()
    gains = {kind: keep_languages(contrast(evidence.scores, weights), evidence.unseen) for kind, weights in kinds}
    return tabulate_language_means(gains)


def _weigh_kinds(evidence: Evidence) -> dict[str, Weights]:
    """Return the weights of each recorded kind's mean gain over none."""
    kinds = {kind: names for kind, names in evidence.plan.groups.items() if names and None not in names}
    (baseline,) = kinds.pop("none", [""])
    gains = {kind: add_weights(weigh_evenly(names), {baseline: -1.0}) for kind, names in kinds.items()}
    return {kind: weights for kind, weights in gains.items() if not find_missing(evidence.scores, weights)}


def tabulate_orders_by_source(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the effect of order for each language beside English by itself.

    Returns
    -------
    DataFrame
        source, languages (`unseen`, `seen`, `English`), effect, low, high (points, English last minus first), rows
        (languages). Nothing is corrected.
    """
    rows = []
    for code in evidence.plan.others:
        if find_missing(evidence.scores, evidence.order(code)):
            continue
        for kind in KINDS:
            codes = _of_kind(evidence, evidence.plan.english_last(code), kind)
            found = _estimate(evidence, evidence.order(code), codes, rules).row("effect")
            rows.append({"source": get_language(code).name, "languages": kind, "rows": len(codes)} | found)
    return pd.DataFrame(rows, columns=["source", "languages", "effect", "low", "high", "rows"])


def tabulate_order_effects(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the effect of order in unseen languages beside each language, before and after target training.

    Returns
    -------
    DataFrame
        group (the language beside English, and when), rows (languages), gain, low, high (points, English last minus
        first). Nothing is corrected.
    """
    rows = [
        {"group": name, "rows": len(scored.unseen)} | _estimate(scored, weights, scored.unseen, rules).row("gain")
        for name, (scored, weights) in _weigh_orders(evidence).items()
    ]
    return pd.DataFrame(rows, columns=["group", "rows", "gain", "low", "high"])


def tabulate_language_order_effects(evidence: Evidence) -> pd.DataFrame:
    """Return the same in each unseen language: group, language, gain (points)."""
    return tabulate_language_means({
        name: keep_languages(contrast(scored.scores, weights), scored.unseen)
        for name, (scored, weights) in _weigh_orders(evidence).items()
    })


def _weigh_orders(evidence: Evidence) -> dict[str, tuple[Evidence, Weights]]:
    """Return the weights of the effect of order beside each language, and the evidence before and after the target."""
    moments = {"before": evidence.before_target, "after": evidence}
    return {
        f"{get_language(code).name}, {when}": (scored, evidence.order(code))
        for code in evidence.plan.others
        for when, scored in moments.items()
        if not find_missing(scored.scores, evidence.order(code))
    }


def tabulate_scores_by_language(evidence: Evidence) -> pd.DataFrame:
    """Return the F1 of each test language by kind of training, averaged over the languages beside English and seeds.

    Returns
    -------
    DataFrame
        language, code, family, trained (whether the intermediate phase of some condition has it), and in percent
        `none`, `English twice`, `English first`, `English last`, `mixed`, of those that are recorded as a whole.
    """
    plan = evidence.plan
    whole = {
        title: names for title, names in plan.groups.items()
        if names and None not in names and not find_missing(evidence.scores, names)
    }  # fmt: skip
    means = {title: contrast(evidence.scores, weigh_evenly(names)).mean(axis=1) for title, names in whole.items()}
    table = pd.DataFrame(means)
    facts = tabulate_languages(table.index)[["name", "code", "family"]].set_index("code", drop=False)
    facts["trained"] = facts["code"].isin([SOURCE_LANGUAGE, *plan.sources])
    return facts.rename(columns={"name": "language"}).join(table).reset_index(drop=True)


def tabulate_forgetting(evidence: Evidence) -> pd.DataFrame:
    """Return, for each condition of two stages, its first language's dev score after either stage.

    Returns
    -------
    DataFrame
        condition, training, language (of the first stage), before, after, change (means over seeds), seeds.
    """
    rows = []
    for name in (each for each in evidence.plan.stages if each in set(evidence.dev["condition"])):
        part = evidence.dev[evidence.dev["condition"] == name]
        before, after = part["before"].mean(), part["after"].mean()
        first = get_language(part["first"].iloc[0]).name
        rows.append((name, evidence.plan.title(name), first, before, after, after - before, len(part)))
    return pd.DataFrame(rows, columns=["condition", "training", "language", "before", "after", "change", "seeds"])


# --- Sentences -------------------------------------------------------------------------------------------------------


def answer_question(section: Section) -> Answer:
    """Answer the question from a study's records; without any it says how to make them."""
    evidence = gather(section.settings, section.analysis.records, section.analysis.failed)
    return chapters.answer_from_scores(section, evidence, TESTS, summarize_gains, describe_single_sources)


def summarize_gains(evidence: Evidence, rules: Rules) -> str:
    """Say what intermediate training in English, and in both orders, gains over none in unseen languages."""
    table = tabulate_gains(evidence, rules)
    table = table[table["languages"] == UNSEEN].set_index("condition")
    plan = evidence.plan
    said = [
        f"{format_signed(table.loc[names, 'gain'].mean())} with {_WORDS.get(title, title)}"
        for title, names in plan.groups.items() if names and set(names) <= set(table.index)
    ]  # fmt: skip
    if not said:
        return ""
    others = ", ".join(get_language(code).name for code in plan.others)
    return (
        f"Beside English stand {others}. In {count(evidence.unseen, 'language')} that the intermediate phase has not "
        f"seen, F1 changes against no intermediate training by {'; '.join(said)} (points)."
    )


def describe_single_sources(evidence: Evidence, rules: Rules) -> str:
    """Say between which languages beside English the effect of order in unseen languages lies; "" of fewer than two."""
    table = tabulate_orders_by_source(evidence, rules)
    table = table[table["languages"].eq(UNSEEN)].dropna(subset="effect")
    if len(table) < 2:
        return ""
    low, high = (table.loc[getattr(table["effect"], end)()] for end in ("idxmin", "idxmax"))
    said = (
        f"{format_effect(row['effect'], row['low'], row['high'], '')} beside {row['source']}" for row in (low, high)
    )
    return (
        f"It is a mean over {len(table)} languages beside English. Uncorrected, English last minus English first lies, "
        f"in unseen languages, between {' and '.join(said)}."
    )


def describe_gains(table: pd.DataFrame) -> str:
    """Say of `tabulate_gains` which orders gain and lose in unseen languages."""
    unseen = table[table["languages"] == UNSEEN]
    return state_gains(unseen, unseen["training"].tolist(), "order of intermediate training", " in unseen languages")


def describe_sources(table: pd.DataFrame) -> str:
    """Say of `tabulate_orders_by_source` where the order matters by itself."""
    named = [f"{row['source']}, {row['languages']}: {format_effect(row['effect'], row['low'], row['high'])}"
             for row in table.to_dict("records")]  # fmt: skip
    said = describe_uncorrected(table, named, "No language has both orders on record yet.")
    return f"{said} Positive is better with English last." if len(keep_clear(table)) else said


def describe_order_effects(table: pd.DataFrame) -> str:
    """Say of `tabulate_order_effects` where the order matters by itself."""
    named = [f"{row.group} {format_effect(row.gain, row.low, row.high)}" for row in table.itertuples()]
    return describe_uncorrected(table, named, "No language has both orders on record yet.")


def describe_forgetting(evidence: Evidence) -> str:
    """Say what English lost or gained while another language was trained, and another language while English was."""
    changes = tabulate_dev_changes(evidence)
    if changes.empty:
        return "No condition of two languages has both stages on record yet."
    english = changes["first"] == SOURCE_LANGUAGE
    first, other = (_moved(changes.loc[chosen, "change"].mean()) for chosen in (english, ~english))
    return (
        f"English {first} points of dev F1 while the language after it is trained; a language before English {other} "
        "points while English is."
    )


def _moved(change: float) -> str:
    return f"{'gains' if change > 0 else 'loses'} {abs(change):.1f}"
