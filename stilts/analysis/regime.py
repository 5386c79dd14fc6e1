"""Which training settings English dev sets choose: scores of each arm of a study whose conditions differ in them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stilts.analysis.wording import count, format_rate
from stilts.study.records import Record
from stilts.study.settings import SOURCE_LANGUAGE, Phase

if TYPE_CHECKING:
    import pandas as pd

ARM = ["learning_rate", "frozen_layers", "epochs"]
WITHIN = 5.0  # points below the best intermediate dev score, at most; the rule of studies/regime-intermediate.yml
COLUMNS = [*ARM, "intermediate", "targets", "runs", "eligible", "chosen"]


def tabulate_arms(records: Sequence[Record], phase: Phase) -> "pd.DataFrame":
    """Return one row for each way in which a phase was trained, the best dev score of targets first.

    An arm is eligible if its intermediate dev score is within `WITHIN` points of the highest, or if nothing was trained
    before the target. The eligible arm with the highest dev score of targets is chosen.

    Parameters
    ----------
    records : sequence of Record
        Trainings of one study.
    phase : str
        Whose settings the study varies: "intermediate" or "target".

    Returns
    -------
    DataFrame
        learning_rate, frozen_layers, epochs, intermediate and targets (English dev scores in percent, mean over tasks
        and seeds), runs (target trainings), eligible, chosen.
    """
    import pandas as pd

    known = {record.id: record for record in records}
    rows = []
    for record in records:
        varied = record if record.run.phase == phase else known.get(next(iter(record.run.parents), ""))
        if record.run.phase in ("intermediate", "target") and varied is not None:
            training = varied.run.settings.training.model_dump()
            score = record.metrics[SOURCE_LANGUAGE]["score"]
            rows.append({name: training[name] for name in ARM} | {"phase": record.run.phase, "score": score})
    scores = pd.DataFrame(rows, columns=[*ARM, "phase", "score"])
    arms = scores[ARM].drop_duplicates().set_index(ARM)
    for name, trained in (("intermediate", "intermediate"), ("targets", "target")):
        arms[name] = scores[scores["phase"] == trained].groupby(ARM)["score"].mean()
    arms["runs"] = scores[scores["phase"] == "target"].groupby(ARM)["score"].size()
    arms["eligible"] = arms["intermediate"].isna() | (arms["intermediate"] >= arms["intermediate"].max() - WITHIN)
    arms = arms.sort_values("targets", ascending=False).reset_index()
    arms["chosen"] = arms.index == arms["eligible"].argmax() if len(arms) else False
    return arms[COLUMNS]


def show_arms(arms: "pd.DataFrame") -> "pd.DataFrame":
    """Return the arms for readers: yes and no, and without intermediate columns if nothing was trained before."""
    said = {True: "yes", False: ""}
    shown = arms.assign(eligible=arms["eligible"].map(said), chosen=arms["chosen"].map(said))
    shown["learning_rate"] = arms["learning_rate"].map(format_rate)
    shown["epochs"] = arms["epochs"].map("{:g}".format)
    if arms["intermediate"].isna().all():
        shown = shown.drop(columns=["intermediate", "eligible"])
    return shown.rename(columns=lambda name: name.replace("_", " "))


def describe_choice(arms: "pd.DataFrame") -> str:
    """Say which arm is chosen, and how far the next eligible one is behind."""
    if arms.empty:
        return "No training is recorded yet."
    first, *others = arms[arms["eligible"]].itertuples()
    frozen = f"the {first.frozen_layers} lowest layers frozen" if first.frozen_layers else "no layer frozen"
    epochs = f"{first.epochs:g} epoch" + ("" if first.epochs == 1 else "s")
    text = (
        f"Chosen is a rate of {format_rate(first.learning_rate)}, {frozen}, {epochs}: {first.targets:.2f} percent "
        f"English dev of targets, over {count(int(first.runs), 'training')}"
    )
    if not others:
        return f"{text}."
    return f"{text}. The next arm that counts has {others[0].targets:.2f}."
