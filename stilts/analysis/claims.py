"""The ledger of published claims: how a study tests each claim, the effect with its interval, and the verdict.

Published effects are those of Phang et al. (2020) on XTREME with XLM-R Large, in points. Verdicts follow the rule of
`stilts.analysis.verdicts`, corrected for all parts of a study's ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.conditions import (
    MIXED,
    TRANSLATED,
    Counterpart,
    choose_by_dev,
    is_same_task,
    list_english_conditions,
    list_single_tasks,
    pair_with_english,
)
from stilts.analysis.contrasts import (
    Weights,
    add_weights,
    average_weights,
    keep_shared_languages,
    scale_weights,
    weigh_evenly,
    weigh_gain,
)
from stilts.analysis.effects import estimate_contrast, estimate_layer, find_targets
from stilts.analysis.estimates import LEVEL, Estimate
from stilts.analysis.learning import keep_counted
from stilts.analysis.opened import Analysis
from stilts.analysis.room import explain_frozen, find_published_layer
from stilts.analysis.verdicts import (
    OPEN,
    Hypothesis,
    Judgement,
    Kind,
    Measurement,
    Verdict,
    explain_no_room,
    join,
    judge,
)
from stilts.analysis.wording import count, format_signed, join_names, join_words
from stilts.study.settings import BASELINE
from stilts.tasks.registry import INTERMEDIATES, MULTI, TARGETS

LARGE = 2.0
"""Points that a gain called large or dramatic must reach; about a quarter of the smallest published one."""

NEGLIGIBLE = 1.0
"""Points below which a gain counts as no benefit."""

WIDE_GAIN = Hypothesis(Kind.ABOVE, LARGE, LARGE)
GAIN = Hypothesis(Kind.ABOVE, NEGLIGIBLE)
NO_BENEFIT = Hypothesis(Kind.NO_MORE, NEGLIGIBLE)

OVER_NONE = "over no intermediate task"
"""Key of the part of C2 that compares all tasks together with the baseline."""

UNJUDGED = Judgement(Verdict.UNTESTABLE, "nothing is recorded of it", float("nan"))


@dataclass(frozen=True)
class Part:
    """One measurable part of a claim.

    Attributes
    ----------
    key : str
        What tells it from the other parts of its claim, in a few words.
    text : str
        What is measured.
    effect : Estimate
        In points.
    hypothesis : Hypothesis
        What the claim says about the effect.
    published : float or None
        The published effect to compare with.
    obstacle : str
        Why the part cannot be tested, "" if it can.
    choices : int
        Number of conditions from which one was chosen by the same scores.
    pair : Counterpart or None
        The two conditions, if the effect is the difference of one from its English counterpart.
    scope : str
        The targets that such a difference is averaged over: "7 targets that train".
    judgement : Judgement
    """

    key: str
    text: str
    effect: Estimate
    hypothesis: Hypothesis = GAIN
    published: float | None = None
    obstacle: str = ""
    choices: int = 1
    pair: Counterpart | None = None
    scope: str = ""
    judgement: Judgement = UNJUDGED

    @property
    def measurement(self) -> Measurement:
        """The effect in the form in which it is judged."""
        found = self.effect
        return Measurement(found.value, found.se, found.df, found.seeds, self.obstacle, self.choices)


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
        How this project tests it.
    parts : tuple of Part
        Empty if nothing is measured.
    note : str
        Text in place of an effect if nothing is measured, or further information.
    incomplete : bool
        Whether a part of the claim is not measured, so that the claim as a whole cannot be supported.
    judgement : Judgement
        Of all parts together.
    """

    id: str
    text: str
    published: str
    tested: str
    parts: tuple[Part, ...] = ()
    note: str = ""
    incomplete: bool = False
    judgement: Judgement = UNJUDGED

    @property
    def verdict(self) -> Verdict:
        """Verdict on all parts together."""
        return self.judgement.verdict


@dataclass(frozen=True)
class Roles:
    """The tasks of a suite that correspond to those in the claims.

    Attributes
    ----------
    large : dict
        Intermediate task -> its published mean gain in points (C1).
    missing : str
        A sentence on the tasks without a counterpart in the suite; "" if there are none.
    untrained : tuple of str
        Target tasks for retrieval and mining (C3).
    improving, unaffected : str
        Target tasks that correspond to TyDi QA and XNLI (C4).
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
    """Data from a study's records that the claims need.

    Attributes
    ----------
    suite : str
    replicates : dict
        Target -> replicates of the conditions that count, see `stilts.analysis.opened.Analysis.counted`.
    dev_scores : DataFrame
        condition, target, score: English dev scores, see `stilts.analysis.learning.tabulate_dev_scores`.
    tasks : dict
        Condition -> its intermediate tasks.
    scores : DataFrame
        One row per zero-shot run and language, with retrieval accuracy by layer; may be empty.
    failed : dict
        (condition, target) -> why the target counts as not learned.
    floors : dict
        Target -> score by guessing on its test sets, in percent; 0 for other targets.
    read_layers : dict
        Target without training -> hidden layer after which its sentences are read, 1 for the first, -1 for the last.
    layers : int
        Number of the encoder's hidden layers; 0 if it is not known.
    untrained : dict
        Target without training -> its replicates, with room for an effect or not.
    frozen_layers : dict
        Condition -> number of lowest layers that its intermediate training froze.
    with_failures : dict or None
        As `replicates`, with the trainings that stayed at chance on a target which the baseline has learned; None if
        there are none.
    """

    suite: str
    replicates: Mapping[str, Replicates]
    dev_scores: pd.DataFrame
    tasks: Mapping[str, tuple[str, ...]]
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    failed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    read_layers: Mapping[str, int] = field(default_factory=dict)
    layers: int = 0
    untrained: Mapping[str, Replicates] = field(default_factory=dict)
    frozen_layers: Mapping[str, int] = field(default_factory=dict)
    with_failures: Mapping[str, Replicates] | None = None

    @property
    def roles(self) -> Roles:
        """The suite's tasks that correspond to those in the claims."""
        return ROLES[self.suite]

    @property
    def all_replicates(self) -> dict[str, Replicates]:
        """Replicates of what counts, and of all targets without training."""
        return {**self.replicates, **self.untrained}

    @property
    def conditions(self) -> list[str]:
        """Conditions with a test score of any target, without the baseline, in the study's order."""
        return [name for name in self.tasks if name != BASELINE and self.targets_of(name)]

    def targets_of(self, *conditions: str, baseline: str = BASELINE) -> list[str]:
        """Return the targets that count in all of these conditions and with the baseline."""
        return find_targets(self.replicates, [*conditions, baseline])

    def others(self, condition: str, targets: Iterable[str]) -> list[str]:
        """Return the targets that are not the same task as one of a condition's tasks."""
        return [name for name in targets if not is_same_task(self.tasks[condition], name)]

    def english(self, target: str) -> list[str]:
        """Return the conditions with only English intermediate tasks in which a target was learned.

        The baseline and conditions that include the target's own task are left out.
        """
        part = self.all_replicates.get(target)
        if part is None or BASELINE not in part.conditions:
            return []
        known = list_english_conditions(self.tasks)
        return [name for name in known if name in part.conditions and not is_same_task(self.tasks[name], target)]

    @cached_property
    def claims(self) -> "list[Claim]":
        """The ledger, see `judge_claims`."""
        return judge_claims(self)

    def explain_frozen(self, target: str, layer: int) -> str:
        """Return why a target's vectors after a layer could hardly change, "" if they could; see `room`."""
        return explain_frozen(max(self.frozen_layers.get(name, 0) for name in self.english(target)), layer)

    def no_room(self, asked: Hypothesis, targets: Sequence[str], baseline: str = BASELINE) -> str:
        """Return why an effect on the mean of targets has no room, "" if it has; see `verdicts.explain_no_room`."""
        parts = [self.all_replicates[target] for target in targets]
        scores = [part.scores[part.others, part.conditions.index(baseline)].mean() for part in parts]
        floors = [self.floors.get(target, 0.0) for target in targets]
        return explain_no_room(asked, float(np.mean(scores)), float(np.mean(floors)))


def gather_evidence(analysis: Analysis) -> Evidence:
    """Return the evidence from a study's records."""
    untrained = {target: part for target, part in analysis.replicates.items() if not TARGETS[target].trained}
    return Evidence(
        suite=analysis.settings.data.suite,
        replicates=analysis.counted,
        dev_scores=analysis.dev_scores,
        tasks=analysis.conditions,
        scores=analysis.scores,
        failed=analysis.failed,
        floors=analysis.floors,
        read_layers=analysis.read_layers,
        layers=analysis.encoder_layers,
        untrained=keep_counted(untrained, analysis.single_seeds),
        frozen_layers=analysis.frozen_layers,
        with_failures=analysis.counted_with_failures if analysis.failed else None,
    )


def judge_claims(found: Evidence) -> list[Claim]:
    """Return the claims C1 to C6 and "Same task twice", judged by one study's records.

    A training that stays at chance is left out, since its score says nothing of transfer. But it may be what its
    condition did: a verdict stands only if it is the same with such trainings.
    """
    claims = _judge_parts(_draft_claims(found))
    if found.with_failures is not None:
        others = _judge_parts(_draft_claims(replace(found, replicates=found.with_failures)))
        claims = [_agree(*pair) for pair in zip(claims, others, strict=True)]
    return [_judge_whole(claim) for claim in claims]


def _draft_claims(found: Evidence) -> list[Claim]:
    return [
        _large_gains(found),
        _multi_is_best(found),
        _untrained_targets(found),
        _questions_and_inference(found),
        _chosen_on_dev(found),
        _english_is_enough(found),
        _same_task_twice(found),
    ]


def _judge_parts(claims: Sequence[Claim]) -> list[Claim]:
    """Return claims with each part judged, corrected for all parts together."""
    judged = iter(judge([(part.hypothesis, part.measurement) for claim in claims for part in claim.parts]))
    return [
        replace(claim, parts=tuple(replace(part, judgement=next(judged)) for part in claim.parts)) for claim in claims
    ]


def _agree(claim: Claim, other: Claim) -> Claim:
    """Return a claim whose verdicts stand only where they are the same with trainings that stayed at chance."""
    twins = {part.key: part for part in other.parts}
    return replace(claim, parts=tuple(_hold(part, twins[part.key]) for part in claim.parts))


def _hold(part: Part, twin: Part) -> Part:
    if twin.judgement.verdict is part.judgement.verdict:
        return part
    own = f"{part.judgement.verdict} by itself" if part.judgement.verdict is not Verdict.UNCLEAR else OPEN
    reason = f"{own}; with the trainings that stayed at chance {twin.effect}, {twin.judgement.verdict}"
    return replace(part, judgement=Judgement(Verdict.UNCLEAR, reason, part.judgement.p))


def _judge_whole(claim: Claim) -> Claim:
    parts = claim.parts
    whole = join([part.judgement for part in parts], [part.text for part in parts], not claim.incomplete)
    reason = whole.reason or ("" if parts else claim.note)
    return replace(claim, judgement=replace(whole, reason=reason))


def _no_records(missing: Iterable[str]) -> str:
    return f"no records of {join_names(sorted(missing))} to compare"


def _lost(found: Evidence, target: str) -> str:
    """Return why a target does not count: it was not learned, or has no records."""
    return found.failed.get((BASELINE, target)) or f"no records of `{target}` to compare"


def estimate_mean_gain(found: Evidence, condition: str, targets: Sequence[str], level: float = LEVEL) -> Estimate:
    """Return a condition's gain over no intermediate task, mean over targets."""
    return estimate_contrast(found.replicates, average_weights(weigh_gain(condition), targets), level)


def _large_gains(found: Evidence) -> Claim:
    published = found.roles.large
    targets = {name: found.others(name, found.targets_of(name)) for name in published if name in found.tasks}
    missing = [name for name in published if not targets.get(name)]
    parts = tuple(
        Part(
            name,
            f"{name}, mean gain over {count(own, 'target')}",
            estimate_mean_gain(found, name, own),
            WIDE_GAIN,
            published[name],
            found.no_room(WIDE_GAIN, own),
        )
        for name, own in targets.items()
        if own
    )
    return Claim(
        "C1",
        "Question answering (SQuAD), inference (MNLI) and sentence completion (HellaSwag) as intermediate tasks each "
        "raise the target tasks by a wide margin on average.",
        "+8.2, +7.5 and +7.0 (average of the dev sets)",
        f"Gain of {join_names(list(published))}, averaged over the targets that were learned and are another task; at "
        f"least {LARGE:g} points each. {found.roles.missing}".strip(),
        parts,
        _no_records(missing) if missing else "",
        bool(missing),
    )


def _multi_is_best(found: Evidence) -> Claim:
    singles = [name for name in list_single_tasks(found.tasks) if name in found.conditions]
    missing = {MULTI} - set(found.conditions) | (set() if singles else {"a single task"})
    targets = {name: own for name in singles if (own := found.others(name, found.targets_of(name, MULTI)))}
    unshared = f"no single task shares with `{MULTI}` a target that is another task"

    def parts() -> Iterable[Part]:
        if targets:
            yield _best_single_part(found, targets)
        own = found.targets_of(MULTI)
        twice = len(own) - len(found.others(MULTI, own))
        text = f"{MULTI} minus {BASELINE}, over {count(own, 'target')}, {twice} of them tasks that it trains on"
        yield Part(OVER_NONE, text, estimate_mean_gain(found, MULTI, own), GAIN, 8.7, found.no_room(GAIN, own))

    return Claim(
        "C2",
        "Training on all intermediate tasks together does best on average.",
        "+8.7, against +8.2 for the best single task",
        f"Mean score after `{MULTI}` minus that after the best single task, over targets of which this is not the same "
        f"task; and minus that without an intermediate task. Both above zero. The first is corrected (Bonferroni) for "
        f"the choice of the best among {len(targets)} on the same scores.",
        () if missing else tuple(parts()),
        _no_records(missing) if missing else "" if targets else unshared,
        not missing and not targets,
    )


def _best_single_part(found: Evidence, targets: Mapping[str, Sequence[str]]) -> Part:
    """Return how much better all tasks together are than the best single task, among those with the targets given."""
    gains = {name: estimate_mean_gain(found, name, own).value for name, own in targets.items()}
    best = max(gains, key=lambda name: gains[name])
    # The best of several is partly the luckiest, so the interval has the level of all comparisons at once.
    level = 1 - (1 - LEVEL) / len(gains)
    effect = estimate_contrast(found.replicates, average_weights(weigh_gain(MULTI, best), targets[best]), level)
    text = f"{MULTI} minus {best}, the best single, over {count(targets[best], 'target')}"
    full = found.no_room(GAIN, targets[best], best)
    return Part("over the best single task", text, effect, GAIN, 0.5, full, choices=len(gains))


def _untrained_targets(found: Evidence) -> Claim:
    wanted = found.roles.untrained
    parts = [part for target in wanted if (part := _untrained_part(found, target))]
    missing = [target for target in wanted if not found.english(target)]
    return Claim(
        "C3",
        "The target tasks without training data, mining (BUCC) and retrieval (Tatoeba), improve dramatically.",
        "large; no single figure",
        f"Gain on {join_names(wanted)}, averaged over the conditions of English tasks, all together among them; at "
        f"least {LARGE:g} points each, after the layer that lies as deep as the paper's, the 14th of 24, where it is "
        "recorded.",
        tuple(parts),
        "; ".join(filter(None, [missing and _no_records(missing), *(_layers_text(found, each) for each in wanted)])),
        bool(missing),
    )


def _untrained_part(found: Evidence, target: str) -> Part | None:
    """Return a target's part of C3, from single sentences where the study reads them after the paper's layer."""
    conditions = found.english(target)
    if not conditions:
        return None
    scores, layers = _by_layer(found, target)
    layer, read = find_published_layer(found.layers or len(layers)), found.read_layers.get(target, -1)
    if layers and read != layer:
        frozen = found.explain_frozen(target, layer)
        level = estimate_layer(scores, f"layer_{layer}", {BASELINE: 1.0}).value
        full = frozen or explain_no_room(WIDE_GAIN, level, found.floors.get(target, 0.0))
        effect = estimate_layer(scores, f"layer_{layer}", _weigh_mean_gain(conditions))
        return Part(target, f"{target} after layer {layer}, mean over conditions", effect, WIDE_GAIN, obstacle=full)
    other = "" if read == layer else "it is recorded after no other layer"
    text = f"{target} {_say_layers(found, [target])}, mean over conditions"
    effect = _mean_over(found, conditions, target)
    obstacle = found.explain_frozen(target, read) or found.no_room(WIDE_GAIN, [target]) or other
    return Part(target, text, effect, WIDE_GAIN, obstacle=obstacle)


def _say_layers(found: Evidence, targets: Iterable[str]) -> str:
    """Return after which layers targets without training are read: "after layer 7"."""
    read = sorted({found.read_layers.get(target, -1) for target in targets})
    return join_words(["after the last layer" if layer == -1 else f"after layer {layer}" for layer in read])


def _by_layer(found: Evidence, target: str) -> tuple[pd.DataFrame, list[int]]:
    """Return the scores of a target and the layers that they are recorded for (none for targets without retrieval)."""
    own = found.scores[found.scores["target"] == target] if len(found.scores) else found.scores
    names = [name for name in own.columns if name.startswith("layer_") and len(own) and own[name].notna().all()]
    return keep_shared_languages(own) if names else own, sorted(int(name[6:]) for name in names)


def _layers_text(found: Evidence, target: str) -> str:
    """Return a text with a retrieval target's mean gain after every layer, "" if it is not recorded."""
    gains = estimate_layer_gains(found, target)
    if not gains:
        return ""
    return f"`{target}` by layer: " + ", ".join(
        f"{layer}: {format_signed(each.value)}" for layer, each in gains.items()
    )


def estimate_layer_gains(found: Evidence, target: str) -> dict[int, Estimate]:
    """Return a retrieval target's gain after every layer, mean over English tasks; empty if it is not recorded."""
    conditions, (scores, layers) = found.english(target), _by_layer(found, target)
    if not conditions:
        return {}
    return {layer: estimate_layer(scores, f"layer_{layer}", _weigh_mean_gain(conditions)) for layer in layers}


def _mean_over(found: Evidence, conditions: Sequence[str], target: str) -> Estimate:
    """Return the gain on one target, averaged over conditions."""
    return estimate_contrast(found.all_replicates, {target: _weigh_mean_gain(conditions)})


def _weigh_mean_gain(conditions: Sequence[str]) -> Weights:
    """Return the weights of the mean over conditions less the baseline."""
    return add_weights(weigh_evenly(conditions), {BASELINE: -1.0})


def _questions_and_inference(found: Evidence) -> Claim:
    pair = (found.roles.improving, found.roles.unaffected)
    lost = [_lost(found, target) for target in pair if not found.english(target)]

    def parts(target: str, hypothesis: Hypothesis) -> Iterable[Part]:
        conditions = found.english(target)
        if not conditions:
            return
        full = found.no_room(hypothesis, [target])
        text = f"{target}, mean over {count(conditions, 'condition')}"
        yield Part(f"{target}, mean", text, _mean_over(found, conditions, target), hypothesis, obstacle=full)
        effects = {name: estimate_mean_gain(found, name, [target]) for name in conditions}
        # Of an even number the middle one that asks more: half do no better than the lower, no worse than the upper.
        place = len(conditions) // 2 if hypothesis.kind is Kind.NO_MORE else (len(conditions) - 1) // 2
        middle = sorted(conditions, key=lambda name: effects[name].value)[place]
        text = f"{target}, the median condition ({middle})"
        yield Part(f"{target}, median", text, effects[middle], hypothesis, obstacle=full)

    return Claim(
        "C4",
        "Extractive question answering (TyDi QA) improves after many of the intermediate tasks, while inference (XNLI) "
        "does not benefit.",
        "signs per task; no single figure",
        f"Gain on `{pair[0]}`, on average over the conditions of other English tasks and for the median one, so that "
        f"half of them do at least as well; above zero. The same for `{pair[1]}`, where half do no better; below "
        f"{NEGLIGIBLE:g} point.",
        (*parts(pair[0], GAIN), *parts(pair[1], NO_BENEFIT)),
        "; ".join(lost),
        bool(lost),
    )


def _chosen_on_dev(found: Evidence) -> Claim:
    chosen = choose_on_dev(found)
    parts = ()
    if chosen:
        full = found.no_room(GAIN, list(chosen))
        parts = (Part("chosen", "chosen on English dev", estimate_choice(found, chosen), GAIN, 5.4, full),)
    named = ", ".join(
        f"`{name}` for `{target}` ({format_signed(estimate_mean_gain(found, name, [target]).value)})"
        for target, name in chosen.items()
    )
    return Claim(
        "C5",
        "With the best intermediate task for each target, chosen on English development data, the test scores rise on "
        "average.",
        "+5.4 (average of the test sets)",
        f"Mean test gain over the {count(list(chosen), 'target')} that were learned; above zero. The target's own task "
        f"does not stand for choice. Chosen: {named or 'none'}. The interval takes the choice as given.",
        parts,
        "" if chosen else _no_records(["target training"]),
    )


def choose_on_dev(found: Evidence) -> dict[str, str]:
    """Return the English condition with the best English dev score for each target that has both dev and test scores.

    The baseline and conditions with the target's own task are excluded; see `conditions.choose_by_dev`.
    """
    usable = {target: {name: found.tasks[name] for name in found.english(target)} for target in found.replicates}
    chosen = {name: choose_by_dev(found.dev_scores, name, own, same_task=False) for name, own in usable.items()}
    return {target: name for target, name in chosen.items() if name is not None}


def estimate_choice(found: Evidence, chosen: Mapping[str, str]) -> Estimate:
    """Return the gain over no intermediate task, mean over targets, each after the condition chosen for it."""
    weights = {target: scale_weights(weigh_gain(name), 1 / len(chosen)) for target, name in chosen.items()}
    return estimate_contrast(found.replicates, weights)


def _english_is_enough(found: Evidence) -> Claim:
    known = set(found.conditions)
    pairs = [pair for pair in pair_with_english(found.tasks) if {pair.condition, pair.against} <= known]
    lacking = _lacking(pairs)

    def parts(pair: Counterpart) -> Iterable[Part]:
        targets = found.targets_of(pair.condition, baseline=pair.against)
        trained = [name for name in targets if TARGETS[name].trained]
        untrained = [name for name in targets if not TARGETS[name].trained]
        without = f"without training, {_say_layers(found, untrained)}"
        for kind, own, said in (("trained", trained, "that train"), ("untrained", untrained, without)):
            if own:
                weights = average_weights(weigh_gain(pair.condition, pair.against), own)
                effect = estimate_contrast(found.replicates, weights)
                full = found.no_room(NO_BENEFIT, own, pair.against)
                key, scope = f"{pair.condition}, {kind} targets", f"{count(own, 'target')} {said}"
                text = f"{pair}, mean over {scope}"
                yield Part(key, text, effect, NO_BENEFIT, obstacle=full, pair=pair, scope=scope)

    return Claim(
        "C6",
        "English intermediate tasks alone do as well as with multilingual language modelling mixed in, or with the "
        "intermediate data translated: neither is consistently better.",
        "neither consistently better",
        "Each such condition minus its English counterpart, on targets that train and on others; below "
        f"{NEGLIGIBLE:g} point, so that a loss supports the claim."
        if pairs
        else "The two conditions against English alone; the study has no records of them.",
        tuple(part for pair in pairs for part in parts(pair)),
        lacking,
        bool(lacking),
    )


def _lacking(pairs: Sequence[Counterpart]) -> str:
    """Return which of the two kinds of conditions has no records, or only those of a stand-in."""
    said = [
        f"no records with {kind}" for kind in (MIXED, TRANSLATED) if not any(kind in pair.change for pair in pairs)
    ]
    translated = [pair.condition for pair in pairs if TRANSLATED in pair.change]
    if translated and all(name in INTERMEDIATES and INTERMEDIATES[name].other_rows for name in translated):
        said.append(f"{join_names(translated)} stands in for translated data: it holds other rows")
    return "; ".join(said)


def _same_task_twice(found: Evidence) -> Claim:
    pairs = [
        (name, target)
        for name in list_single_tasks(found.tasks)
        for target in found.targets_of(name)
        if is_same_task(found.tasks[name], target)
    ]
    parts = ()
    if pairs:
        weights: dict[str, Weights] = {}
        for name, target in pairs:
            weights[target] = add_weights(weights.get(target, {}), scale_weights(weigh_gain(name), 1 / len(pairs)))
        effect, full = estimate_contrast(found.replicates, weights), found.no_room(GAIN, [own for _, own in pairs])
        parts = (Part("pairs", f"mean over {count(pairs, 'pair')}", effect, GAIN, obstacle=full),)
    named = ", ".join(f"`{name}` before `{target}`" for name, target in pairs)
    return Claim(
        "Same task twice",
        "More English examples of the target's own task raise it; this is no transfer between tasks.",
        "–",
        f"Gain of {named}, which C1, C2, C4 and C5 leave out; above zero." if pairs else "Pairs of one task.",
        parts,
        "" if pairs else "no records of such a pair that was learned",
    )
