"""Figures and tables for the page of a job, from the records of its runs."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from stilts.analysis import learning
from stilts.analysis.chance import read_guessing
from stilts.publish.downloads import name_run_notebooks
from stilts.study.records import Record, Store
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.workspace.notebooks.markup import mark_code
from stilts.workspace.plan import Plan

COLUMNS = 3  # panels beside each other


def draw_learning_curves(records: Sequence[Record]) -> Figure:
    """Plot the training loss by update, with the best dev score marked, in a panel for each run."""
    figure, axes = _panels(len(records))
    for axis, record in zip(axes, records, strict=True):
        losses = [point for point in record.history if "loss" in point]
        axis.plot([point["update"] for point in losses], [point["loss"] for point in losses], color="#0072B2")
        scores = [point for point in record.history if "dev_score" in point]
        if scores:
            best = max(scores, key=lambda point: (point["dev_score"], point["update"]))
            axis.plot(best["update"], losses[-1]["loss"], "x", color="#D55E00")
            axis.annotate(f"dev {best['dev_score']:.1f}", (best["update"], losses[-1]["loss"]), (-6, 10),
                          textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        axis.set(title=record.run.target or record.run.condition, xlabel="update", ylabel="loss", ylim=(0, None))
    return figure


def draw_pretraining_curves(records: Sequence[Record]) -> Figure:
    """Plot bits per predicted token by update, on training and on held-out texts, in a panel for each pretraining."""
    figure, axes = _panels(len(records))
    for axis, record in zip(axes, records, strict=True):
        losses = [point for point in record.history if "loss" in point]
        held_out = [point for point in record.history if "dev_score" in point]
        bits = [point["loss"] / math.log(2) for point in losses]
        axis.plot([point["update"] for point in losses], bits, color="#0072B2", label="training")
        # The dev score of pretraining is negative bits per token.
        axis.plot([point["update"] for point in held_out], [-point["dev_score"] for point in held_out], "o",
                  color="#D55E00", label="held out")  # fmt: skip
        axis.set(title=record.run.condition, xlabel="update", ylabel="bits per predicted token", ylim=(0, None))
        axis.legend(frameon=False, fontsize=8)
    return figure


def tabulate_held_out(records: Sequence[Record]) -> pd.DataFrame:
    """Return the results of each pretraining on held-out texts, a row for each language ("mul": all languages)."""
    rows = [
        {
            "encoder": record.run.condition,
            "language": language,
            "bits per token": round(metrics["bits_per_token"], 2),
            "right (percent)": round(metrics["score"], 1),
            "tokens predicted": round(metrics["tokens_predicted"]),
        }
        for record in records
        for language, metrics in sorted(record.metrics.items())
    ]
    return pd.DataFrame(rows).set_index(["encoder", "language"])


def describe_learned(records: Sequence[Record], store: Store) -> str:
    """State which trainings, among these runs and the parents of evaluations, are not above chance on their dev set.

    Trainings on several tasks at once are left out, since their dev score is a mean over tasks.
    """
    behind = [parent for record in records if record.run.phase == "zero-shot" for parent in record.run.parents]
    trained = [*records, *(found for name in dict.fromkeys(behind) if (found := store.find(name)))]
    noted = read_guessing(trained, store)
    tables = [learning.tabulate_dev_scores(trained, noted, phase) for phase in ("intermediate", "target")]
    scores = pd.concat(tables).astype({"learned": bool})
    if scores.empty:
        return ""
    lost = [
        f"{mark_code(run.target)} after {mark_code(run.condition)}, seed {run.seed}: {run.score:.1f} where guessing "
        f"gives {run.chance:.1f}"
        for run in scores[~scores["learned"]].itertuples()
    ]
    if not lost:
        return "Each training here is above chance on its dev set."
    return (
        f"**Not learned:** {'; '.join(lost)} (percent of its dev set). What is tested after it says nothing of "
        "transfer, and counts in no average, test or verdict."
    )


def tabulate_language_scores(records: Sequence[Record]) -> Figure:
    """Plot each language's score, in a row for each target task; English is the large mark."""
    rows = [
        {"target": record.run.target, "score": metrics["score"], "source": language == SOURCE_LANGUAGE}
        for record in records
        for language, metrics in record.metrics.items()
    ]
    scores = pd.DataFrame(rows)
    figure, axis = plt.subplots(figsize=(8, 0.7 + 0.55 * len(records)), layout="constrained")
    order = [record.run.target for record in records]
    others, english = scores[~scores["source"]], scores[scores["source"]]
    sns.stripplot(others, x="score", y="target", order=order, jitter=False, color="#0072B2", alpha=0.45, ax=axis)
    sns.stripplot(english, x="score", y="target", order=order, jitter=False, color="#D55E00", size=9, ax=axis)
    axis.set(xlabel="score (percent)", ylabel="", xlim=(-2, 102))
    axis.grid(axis="x", alpha=0.3)
    return figure


def tabulate_scores(records: Sequence[Record]) -> pd.DataFrame:
    """Return scores in percent: a row for each language, a column for each target task."""
    scores = {
        record.run.target: {language: metrics["score"] for language, metrics in record.metrics.items()}
        for record in records
    }
    return pd.DataFrame(scores).sort_index().rename_axis("language").round(1)


def summarize_run(records: Sequence[Record]) -> pd.DataFrame:
    """Return one row per run: its id, score, cost and device."""
    rows = [
        {
            "run": record.id,
            # Runs that measure similarity have no score.
            "mean score": round(float(np.mean([own.get("score", np.nan) for own in record.metrics.values()])), 1),
            "seconds": round(record.provenance.seconds, 1),
            "examples/s": round(record.provenance.examples_per_second),
            "tokens/s": round(record.provenance.tokens_per_second),
            "peak MB": round(record.provenance.peak_memory_mb),
            "precision": record.provenance.precision,
            "device": record.provenance.device,
            "started (UTC)": record.provenance.started,
        }
        for record in records
    ]
    return pd.DataFrame(rows).set_index("run")


def tabulate_jobs(plan: Plan) -> pd.DataFrame:
    """Return one row per job of a plan whose runs have records, in the order of the plan.

    Returns
    -------
    DataFrame
        phase, condition, seed, targets (empty in phases without), runs, mean score (percent, over runs and languages),
        minutes (wall clock of the runs), device, notebook (name of the executed notebook, see
        `stilts.publish.downloads.name_run_notebooks`).
    """
    store, rows = plan.checkout.store(), []
    for name, job in name_run_notebooks(plan.jobs).items():
        records = [record for run in job.runs if (record := store.find(run.id))]
        if len(records) < len(job.runs):
            continue
        scores = [own["score"] for record in records for own in record.metrics.values() if "score" in own]
        seconds = sum(record.provenance.seconds for record in records)
        rows.append(
            {"phase": job.phase, "condition": job.condition, "seed": job.seed, "targets": ", ".join(job.targets)}
            | {"runs": len(records), "mean score": float(np.mean(scores)) if scores else np.nan}
            | {"minutes": seconds / 60, "device": records[0].provenance.device, "notebook": name}
        )
    columns = ["phase", "condition", "seed", "targets", "runs", "mean score", "minutes", "device", "notebook"]
    return pd.DataFrame(rows, columns=columns)


def tabulate_settings(records: Sequence[Record]) -> pd.DataFrame:
    """Return the resolved settings: a row for each setting, a column for each target task (or condition)."""
    flat = [pd.json_normalize(record.run.settings.model_dump(mode="json")).iloc[0].map(str) for record in records]
    columns = {
        record.run.target or record.run.condition: own for record, own in zip(records, flat, strict=True)
    }
    return pd.DataFrame(columns).rename_axis("setting")


def _panels(count: int) -> tuple[Figure, list]:
    rows = -(-count // COLUMNS)
    width = min(count, COLUMNS)
    figure, axes = plt.subplots(rows, width, figsize=(3.2 * width, 2.5 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])
