"""Data of the explorer page, as scripts that a browser can load from disk, and the element in which the page is drawn.

A script sets one entry of `window.explorerData`: browsers refuse to fetch JSON from disk, but load scripts. What the
first view shows is in one file for each study. The scores of a target, its replicates and its predictions are in files
of their own, which the page loads when they are asked for.

`book/_static/explorer-intervals.js` computes the intervals of any subset of languages from the replicates, as
`stilts.analysis.bootstrap.Replicates.mean` and `stilts.analysis.estimates.estimate` do.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.contrasts import Weights, average_weights, weigh_gain
from stilts.analysis.effects import estimate_contrast, find_targets
from stilts.analysis.estimates import LEVEL, Estimate
from stilts.analysis.languages.facts import get_language
from stilts.analysis.opened import Analysis
from stilts.analysis.wording import title_conditions, title_task
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import BASELINE
from stilts.study.storage import hash_json, replace_file
from stilts.tasks.registry import TARGETS

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML

FOLDER = "explorer"
"""Folder of the data, beside the page."""

LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""One character for each of 64 levels, in ascending order."""

METRICS = {"score": "score", "exact_match": "exact match", "token_accuracy": "token accuracy"}
LAYER = "layer_"
DEGREES = 120
"""Degrees of freedom up to which the page has quantiles of Student's t; above, an expansion is exact to six digits."""

Content = dict[str, Any]


def write_explorer_data(analysis: Analysis, folder: Path) -> dict[str, Content]:
    """Write the data of one study, and return what was written, by file without suffix.

    Parameters
    ----------
    analysis : Analysis
        A study with zero-shot records.
    folder : Path
        Made if it does not exist.
    """
    study = analysis.study
    files = {study: describe_study(analysis), f"{study}.draws": describe_draws(analysis.replicates.values())}
    for target, part in analysis.replicates.items():
        files[f"{study}.{target}"] = describe_scores(part, analysis.scores)
        files[f"{study}.{target}.replicates"] = describe_replicates(part)
        for condition in part.conditions:
            runs = [record for record in analysis.phase("zero-shot") if _is_of(record, condition, target)]
            predictions = {record.run.seed: analysis.store.predictions(record.id) for record in runs}
            files[f"{study}.{target}.{condition}"] = describe_predictions(predictions)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_file(folder / f"{name}.js", partial(_write_script, name=name, content=content))
    return files


def _is_of(record: Record, condition: str, target: str) -> bool:
    return (record.run.condition, record.run.target) == (condition, target)


def _write_script(path: Path, name: str, content: Content) -> None:
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    path.write_text(f"(window.explorerData ||= {{}})[{json.dumps(name)}] = {data};\n", encoding="utf-8")


def show_explorer(analyses: Sequence[Analysis], out: Path | str) -> "HTML":
    """Write the data of some studies to a folder of a page, and return the element in which the explorer is drawn.

    Raises
    ------
    StiltsError
        If there is no study.
    """
    from IPython.display import HTML

    if not analyses:
        raise StiltsError("the explorer has no study with zero-shot records; run `stilts run <study>` first")
    written = [write_explorer_data(analysis, Path(out) / FOLDER) for analysis in analyses]
    studies = [{"name": analysis.study, "title": analysis.settings.title} for analysis in analyses]
    return HTML(
        f'<div class="explorer" data-folder="{FOLDER}" data-version="{hash_json(written)[:10]}" '
        f'data-studies="{escape(json.dumps(studies))}"><p>The explorer needs JavaScript. Without it, the other '
        "pages of this part show the same numbers.</p></div>"
    )


# --- What the first view shows ---------------------------------------------------------------------------------------


def describe_study(analysis: Analysis) -> Content:
    """Return names, facts of languages, and the matrix over all languages of a study.

    Returns
    -------
    dict
        title, level, quantiles (of Student's t by degrees of freedom from 1, then of the normal distribution),
        conditions, targets, languages (code -> name, family, script), cells (target -> condition -> score, gain: each
        value, low, high, seeds) and means (condition -> the targets that count under it, the score over them, and the
        gain over those of them whose baseline is recorded).
    """
    from scipy.special import stdtrit

    replicates, languages = analysis.replicates, {}
    for code in sorted({code for part in replicates.values() for code in part.languages}):
        language = get_language(code)
        languages[code] = [language.name, language.family, language.script]
    degrees = [*range(1, DEGREES + 1), np.inf]
    return {
        "title": analysis.settings.title,
        "level": LEVEL,
        "quantiles": [round(float(value), 8) for value in stdtrit(degrees, (1 + LEVEL) / 2)],
        "conditions": title_conditions(analysis.conditions),
        "targets": {target: _describe_target(part, analysis) for target, part in replicates.items()},
        "languages": languages,
        "cells": {target: _estimate_cells(part) for target, part in replicates.items()},
        "means": _estimate_means(analysis.counted),
    }


def _describe_target(part: Replicates, analysis: Analysis) -> Content:
    own = analysis.scores[analysis.scores["target"] == part.target].dropna(axis="columns")
    metrics = [name for name in own.columns if name in METRICS or name.startswith(LAYER)]
    uncounted = {name: reason for (name, target), reason in analysis.uncounted.items() if target == part.target}
    return {
        "title": title_task(part.target),
        "metric": TARGETS[part.target].metric,
        "metrics": metrics,
        "languages": part.languages,
        "seeds": part.seeds,
        "examples": int(own["n"].max()),
        "uncounted": uncounted,
    }


def _estimate_cells(part: Replicates) -> dict[str, dict[str, list[float]]]:
    return {
        condition: {
            measure: _list(estimate_contrast({part.target: part}, {part.target: weights}))
            for measure, weights in _weigh(part, condition).items()
        }
        for condition in part.conditions
    }


def _weigh(part: Replicates, condition: str) -> dict[str, Weights]:
    """Return the weights of a condition's score and, where there is a baseline, of its gain."""
    compared = condition != BASELINE and BASELINE in part.conditions
    return {"score": {condition: 1.0}} | ({"gain": weigh_gain(condition)} if compared else {})


def _estimate_means(counted: Mapping[str, Replicates]) -> dict[str, Content]:
    means = {}
    for condition in dict.fromkeys(name for part in counted.values() for name in part.conditions):
        targets = find_targets(counted, [condition])
        means[condition] = {"targets": targets, "score": _list(_average(counted, {condition: 1.0}, targets))}
        compared = find_targets(counted, [condition, BASELINE])  # a part of the study may be recorded without the rest
        if condition != BASELINE and compared:
            means[condition]["gain"] = _list(_average(counted, weigh_gain(condition), compared))
    return means


def _average(counted: Mapping[str, Replicates], weights: Weights, targets: Sequence[str]) -> Estimate:
    return estimate_contrast(counted, average_weights(weights, targets))


def _list(effect: Estimate) -> list[float]:
    return [round(value, 4) for value in (effect.value, effect.low, effect.high)] + [effect.seeds]


# --- Scores and replicates of a target -------------------------------------------------------------------------------


def describe_scores(part: Replicates, scores: "pd.DataFrame") -> Content:
    """Return the scores of one target by language and run, in percent.

    Returns
    -------
    dict
        runs (condition and seed of each), languages, examples (of each language), metrics (name -> language -> score
        of each run), noise (condition -> score, gain: the variance by items for each language).
    """
    own = scores[scores["target"] == part.target].dropna(axis="columns")
    metrics = {}
    for name in (name for name in own.columns if name in METRICS or name.startswith(LAYER)):
        wide = own.pivot(index="language", columns=["condition", "seed"], values=name)
        table = wide.loc[list(part.languages), list(part.runs)].to_numpy()
        metrics[name] = [[round(value, 3) for value in row] for row in table.tolist()]
    return {
        "runs": part.runs,
        "languages": part.languages,
        "examples": own.groupby("language")["n"].max()[list(part.languages)].astype(int).tolist(),
        "metrics": metrics,
        "noise": {condition: _noise(part, condition) for condition in part.conditions},
    }


def _noise(part: Replicates, condition: str) -> dict[str, list[float]]:
    variances = {
        measure: (part.items @ part.weights(weights)).var(axis=0)
        for measure, weights in _weigh(part, condition).items()
    }
    return {measure: [float(f"{value:.6g}") for value in own] for measure, own in variances.items()}


def describe_replicates(part: Replicates) -> Content:
    """Return the noise of items in each replicate of one target: replicate minus observed, on 64 levels.

    A condition that can be compared with the baseline has the noise of its gain, which is smaller than that of its
    score, so that its levels lie closer.

    Returns
    -------
    dict
        Condition -> language -> value of level 0 (points), distance of levels (points), the level of each replicate.
    """
    found = {}
    for condition in part.conditions:
        weights = part.weights(list(_weigh(part, condition).values())[-1])
        noise = part.items @ weights - part.scores @ weights
        found[condition] = {code: _quantise(noise[:, place]) for place, code in enumerate(part.languages)}
    return found


def _quantise(values: np.ndarray) -> list[Any]:
    """Return origin, step, and levels. What is read has the mean and the variance of the values, not nearly so."""
    spread = values.max() - values.min()
    levels = np.rint((values - values.min()) * (len(LEVELS) - 1) / (spread or 1.0))
    step = values.std() / (levels.std() or 1.0)
    origin = values.mean() - step * levels.mean()
    return [float(f"{origin:.7g}"), float(f"{step:.7g}"), _write_levels(levels)]


def _write_levels(levels: np.ndarray) -> str:
    characters = np.frombuffer(LEVELS.encode(), dtype=np.uint8)
    return characters[np.clip(levels, 0, len(LEVELS) - 1).astype(int)].tobytes().decode()


def describe_draws(replicates: Iterable[Replicates]) -> dict[str, str]:
    """Return how often each language is drawn in each replicate, as levels.

    Languages are drawn as often as there are languages, so that one is hardly ever drawn 64 times.
    """
    return {
        code: _write_levels(part.times_drawn[:, place])
        for part in replicates
        for place, code in enumerate(part.languages)
    }


# --- Predictions -----------------------------------------------------------------------------------------------------


def describe_predictions(predictions: Mapping[int, "pd.DataFrame"]) -> Content:
    """Return the predictions of the runs of one target and condition.

    Parameters
    ----------
    predictions : mapping
        Seed -> table with columns language, example, prediction, matches, predicted, gold.

    Returns
    -------
    dict
        seeds, words (of all predictions), and languages: code -> examples (their numbers), and for each seed
        predictions (an example's words by number, separated by spaces; examples are separated by semicolons) and
        shares (what is right of it in percent; empty if nothing was there and nothing was predicted).
    """
    frames = [predictions[seed].sort_values(["language", "example"]) for seed in sorted(predictions)]
    uses = Counter(word for frame in frames for text in frame["prediction"] for word in _split(text))
    words = [word for word, _ in uses.most_common()]
    numbers = {word: str(number) for number, word in enumerate(words)}
    parts = [dict(iter(frame.groupby("language"))) for frame in frames]
    languages = {
        code: {
            "examples": own["example"].tolist(),
            "predictions": [_join(part[code]["prediction"], numbers) for part in parts],
            "shares": [_list_shares(part[code]) for part in parts],
        }
        for code, own in parts[0].items()
    }
    return {"seeds": sorted(predictions), "words": words, "languages": languages}


def _split(text: str) -> list[str]:
    return text.split(" ") if text else []


def _join(texts: Iterable[str], numbers: Mapping[str, str]) -> str:
    return ";".join(" ".join(numbers[word] for word in _split(text)) for text in texts)


def _list_shares(frame: "pd.DataFrame") -> str:
    whole = frame["predicted"] + frame["gold"]
    shares = (200 * frame["matches"] / whole.where(whole > 0)).round()
    return ";".join("" if np.isnan(share) else f"{share:.0f}" for share in shares)
