"""What the landing page says was found: sentences written by hand, of which the records choose one each.

Each function has a sentence for every way in which its numbers can come out, so that the page never contradicts the
pages behind it. Numbers are those of the ledger (`stilts.analysis.claims`), from learned targets alone. A
`setting` says where, as the beginning of the sentence: "On short commands". A mean that moves by one target alone is
said to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from stilts.analysis import claims, ledger
from stilts.analysis.claims import Claim, Evidence, Part
from stilts.analysis.conditions import (
    MIXED,
    Counterpart,
    average_differences,
    list_single_tasks,
    pair_with_english,
)
from stilts.analysis.effects import GAIN
from stilts.analysis.estimates import Estimate, correct_by_holm
from stilts.analysis.room import find_published_layer
from stilts.analysis.verdicts import ANSWERS, DECISIVE, OPEN, RULED_OUT, Verdict
from stilts.analysis.wording import (
    count,
    format_effect,
    format_signed,
    join_words,
    replace_ids,
    title_condition,
    title_task,
)
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.registry import MULTI

if TYPE_CHECKING:
    from IPython.display import HTML

    from stilts.analysis.questions.chapters import Answer
    from stilts.analysis.questions.testing import Result

NOTHING_RECORDED = "Nothing is recorded yet that this could be said of."

GAINS, LOSES, HARDLY, UNCLEAR = "gains", "loses", "hardly changes", "does not clearly change"

CHANGES: Mapping[Verdict, str] = {
    Verdict.SUPPORTED: GAINS, Verdict.CONTRADICTED: LOSES, Verdict.NO_EFFECT: HARDLY,
    Verdict.UNCLEAR: UNCLEAR, Verdict.UNTESTABLE: UNCLEAR,
}  # fmt: skip
"""Verdict on a gain -> what a score does."""

SHORT_CLAIMS: Mapping[str, str] = {
    "C1": "Questions, inference and continuations each help widely",
    "C2": "All tasks together help most",
    "C3": "Retrieval and mining improve most",
    "C4": "Question answering gains, inference does not",
    "C5": "The task chosen on English dev helps",
    "C6": "Masked words or translations bring no more",
}
"""Claims of the paper in a few words, for the strip of verdicts; the ledger has them in full."""


def estimate_gains_on_other_tasks(found: Evidence) -> pd.DataFrame:
    """Return each condition's gain, mean over the targets that count and are another task than its own.

    Returns
    -------
    DataFrame
        condition, gain, low, high, p, excludes_zero, p_holm, survives_holm (corrected for all rows, with the trainings
        that stayed at chance as without them), targets (their number), seeds, with_failures (the gain where such
        trainings count; it is the same where there are none).
    """
    table = _average_over_others(found)
    if found.with_failures is None:
        return table.assign(with_failures=table["gain"])
    others = _average_over_others(replace(found, replicates=found.with_failures)).set_index("condition")
    others = others.loc[table["condition"]].reset_index()
    stands = table["survives_holm"] & others["survives_holm"] & (others["gain"] * table["gain"] > 0)
    return table.assign(survives_holm=stands, with_failures=others["gain"])


def _average_over_others(found: Evidence) -> pd.DataFrame:
    rows = []
    for condition in [*list_single_tasks(found.tasks), *({MULTI} & set(found.tasks))]:
        targets = found.others(condition, found.targets_of(condition)) if condition in found.conditions else []
        if targets:
            effect = claims.estimate_mean_gain(found, condition, targets)
            known = {"targets": len(targets), "seeds": effect.seeds}
            rows.append({"condition": condition} | effect.row("gain") | known)
    return correct_by_holm(pd.DataFrame(rows, columns=["condition", *GAIN, "targets", "seeds"]))


def describe_average(found: Evidence, setting: str) -> str:
    """State whether English intermediate tasks help other target tasks on average."""
    table = estimate_gains_on_other_tasks(found)
    singles = table[table["condition"] != MULTI]
    if singles.empty:
        return NOTHING_RECORDED
    clear = singles[singles["survives_holm"]]["condition"]
    moved = [leave_leading_target_out(found, name) for name in clear]
    seeds = int(table["seeds"].max())
    tasks = f"of {len(singles)} English intermediate tasks"
    said = f"{tasks}, {_say_moved(found, moved)}" if seeds > 1 else "nothing can be concluded"
    lowest, highest = (singles.loc[getattr(singles["gain"], end)()] for end in ("idxmin", "idxmax"))
    reach = f"{format_signed(singles['low'].min())} to {format_signed(singles['high'].max())}"
    span = (
        f"mean gains of single tasks on other targets lie between {format_signed(lowest['gain'])} "
        f"({_title(found, lowest['condition'])}) and {format_signed(highest['gain'])} points "
        f"({_title(found, highest['condition'])}), and their intervals reach from {reach}"
    )
    left = [_say_left(found, moved)] if moved else []
    together = [_say_together(found)] if MULTI in found.conditions else []
    languages = {code for part in found.replicates.values() for code in part.languages} - {SOURCE_LANGUAGE}
    basis = f"{count(languages, 'language')} besides English, {count(seeds, 'seed')}"
    return f"**{setting} ({basis}), {said}**: {'; '.join([span, *left, *together])}."


@dataclass(frozen=True)
class WithoutLeading:
    """A condition's mean gain on other targets, less the one that moves it most.

    Attributes
    ----------
    condition : str
    target : str
        Which is left out.
    rises : bool
        Whether the mean over all of them is above zero.
    effect : Estimate or None
        Mean gain over the others; None where there are none.
    """

    condition: str
    target: str
    rises: bool
    effect: Estimate | None

    @property
    def stands(self) -> bool:
        """Whether the others move the mean in the same direction by themselves, with an interval without zero."""
        return self.effect is not None and (self.effect.low > 0 if self.rises else self.effect.high < 0)


def leave_leading_target_out(found: Evidence, condition: str) -> WithoutLeading:
    """Return a condition's mean gain on other targets without the one that moves it most in its direction."""
    targets = found.others(condition, found.targets_of(condition))
    gains = {name: claims.estimate_mean_gain(found, condition, [name]).value for name in targets}
    rises = sum(gains.values()) > 0
    leading = (max if rises else min)(targets, key=lambda name: gains[name])
    rest = [name for name in targets if name != leading]
    effect = claims.estimate_mean_gain(found, condition, rest) if rest else None
    return WithoutLeading(condition, leading, rises, effect)


def _say_moved(found: Evidence, moved: Sequence[WithoutLeading]) -> str:
    """Say which tasks help and harm other targets, and of which one target alone does."""
    others = "other targets on average"
    if not moved:
        return f"none clearly changes {others}"
    clauses = [] if any(each.rises and each.stands for each in moved) else [f"none helps {others}"]
    for rises, one, several in ((True, "helps", "help"), (False, "harms", "harm")):
        names = [_title(found, each.condition) for each in moved if each.rises is rises and each.stands]
        if names:
            clauses.append(f"{join_words(names)} {one if len(names) == 1 else several} {others if rises else 'them'}")
        clauses += [
            f"{_title(found, each.condition)} {'raises' if rises else 'lowers'} their average by "
            f"{title_task(each.target)} alone"
            for each in moved
            if each.rises is rises and not each.stands
        ]
    return ", and ".join(filter(None, [", ".join(clauses[:-1]), clauses[-1]]))


def _say_left(found: Evidence, moved: Sequence[WithoutLeading]) -> str:
    said = [
        f"{_title(found, each.condition)} {_say_effect(each.effect)} without {title_task(each.target)}"
        if each.effect
        else f"{_title(found, each.condition)} has {title_task(each.target)} alone"
        for each in moved
    ]
    return f"leaving out the target that moves each most, {join_words(said)}"


def _say_together(found: Evidence) -> str:
    targets = found.targets_of(MULTI)
    twice = len(targets) - len(found.others(MULTI, targets))
    share = "all of them" if twice == len(targets) else f"{twice or 'none'} of them"
    part = _find_part(found, "C2", claims.OVER_NONE)
    sure = part is not None and part.judgement.verdict is Verdict.SUPPORTED
    doubt = "" if sure else ", not clear after the ledger's correction"
    return (
        f"all {len(found.tasks[MULTI])} tasks together gain "
        f"{_say_effect(claims.estimate_mean_gain(found, MULTI, targets))} on {count(targets, 'target')}, {share} tasks "
        f"that they train on{doubt}"
    )


def _find_part(found: Evidence, claim_id: str, key: str) -> Part | None:
    """Return a judged part of a claim, None if it was not measured."""
    return next((part for part in _find_claim(found, claim_id).parts if part.key == key), None)


def _find_claim(found: Evidence, claim_id: str) -> Claim:
    return next(claim for claim in found.claims if claim.id == claim_id)


def describe_same_task(found: Evidence, setting: str) -> str:
    """State whether more English examples of the target's own task help."""
    claim = _find_claim(found, "Same task twice")
    if not claim.parts:
        return NOTHING_RECORDED
    effect = claim.parts[0].effect
    verb = "help" if effect.low > 0 else "harm" if effect.high < 0 else ""
    sure = claim.verdict in (Verdict.SUPPORTED, Verdict.CONTRADICTED)
    said = verb if sure else f"seem to {verb}" if verb else "do not clearly help"
    doubt = ", an interval that the ledger's correction would widen beyond zero" if verb and not sure else ""
    return (
        f"**{setting}, more English examples of the target's own task {said}**: {_say_effect(effect)}, "
        f"{claim.parts[0].text}{doubt}. That is more data, not transfer between tasks."
    )


def describe_choice(found: Evidence, setting: str) -> str:
    """State what the task that English dev chooses for each target brings on average, and on which targets."""
    claim = _find_claim(found, "C5")
    if not claim.parts:
        return NOTHING_RECORDED
    verbs = {Verdict.SUPPORTED: "raises", Verdict.CONTRADICTED: "lowers", Verdict.NO_EFFECT: "hardly changes"}
    said = verbs.get(claim.verdict, "does not clearly change")
    chosen = claims.choose_on_dev(found)
    return (
        f"**{setting}, the intermediate task that English dev chooses for each target {said} test scores on average**: "
        f"{_say_effect(claim.parts[0].effect)}, mean over {count(chosen, 'target')}. {_say_by_target(found, chosen)}"
    )


def _say_by_target(found: Evidence, chosen: Mapping[str, str]) -> str:
    """Say on which targets the chosen condition's gain differs from zero, and what it is on the others together."""
    gains = {target: claims.estimate_mean_gain(found, name, [target]) for target, name in chosen.items()}
    moved = {target: each for target, each in gains.items() if each.low > 0 or each.high < 0}
    if not moved:
        return "None of these gains has an interval that excludes zero."
    named = join_words([f"{title_task(target)} ({format_signed(each.value)})" for target, each in moved.items()])
    rest = {target: name for target, name in chosen.items() if target not in moved}
    others = f"; the mean over the others is {_say_effect(claims.estimate_choice(found, rest))}" if rest else ""
    return f"Of single targets, the interval excludes zero on {named}{others}."


def describe_masked_words(found: Evidence, setting: str) -> str:
    """State what multilingual masked language modelling changes, mixed into English intermediate training."""
    table = average_differences(found.replicates, found.tasks)
    rows = table[table["change"] == MIXED].set_index("comparison")
    pairs = [pair for pair in pair_with_english(found.tasks) if str(pair) in rows.index]
    if not pairs:
        return NOTHING_RECORDED
    said = "; ".join(_say_pair(found, pair, rows.loc[str(pair)]) for pair in pairs)
    return f"**{setting}, masked words of many languages mixed in {_say_difference(rows)}**: {said}."


def _say_pair(found: Evidence, pair: Counterpart, row: pd.Series) -> str:
    """Say what a condition changes over all targets, and apart over those that train and those that do not."""
    parts = [part for part in _find_claim(found, "C6").parts if part.pair == pair]
    apart = join_words([f"{format_signed(part.effect.value)} on {part.scope}" for part in parts])
    whole = format_effect(row["difference"], row["low"], row["high"])
    return f"beside {_title(found, pair.against)} {whole} over {count(int(row['targets']), 'target')} ({apart})"


def _say_difference(table: pd.DataFrame) -> str:
    """Return how rows of `average_differences` came out after correction, in a verb phrase."""
    clear = table[table["survives_holm"]]
    if clear.empty:
        return "make no clear difference"
    ways = [verb for verb, rises in (("gain", True), ("lose", False)) if ((clear["difference"] > 0) == rises).any()]
    share = "" if len(clear) == len(table) else f" beside {len(clear)} of {len(table)} tasks"
    return f"{join_words(ways)} points{share}"


def describe_retrieval(found: Evidence, setting: str) -> str:
    """State what intermediate training does to retrieval after the paper's layer and after the last one."""
    target = found.roles.untrained[0]
    gains = claims.estimate_layer_gains(found, target)
    if len(gains) < 2:
        return NOTHING_RECORDED
    middle, last = find_published_layer(len(gains)), max(gains)
    inside, at_end = _find_part(found, "C3", target), gains[last]
    other, after = _change(at_end), _say_effect(at_end)
    depth = f"after layer {middle} of {last}, as deep as the paper's,"
    if frozen := found.explain_frozen(target, middle):
        end = f"**{setting}, retrieval {other} at the encoder's end**: {after} after the last layer"
        why = f"{frozen} ({_say_effect(inside.effect)})"
        return f"{end}, mean over conditions. What happens {depth} was not tested: {why}."
    one, before = CHANGES[inside.judgement.verdict], _say_judged(inside)
    if one != other:
        said = f"retrieval {one} in the middle of the encoder and {other} at its end"
    else:
        said = f"retrieval {one}, in the middle of the encoder as at its end"
    return f"**{setting}, {said}**: {depth} {before}; after the last {after} (mean over conditions)."


def _say_judged(part: Part) -> str:
    """Say a part's effect, and where we cannot tell why, unless the interval says so."""
    judged = part.judgement
    doubt = judged.verdict is Verdict.UNCLEAR and judged.reason != OPEN
    return f"{_say_effect(part.effect)}{f', {judged.reason}' if doubt else ''}"


def _change(effect: Estimate) -> str:
    if max(abs(effect.low), abs(effect.high)) < claims.LARGE:
        return HARDLY
    return GAINS if effect.low > 0 else LOSES if effect.high < 0 else UNCLEAR


def describe_questions(answers: Sequence["Answer"], on: str) -> str:
    """State which of the study's own questions have an answer, by the tests that stand for them.

    Parameters
    ----------
    answers : sequence of Answer
        Of one study for each question.
    on : str
        What all of these are about, such as "on short commands".
    """
    judged = [each.learned for each in answers if each.section.analysis.recorded and each.learned.effect.hypothesis]
    if not judged:
        return NOTHING_RECORDED
    answered = [each for each in judged if each.verdict in ANSWERS]
    if not answered:
        return (
            f"**None of this study's own {len(judged)} questions has an answer {on} yet**: what was seen is smaller "
            "than what the seeds and languages at hand can tell from nothing."
        )
    said = [
        f"Hypothesis: *{each.effect.hypothesis}* {each.verdict.capitalize()}: {_say_result(each.effect)}. {each.beside}"
        for each in answered
    ]
    start = f"By the tests that stand for them, {len(answered)} of this study's own {len(judged)} questions"
    return f"**{start} {'has' if len(answered) == 1 else 'have'} an answer {on}.** {' '.join(said)}".rstrip()


def _say_result(effect: "Result") -> str:
    return format_effect(effect.value, effect.low, effect.high, effect.unit)


def _say_effect(effect: Estimate) -> str:
    return format_effect(effect.value, effect.low, effect.high)


def _title(found: Evidence, condition: str) -> str:
    return title_condition(condition, found.tasks[condition])


def tabulate_verdicts(
    ledgers: Mapping[str, Sequence[Claim]], titles: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Return the verdicts on the paper's claims, a row each.

    Parameters
    ----------
    ledgers : mapping
        Heading of a column -> its ledger.
    titles : mapping
        Heading of a column -> id of a condition or task -> its name, which takes its place.

    Returns
    -------
    DataFrame
        id, claim, published, and a column for each ledger.
    """
    first = next(iter(ledgers.values()))
    rows = [
        {"id": claim.id, "claim": SHORT_CLAIMS[claim.id], "published": claim.published}
        for claim in first
        if claim.id in SHORT_CLAIMS
    ]
    for heading, own in ledgers.items():
        verdicts = {claim.id: _say_verdict(claim, titles[heading]) for claim in own}
        rows = [row | {heading: verdicts[row["id"]]} for row in rows]
    return pd.DataFrame(rows)


def _say_verdict(claim: Claim, titles: Mapping[str, str]) -> str:
    """Return the verdict on a claim, with the parts in which the claim holds and those in which it does not."""
    said = _say_parts(claim)
    return replace_ids(f"{claim.verdict} ({said})", titles) if said else str(claim.verdict)


def _say_parts(claim: Claim) -> str:
    """Return in which parts a claim holds and in which it does not; "" if the verdict says it of all parts."""
    if claim.judgement.reason == RULED_OUT:
        return "not as claimed; whether points are lost is open"
    holds, fails = (
        [part.key for part in claim.parts if part.judgement.verdict in verdicts]
        for verdicts in ((Verdict.SUPPORTED,), DECISIVE)
    )
    if claim.verdict is Verdict.SUPPORTED or len(fails) == len(claim.parts):
        return ""
    if len(holds) == len(claim.parts):
        return "as claimed in all parts that have records"
    shares = (("as claimed", holds), ("not as claimed", fails))
    return "; ".join(f"{words} in {len(keys)} of its {len(claim.parts)} parts: {', '.join(keys)}"
                     for words, keys in shares if keys)  # fmt: skip


def show_verdicts(table: pd.DataFrame) -> "HTML":
    """Return the table of `tabulate_verdicts` as HTML, with each verdict in words and colour."""
    from html import escape

    from IPython.display import HTML

    shown = table.map(escape)
    for heading in table.columns[3:]:
        shown[heading] = table[heading].map(_mark)
    return HTML(shown.to_html(index=False, escape=False, border=0, justify="left", classes="verdicts"))


def _mark(told: str) -> str:
    verdict, bracket, rest = told.partition(" (")
    return ledger.mark_verdict(verdict) + bracket + rest
