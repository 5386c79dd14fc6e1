"""Tables for the page of a job, from the records of its runs; its figures are in `stilts.publish.figures`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from stilts.analysis import learning
from stilts.analysis.chance import read_guessing
from stilts.publish.downloads import name_run_notebooks
from stilts.study.records import Record, Store
from stilts.workspace.notebooks.markup import mark_code
from stilts.workspace.plan import Plan


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


def tabulate_scores(records: Sequence[Record]) -> pd.DataFrame:
    """Return scores in percent: a row for each language, a column for each target task."""
    scores = {
        record.run.target: {language: metrics["score"] for language, metrics in record.metrics.items()}
        for record in records
    }
    return pd.DataFrame(scores).sort_index().rename_axis("language").round(1)


def tabulate_metrics(records: Sequence[Record]) -> pd.DataFrame:
    """Return what runs measured: a row for each metric, a column for each run and language."""
    columns = {
        f"{record.run.condition} ({language})": metrics
        for record in records
        for language, metrics in record.metrics.items()
    }
    return pd.DataFrame(columns).rename_axis("measured").round(3)


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
