"""What the landing page says was found: sentences written by hand, of which the records choose one each.

Each function has a sentence for every way in which its numbers can come out, so that the page never contradicts the
pages behind it. Numbers are those of the ledger (`stilts.analysis.claims`), from learned targets alone. A
`setting` says where, as the beginning of the sentence: "On short commands".
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from stilts.analysis import claims, ledger
from stilts.analysis.claims import Claim, Evidence, Part
from stilts.analysis.conditions import MIXED, list_single_tasks, pair_with_english
from stilts.analysis.effects import GAIN
from stilts.analysis.estimates import Estimate, correct_by_holm
from stilts.analysis.room import find_published_layer
from stilts.analysis.verdicts import ANSWERS, RULED_OUT, Verdict
from stilts.analysis.wording import count, format_effect, format_signed, join_words, replace_ids, title_condition
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.registry import MULTI

if TYPE_CHECKING:
    from IPython.display import HTML

    from stilts.analysis.questions.chapters import Answer
    from stilts.analysis.questions.testing import Result

NOTHING_RECORDED = "Nothing is recorded yet that this could be said of."

GAINS, LOSES, HARDLY, UNCLEAR = "gains", "loses", "hardly changes", "does not clearly change"

SHORT_CLAIMS: Mapping[str, str] = {
    "C1": "Questions, inference and continuations each help widely",
    "C2": "All tasks together help most",
    "C3": "Retrieval and mining improve most",
    "C4": "Question answering gains, inference does not",
    "C5": "The task chosen on English dev helps",
    "C6": "English alone is enough",
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
    number = len(singles)
    clear = singles[singles["survives_holm"]]
    up, down = ([_title(found, name) for name in clear[sign * clear["gain"] > 0]["condition"]] for sign in (1, -1))
    seeds = int(table["seeds"].max())
    said = _say_helped(up, down, number) if seeds > 1 else "nothing can be concluded"
    lowest, highest = (singles.loc[getattr(singles["gain"], end)()] for end in ("idxmin", "idxmax"))
    span = (
        f"mean gains of single tasks on other targets lie between {format_signed(lowest['gain'])} "
        f"({_title(found, lowest['condition'])}) and {format_signed(highest['gain'])} points "
        f"({_title(found, highest['condition'])})"
    )
    together = [_say_together(found)] if MULTI in found.conditions else []
    languages = {code for part in found.replicates.values() for code in part.languages} - {SOURCE_LANGUAGE}
    reach = f"{count(languages, 'language')} besides English, {count(seeds, 'seed')}"
    return f"**{setting} ({reach}), {said}**: {'; '.join([span, *together])}."


def _say_together(found: Evidence) -> str:
    targets = found.targets_of(MULTI)
    twice = len(targets) - len(found.others(MULTI, targets))
    share = "all of them" if twice == len(targets) else f"{twice or 'none'} of them"
    part = _find_part(found, "C2", claims.OVER_NONE)
    sure = part is not None and part.judgement.verdict is Verdict.SUPPORTED
    return (
        f"all tasks together gain {_say_effect(claims.estimate_mean_gain(found, MULTI, targets))} on "
        f"{count(targets, 'target')}, {share} tasks that they train on{'' if sure else ', not clear after correction'}"
    )


def _find_part(found: Evidence, claim_id: str, key: str) -> Part | None:
    """Return a judged part of a claim, None if it was not measured."""
    return next((part for part in _find_claim(found, claim_id).parts if part.key == key), None)


def _find_claim(found: Evidence, claim_id: str) -> Claim:
    return next(claim for claim in found.claims if claim.id == claim_id)


def _say_helped(up: Sequence[str], down: Sequence[str], number: int) -> str:
    tasks, others = f"of {number} English intermediate tasks", "other targets on average"
    helped = f"{join_words(up)} {'helps' if len(up) == 1 else 'help'} {others}"
    harmed = f"{join_words(down)} {'harms' if len(down) == 1 else 'harm'}"
    if up and down:
        return f"{tasks}, {helped}, and {harmed} them"
    if up:
        return f"{tasks}, {helped}"
    if down:
        return f"{tasks}, none helps {others}, and {harmed} them"
    return f"{tasks}, none clearly changes {others}"


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
    """State what the task that English dev chooses for each target brings."""
    claim = _find_claim(found, "C5")
    if not claim.parts:
        return NOTHING_RECORDED
    verbs = {Verdict.SUPPORTED: "raises", Verdict.CONTRADICTED: "lowers", Verdict.NO_EFFECT: "hardly changes"}
    said = verbs.get(claim.verdict, "does not clearly change")
    targets = count(claims.choose_on_dev(found), "target")
    return (
        f"**{setting}, the intermediate task that English dev chooses for each target {said} its test score**: "
        f"{_say_effect(claim.parts[0].effect)}, mean over {targets}."
    )


def describe_masked_words(found: Evidence, setting: str) -> str:
    """State what multilingual masked language modelling changes, mixed into English intermediate training."""
    claim = _find_claim(found, "C6")
    pairs = [pair for pair in pair_with_english(found.tasks) if MIXED in pair.change]
    parts = {pair: [part for part in claim.parts if part.pair == pair] for pair in pairs}
    mixed = [part for own in parts.values() for part in own]
    if not mixed:
        return NOTHING_RECORDED
    said = [
        f"beside {_title(found, pair.against)}, "
        + join_words([f"{_say_effect(part.effect)} on {part.scope}" for part in own])
        for pair, own in parts.items()
        if own
    ]
    return f"**{setting}, masked words of many languages mixed in {_say_difference(mixed)}**: {'; '.join(said)}."


def _say_difference(parts: Sequence[Part]) -> str:
    """Return how parts that ask for no difference came out, in a verb phrase."""
    moved = {part.effect.value > 0 for part in parts if part.judgement.verdict is Verdict.CONTRADICTED}
    if moved:
        return "gain and lose points" if len(moved) > 1 else "gain points" if True in moved else "lose points"
    if all(part.judgement.verdict is Verdict.SUPPORTED for part in parts):
        return "make no difference that matters"
    return "make no clear difference"


def describe_retrieval(found: Evidence, setting: str) -> str:
    """State what intermediate training does to retrieval after the paper's layer and after the last one."""
    target = found.roles.untrained[0]
    gains = claims.estimate_layer_gains(found, target)
    if len(gains) < 2:
        return NOTHING_RECORDED
    middle, last = find_published_layer(len(gains)), max(gains)
    part = _find_part(found, "C3", target)
    inside, at_end = part.effect if part else gains[middle], gains[last]
    one, other = _change(inside), _change(at_end)
    before, after = _say_effect(inside), _say_effect(at_end)
    depth = f"after layer {middle} of {last}, as deep as the paper's,"
    if frozen := found.explain_frozen(target, middle):
        end = f"**{setting}, retrieval {other} at the encoder's end**: {after} after the last layer"
        return f"{end}, mean over conditions. What happens {depth} was not tested: {frozen} ({before})."
    if one != other:
        said = f"retrieval {one} in the middle of the encoder and {other} at its end"
    else:
        said = f"retrieval {one}, in the middle of the encoder as at its end"
    return f"**{setting}, {said}**: {depth} {before}; after the last {after} (mean over conditions)."


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
    said = [f"{each.effect.hypothesis} {each.verdict.capitalize()}: {_say_result(each.effect)}." for each in answered]
    start = f"By the tests that stand for them, {len(answered)} of this study's own {len(judged)} questions"
    return f"**{start} {'has' if len(answered) == 1 else 'have'} an answer {on}.** {' '.join(said)}"


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
    """Return the verdict on a claim, with the parts that have it where others have another."""
    if claim.judgement.reason == RULED_OUT:
        return f"{claim.verdict} (no effect or the opposite; not as claimed)"
    agree = [part.key for part in claim.parts if part.judgement.verdict is claim.verdict]
    if not 0 < len(agree) < len(claim.parts):
        return str(claim.verdict)
    return replace_ids(f"{claim.verdict} ({len(agree)} of {len(claim.parts)} parts: {'; '.join(agree)})", titles)


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
