"""What each figure shows: the sentence that its caption begins with.

Each function takes the table that a figure draws, and has a form for every way in which the numbers can come out. A row
*gains* or *loses* where its interval excludes zero; the sentence says whether that is corrected for the number of rows.
"""

from collections.abc import Mapping, Sequence, Sized
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from stilts.analysis.estimates import LEVEL, count_sides, keep_clear
from stilts.analysis.languages.facts import get_language
from stilts.analysis.room import find_published_layer
from stilts.analysis.verdicts import ANSWERS, Verdict
from stilts.analysis.wording import (
    LOOP_TITLES,
    OWN_LOOP,
    PHASE_TITLES,
    WORK_TITLES,
    count,
    format_effect,
    format_signed,
    join_words,
)
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.workspace.notebooks.markup import escape_text

NOTHING = "Nothing is recorded yet that this figure could show."
HOLM, UNCORRECTED = "after Holm's correction", "95 % intervals, not corrected"
FEW = 4  # rows; more are counted and not named


class Sides(NamedTuple):
    """What is said of one row and of several above zero and below it, and of none where none is on either side."""

    up: tuple[str, str]
    down: tuple[str, str]
    neither: str


GAINS = Sides(("gains", "gain"), ("loses", "lose"), "clearly gains or loses")
SIGNS = Sides(("lies above zero", "lie above zero"), ("below it", "below it"), "lies clearly above or below zero")
CHANGES = Sides(("widens the gap", "widen the gap"), ("narrows it", "narrow it"), "clearly changes the gap")


def _say_sides(rows: pd.DataFrame, things: str, said: Sides = GAINS, low: str = "low", high: str = "high") -> str:
    """Say how many of some things have an interval above zero, and how many one below it."""
    up, down = count_sides(rows, low, high)
    if not up + down:
        return f"none of {things} {said.neither}"
    above, below = said.up[up > 1], said.down[down > 1]
    return f"{up or 'none'} of {things} {above} and {down or 'none'} {below}"


def _say_corrected(rows: pd.DataFrame, things: str, said: Sides) -> str:
    """Say which of some things survive the correction, and how many others have intervals that exclude zero."""
    kept = rows[rows["survives_holm"]]
    clear = len(keep_clear(kept))
    more, other = len(keep_clear(rows)) - clear, "other " if clear else ""
    added = f", though {more} {other}{'interval excludes' if more == 1 else 'intervals exclude'} zero" if more else ""
    return f"{_say_sides(kept, things, said)}{added}"


def _count(rows: Sized, thing: str) -> str:
    """Return the number of some things, of which the first word is the noun: "2 parts of a claim"."""
    noun, _, rest = thing.partition(" ")
    return f"{count(rows, noun)} {rest}".rstrip()


def state_cells(
    cells: pd.DataFrame,
    thing: str = "cell",
    said: Sides = GAINS,
    corrected: bool = True,
    obstacle: str = "",
    pair: str = "pair",
) -> str:
    """State how many cells of a matrix gain and lose, pairs of the same task apart.

    Parameters
    ----------
    cells : DataFrame
        low, high, survives_holm if it is corrected, and optionally counts, same_task and several (whether the condition
        has several tasks).
    thing : str
        What a cell is, in the singular, the noun first.
    said : Sides
    corrected : bool
        Whether only what survives Holm's correction counts.
    obstacle : str
        Why gains cannot be compared, a clause; it is stated in their place.
    pair : str
        What a cell of one intermediate and one target task is, where same and different tasks are told apart.
    """
    if obstacle:
        return _state_obstacle(obstacle)
    if cells.empty:
        return NOTHING
    cells = cells[cells["counts"]] if "counts" in cells else cells
    if cells.empty:
        return "No target task was learned in English and had room for an effect."
    if "same_task" in cells and cells["same_task"].any():
        several = cells["several"] if "several" in cells else pd.Series(False, index=cells.index)
        kinds = {
            f"{pair} of different tasks": ~cells["same_task"] & ~several,
            f"{pair} of the same task": cells["same_task"] & ~several,
            "cell of several tasks": several,
        }
        parts = {name: cells[chosen] for name, chosen in kinds.items() if chosen.any()}
    else:
        parts = {thing: cells}
    found = [
        _say_corrected(part, _count(part, name), said) if corrected else _say_sides(part, _count(part, name), said)
        for name, part in parts.items()
    ]
    return _sentence(f"{'; '.join(found)} ({HOLM if corrected else UNCORRECTED})")


def _state_obstacle(obstacle: str) -> str:
    return f"No gain can be compared: {obstacle}."


def state_gains(table: pd.DataFrame, names: Sequence[str], thing: str, where: str = "", obstacle: str = "") -> str:
    """State how many rows gain and lose. Those that do are named if they are few, and all if none does.

    Parameters
    ----------
    table : DataFrame
        gain, low, high (points).
    names : sequence of str
        Of the rows.
    thing : str
        What a row is, in the singular, the noun first.
    where : str
        What the rows are gains in, as the end of a sentence: " in unseen languages".
    obstacle : str
        Why gains cannot be compared, a clause; it is stated in their place.
    """
    if obstacle:
        return _state_obstacle(obstacle)
    table = table.assign(name=list(names)).dropna(subset=["low", "high"])
    if table.empty:
        return NOTHING
    clear = keep_clear(table)
    rows = table if clear.empty else clear
    effects = [f"{row.name} {format_effect(row.gain, row.low, row.high)}" for row in rows.itertuples(index=False)]
    listed = f": {'; '.join(effects)}" if len(rows) <= FEW else ""
    return _sentence(f"{_say_sides(table, _count(table, thing))}{where} ({UNCORRECTED}){listed}")


def state_sources(table: pd.DataFrame) -> str:
    """State for each source language how many intermediate tasks gain and lose.

    Parameters
    ----------
    table : DataFrame
        source, low, high.
    """
    known = table.dropna(subset=["low", "high"])
    groups = known.groupby("source", sort=False)
    parts = [_say_sides(own, f"{count(own, 'task')} in {source}") for source, own in groups]
    return _sentence(f"{'; '.join(parts)} ({UNCORRECTED})") if parts else NOTHING


def state_languages(averages: pd.DataFrame) -> str:
    """State how many languages gain and lose, and which gain most and least.

    Parameters
    ----------
    averages : DataFrame
        Rows of one condition: language, gain, low, high.
    """
    others = averages[averages["language"] != SOURCE_LANGUAGE]
    if others.empty:
        return "There is no language besides English yet."
    most, least = (others.loc[place] for place in (others["gain"].idxmax(), others["gain"].idxmin()))
    english = averages[averages["language"] == SOURCE_LANGUAGE]
    beside = f"; {_named(english.iloc[0])}" if len(english) else ""
    sides = _sentence(f"{_say_sides(others, _count(others, 'language besides English'))} ({UNCORRECTED})")
    return f"{sides} {_named(most)} gains most, {_named(least)} least{beside}."


def _named(row: pd.Series) -> str:
    return f"{get_language(row['language']).name} ({format_signed(row['gain'])})"


def state_english_gaps(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> str:
    """State how often conditions narrow or widen the gap to English, and the gap without an intermediate task.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.effects.estimate_english_gaps`.
    titles : mapping of str to str
        Target -> its name in words.
    """
    before, after = table[table["condition"] == BASELINE], table[table["change"].notna()]
    if before.empty or after.empty:
        return "No condition can be compared with the baseline yet."
    widest, narrowest = (before.loc[place] for place in (before["gap"].idxmax(), before["gap"].idxmin()))
    ends = [f"{titles.get(row['target'], row['target'])} ({row['gap']:.0f})" for row in (widest, narrowest)]
    sides = _say_sides(after, count(after, "comparison"), CHANGES, "change_low", "change_high")
    chance = f"{UNCORRECTED}; chance alone gives about {round((1 - LEVEL) * len(after))}"
    return (
        f"{_sentence(f'{sides} ({chance})')} Without an intermediate task English is ahead by "
        f"{before['gap'].mean():.0f} points on average, most in {ends[0]} and least in {ends[1]}."
    )


def state_layers(table: pd.DataFrame) -> str:
    """State how many conditions gain and lose at the layer that is as deep as the paper's, and at the last one.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.effects.estimate_layer_profiles`.
    """
    gained = table[table["gain"].notna()]
    if gained.empty:
        return "No condition can be compared with the baseline yet."
    last = int(gained["layer"].max())
    middle = find_published_layer(last)
    conditions = count(gained["condition"].unique(), "condition")
    in_the_middle, at_last = (
        _say_sides(gained[gained["layer"] == layer], things, low="gain_low", high="gain_high")
        for layer, things in ((middle, conditions), (last, str(gained["condition"].nunique())))
    )
    return _sentence(
        f"{in_the_middle} at layer {middle}, as deep as the paper's; {at_last} at the last ({UNCORRECTED})"
    )


def state_agreement(pairs: pd.DataFrame) -> str:
    """State how well the gains of two studies agree.

    Parameters
    ----------
    pairs : DataFrame
        gain, low, high of each study with suffixes _live and _recorded.
    """
    if pairs.empty:
        return NOTHING
    overlap = (pairs["low_live"] <= pairs["high_recorded"]) & (pairs["low_recorded"] <= pairs["high_live"])
    both = keep_clear(keep_clear(pairs, "low_live", "high_live"), "low_recorded", "high_recorded")
    same = int((both["gain_live"] * both["gain_recorded"] > 0).sum())
    difference = (pairs["gain_live"] - pairs["gain_recorded"]).abs().mean()
    text = (
        f"The intervals of the two studies overlap in {int(overlap.sum())} of {count(pairs, 'shared cell')}; gains "
        f"differ by {difference:.1f} points on average"
    )
    if pairs["gain_live"].nunique() > 1 and pairs["gain_recorded"].nunique() > 1:
        text += f", and their correlation is {format_signed(pairs['gain_live'].corr(pairs['gain_recorded']), 2)}"
    return f"{text}. Where both exclude zero ({count(both, 'cell')}), the sign agrees in {same}."


def state_verdicts(table: pd.DataFrame, by: str, thing: str, titles: Mapping[str, str] = MappingProxyType({})) -> str:
    """State how many tests have an answer, and which, for each group of them.

    Parameters
    ----------
    table : DataFrame
        verdict and the group.
    by : str
        Column of the groups.
    thing : str
        What a row is, in the singular, the noun first.
    titles : mapping of str to str
        Group -> its name in words.
    """
    parts = []
    for group, own in table.groupby(by, sort=False):
        counts = {verdict: int((own["verdict"] == verdict).sum()) for verdict in ANSWERS}
        found = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
        number = sum(counts.values())
        said = f"{number} of {_count(own, thing)} {'has' if number == 1 else 'have'} an answer ({found})"
        nothing = f"none of {_count(own, thing)} has an answer"
        parts.append(f"on {titles.get(str(group), group)} {said if number else nothing}")
    return _sentence("; ".join(parts)) if parts else NOTHING


def state_tests(verdicts: pd.DataFrame, tests: Sequence[str]) -> str:
    """State of some tests of a question the verdict, the hypothesis and the effect.

    Parameters
    ----------
    verdicts : DataFrame
        From `stilts.analysis.questions.testing.tabulate_verdicts`.
    tests : sequence of str
        Their ids; one that the study does not make is left out.
    """
    rows = verdicts[verdicts["test"].isin(tests)].to_dict("records")
    return " ".join(map(_say_test, rows)) or "The study tests nothing that this figure shows."


def _say_test(row: Mapping) -> str:
    hypothesis = escape_text(str(row["hypothesis"]).rstrip("."))
    start = f"{str(row['verdict']).capitalize()}: {hypothesis[:1].lower()}{hypothesis[1:]}"
    if row["verdict"] == Verdict.UNTESTABLE:
        return f"{start} ({row['reason']})."
    return f"{start}, {format_effect(row['estimate'], row['low'], row['high'], row['unit'])}."


def state_best_kind(table: pd.DataFrame, kinds: Sequence[str]) -> str:
    """State in how many languages each kind of training has the highest score.

    Parameters
    ----------
    table : DataFrame
        A row for each language, with a column of scores for each kind.
    kinds : sequence of str
    """
    scores = table[list(kinds)].dropna(how="all") if len(kinds) else table.iloc[:0]
    if scores.empty:
        return NOTHING
    best = scores.astype(float).idxmax(axis=1).value_counts()
    ranked = sorted(kinds, key=lambda kind: -best.get(kind, 0))
    said = [f"{best.get(kind, 0) or 'none'} with {kind}" for kind in ranked]
    return f"Of {count(scores, 'language')}, F1 is highest in {', '.join(said)}, which no test was made of."


def state_costs(phases: pd.DataFrame) -> str:
    """State which share of the computing each phase took.

    Parameters
    ----------
    phases : DataFrame
        phase, seconds.
    """
    total = phases["seconds"].sum()
    if not total:
        return NOTHING
    shares = (phases.groupby("phase")["seconds"].sum() / total).sort_values(ascending=False)
    (first, share), *others = shares.items()
    beside = [f"{PHASE_TITLES[phase]} {100 * own:.0f} %" for phase, own in others]
    text = f"{PHASE_TITLES[first]} takes {100 * share:.0f} % of {total / 3600:.1f} hours of computing"
    return _sentence(f"{text}, {join_words(beside)}" if beside else text)


def state_throughput(loops: pd.DataFrame, same: Sequence[pd.DataFrame] = ()) -> str:
    """State how much faster the fastest loop is than the others, and whether its score lies in their intervals.

    Parameters
    ----------
    loops : DataFrame
        From `stilts.analysis.costs.tabulate_throughput`, the fastest last: each loop with the weights of its recipe.
    same : sequence of DataFrame
        The same of works in which all loops train the same weights; a part of the difference is what a recipe freezes.
    """
    fastest, others = loops.iloc[-1], loops.iloc[:-1]
    if others.empty:
        return NOTHING
    inside = int(((others["dev_low"] <= fastest["dev_score"]) & (fastest["dev_score"] <= others["dev_high"])).sum())
    faster = f"{_title_loop(fastest['name'])} is {_say_times(loops, fastest['name'])}"
    scores = f"its dev score lies inside the interval of {inside} of {count(others, 'other')}"
    alike = _state_same(same, fastest["name"], list(others["name"]))
    return " ".join([_sentence(f"{faster}, each with the weights that it trains; {scores}"), *alike])


def _state_same(tables: Sequence[pd.DataFrame], name: str, others: Sequence[str]) -> list[str]:
    """State how many times as fast as the others a loop is that the sentence before has named, in their order there."""
    said = []
    for table in tables:
        speedups = _find_speedups(table, name)
        times = [f"{speedups[other]:.1f}" for other in others]
        said.append(f"{join_words(times)} times as fast with {WORK_TITLES[table['work'].iloc[0]]}")
    return [_sentence(f"where all train the same weights, it is {join_words(said)}")] if said else []


def state_same_weights(tables: Sequence[pd.DataFrame]) -> str:
    """State how much faster the study's loop is than the others where all train the same weights.

    Parameters
    ----------
    tables : sequence of DataFrame
        Each from `stilts.analysis.costs.tabulate_throughput`, of one work.
    """
    parts = []
    for table in tables:
        parts.append(f"with {WORK_TITLES[table['work'].iloc[0]]} {_say_times(table, OWN_LOOP)}")
    return _sentence(f"{_title_loop(OWN_LOOP)} is, {'; '.join(parts)}") if parts else NOTHING


def _say_times(loops: pd.DataFrame, name: str) -> str:
    """Say how many times as fast as each of the others a loop is."""
    speedups = _find_speedups(loops, name)
    return join_words([f"{ratio:.1f} times as fast as {_title_loop(other)}" for other, ratio in speedups.items()])


def _find_speedups(loops: pd.DataFrame, name: str) -> dict[str, float]:
    """Return how many times as fast as each of the others a loop is."""
    speeds = loops.set_index("name")["examples_per_second"]
    return {other: speeds[name] / speed for other, speed in speeds.items() if other != name}


def _title_loop(name: str) -> str:
    return LOOP_TITLES.get(name, name)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
