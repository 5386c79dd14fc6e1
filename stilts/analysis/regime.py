"""Which training settings English dev sets choose: scores of each arm of a study whose conditions differ in them."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from stilts.analysis.wording import count, format_rate
from stilts.study.records import Record
from stilts.study.settings import SOURCE_LANGUAGE, Phase, TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

ARM = ["learning_rate", "frozen_layers", "epochs"]
WITHIN = 5.0  # points below the best intermediate dev score, at most; the rule of studies/regime-intermediate.yml
NEAR = 1.0  # points below the best dev score of targets; the rules of studies/regime-pilot.yml and regime-adapters.yml
PUBLISHED_RATE = 1e-5  # of both phases in the scripts of Phang et al. (2020)
COLUMNS = [*ARM, "intermediate", "targets", "runs", "at_chance", "eligible", "chosen"]


def choose_highest(arms: "pd.DataFrame") -> int:
    """Return the place of the eligible arm with the highest score; arms are sorted by it."""
    return int(arms["eligible"].argmax())


def choose_frozen(arms: "pd.DataFrame") -> int:
    """Return the place of the highest arm with frozen layers, which train faster, if it is near the highest."""
    near = _find_near(arms)
    frozen = near & (arms["frozen_layers"] > 0)
    return int((frozen if frozen.any() else near).argmax())


def choose_slowest(arms: "pd.DataFrame") -> int:
    """Return the place of the arm with the lowest rate of those near the highest."""
    return int(arms["learning_rate"].where(_find_near(arms)).argmin())


def _find_near(arms: "pd.DataFrame") -> "pd.Series":
    """Return which eligible arms are within `NEAR` points of the highest one; all, if none has a target yet."""
    scores = arms["targets"].where(arms["eligible"]).fillna(-math.inf)
    return arms["eligible"] & (scores >= scores.max() - NEAR)


def tabulate_arms(
    records: Sequence[Record],
    phase: Phase,
    choose: Callable[["pd.DataFrame"], int] = choose_highest,
    at_chance: Collection[str] = (),
) -> "pd.DataFrame":
    """Return one row for each way in which a phase was trained, the best dev score of targets first.

    An arm is eligible if its intermediate dev score is within `WITHIN` points of the highest, or if nothing was trained
    before the target.

    Parameters
    ----------
    records : sequence of Record
        Trainings of one study.
    phase : str
        Whose settings the study varies: "intermediate" or "target".
    choose : callable
        Rule of the study: arms -> place of the one that is chosen.
    at_chance : collection of str
        Ids of target trainings that have not learned their task.

    Returns
    -------
    DataFrame
        learning_rate (of the adapters, where these are trained), frozen_layers, epochs (missing where tasks differ in
        it and arms do not), intermediate and targets (English dev scores in percent, mean over tasks and seeds), runs
        (target trainings), at_chance (how many of them), eligible, chosen.
    """
    arms = _pool(_collect_scores(records, phase, at_chance))
    arms["eligible"] = arms["intermediate"].isna() | (arms["intermediate"] >= arms["intermediate"].max() - WITHIN)
    arms = arms.sort_values("targets", ascending=False, ignore_index=True)
    arms["chosen"] = arms.index == choose(arms) if len(arms) else False
    return arms[COLUMNS]


def _collect_scores(records: Sequence[Record], phase: Phase, at_chance: Collection[str]) -> "pd.DataFrame":
    """Return one row for each training whose arm is known: the arm, task, phase, score, at_chance."""
    import pandas as pd

    known = {record.id: record for record in records}
    rows = []
    for record in records:
        varied = record if record.run.phase == phase else known.get(next(iter(record.run.parents), ""))
        if record.run.phase in ("intermediate", "target") and varied is not None:
            task = varied.run.target or " ".join(varied.run.settings.condition.tasks)
            score = record.metrics[SOURCE_LANGUAGE]["score"]
            arm = _read_arm(varied.run.settings.training)
            found = {"task": task, "phase": record.run.phase, "score": score, "at_chance": record.id in at_chance}
            rows.append(arm | found)
    scores = pd.DataFrame(rows, columns=[*ARM, "task", "phase", "score", "at_chance"])
    if scores["epochs"].nunique() > 1 and scores.groupby("task")["epochs"].nunique().max() == 1:
        scores["epochs"] = float("nan")  # tasks differ in it, arms do not
    return scores


def _read_arm(training: TrainingSettings) -> dict[str, float]:
    return {"learning_rate": training.peak_rate, "frozen_layers": training.frozen_layers, "epochs": training.epochs}


def _pool(scores: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row for each arm: intermediate and targets (mean scores), runs (target trainings), at_chance."""
    arms = scores[ARM].drop_duplicates()
    for phase, pooled in (("intermediate", {"intermediate": "mean"}), ("target", {"targets": "mean", "runs": "size"})):
        groups = scores[scores["phase"] == phase].groupby(ARM, dropna=False)["score"]
        arms = arms.merge(groups.agg(**pooled).reset_index(), on=ARM, how="left")
    return arms.merge(scores.groupby(ARM, dropna=False)["at_chance"].sum().reset_index(), on=ARM, how="left")


def show_arms(arms: "pd.DataFrame") -> "pd.DataFrame":
    """Return the arms for readers: yes and no, and without columns that say nothing of these arms."""
    said = {True: "yes", False: ""}
    shown = arms.assign(eligible=arms["eligible"].map(said), chosen=arms["chosen"].map(said))
    shown["learning_rate"] = arms["learning_rate"].map(format_rate)
    shown["epochs"] = arms["epochs"].map("{:g}".format)
    if arms["intermediate"].isna().all():
        shown = shown.drop(columns=["intermediate", "eligible"])
    if arms["epochs"].isna().all():
        shown = shown.drop(columns="epochs")
    return shown.rename(columns=lambda name: name.replace("_", " "))


def describe_choice(arms: "pd.DataFrame") -> str:
    """Say which arm is chosen, and how far it is from the highest eligible one, or the next one from it."""
    if arms.empty:
        return "No training is recorded yet."
    eligible = arms[arms["eligible"]]
    chosen = next(eligible[eligible["chosen"]].itertuples())
    others = list(eligible[~eligible["chosen"]].itertuples())
    frozen = f"the {chosen.frozen_layers} lowest layers frozen" if chosen.frozen_layers else "no layer frozen"
    epochs = "" if math.isnan(chosen.epochs) else f", {chosen.epochs:g} epoch" + ("" if chosen.epochs == 1 else "s")
    text = (
        f"Chosen is a rate of {format_rate(chosen.learning_rate)}, {frozen}{epochs}: {chosen.targets:.2f} percent "
        f"English dev of targets, over {count(int(chosen.runs), 'training')}"
    )
    if not others:
        return f"{text}."
    place = "The highest arm" if others[0].targets > chosen.targets else "The next arm that counts"
    return f"{text}. {place} has {others[0].targets:.2f}."


def describe_published_rate(arms: "pd.DataFrame") -> str:
    """Say how far the highest arm at the rate of the paper's scripts is from the chosen one; "" without such an arm.

    Without a target's score an arm is not compared, nor is one that is chosen itself.
    """
    at_rate = arms[(arms["learning_rate"] == PUBLISHED_RATE) & arms["targets"].notna()]
    if at_rate.empty or at_rate["chosen"].any():
        return ""
    highest, chosen = next(at_rate.itertuples()), next(arms[arms["chosen"]].itertuples())
    text = (
        f"At {format_rate(PUBLISHED_RATE)}, the rate of the paper's scripts, the highest arm has "
        f"{highest.targets:.2f}, {_compare(highest.targets, chosen.targets)} than the chosen one"
    )
    if highest.eligible:
        return f"{text}."
    return (
        f"{text}, and {highest.intermediate:.2f} percent English dev of intermediate tasks, "
        f"{_compare(highest.intermediate, chosen.intermediate)}, so that it does not count."
    )


def _compare(score: float, other: float) -> str:
    return f"{abs(score - other):.1f} points {'more' if score > other else 'less'}"
