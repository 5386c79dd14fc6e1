"""Every figure of the book, drawn from made-up tables that have the sizes and names of the recorded studies'."""

import itertools
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stilts.analysis.languages.facts import get_language
from stilts.analysis.wording import WAY_TITLES, title_condition, title_task
from stilts.publish import figures

CODES = [
    "en", "af", "ar", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "ga", "gl",
    "he", "hi", "hr", "hu", "id", "is", "it", "ja", "ko", "lb", "lt", "lv", "ml", "nb", "ne", "nl", "pl", "pt", "ro",
    "ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "vi", "zh",
]  # fmt: skip
TASKS = ("nli", "para", "qa", "intent", "slots", "dates")
TARGETS = ("command-nli", "command-para", "command-qa", "intent", "slots", "dates", "ui-retrieval", "ui-mining")
CONDITIONS = {
    **{name: (name,) for name in ("anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "cosmosqa", "commonsenseqa")},
    "multi": ("anli", "mnli", "qqp", "squad"),
    "mnli-mlm": ("mnli", "mlm"),
    "squad-mlm": ("squad", "mlm"),
    "xnli-dev-translated": ("xnli-dev-translated",),
}
XTREME = ("xnli", "xquad", "mlqa", "paws-x", "udpos", "pan-x", "tydiqa", "bucc2018", "tatoeba")
LEVELS = [f"dial-grain-{level}" for level in (2, 4, 16)]
MODELS = ["encoder", "decoder", "encoder-decoder"]
COMPARED = ("mnli-mlm − mnli", "squad-mlm − squad", "xnli-dev-translated − mnli", "multi − single tasks")
TITLES = {name: title_condition(name, tasks) for name, tasks in CONDITIONS.items()} | {
    name: title_task(name) for name in (*TASKS, *TARGETS, *XTREME, *LEVELS, "mlm")
}
TITLES |= WAY_TITLES | {"none": title_condition("none", ())}


def spread(name: str, count: int, middle: float, deviation: float) -> np.ndarray:
    """Return made-up numbers, the same for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(middle, deviation, count)


def effects(*columns: str, **values: Sequence) -> pd.DataFrame:
    """Effects, one for each combination of values, with the ends of their intervals; a few are large."""
    found = pd.DataFrame(list(itertools.product(*values.values())), columns=list(values))
    for name, *ends in (column.split() for column in columns):
        half = np.exp(spread(f"{name} {len(found)}", len(found), 1.0, 1.0))
        found[name] = spread(name, len(found), 0, 1) * half
        for end, side in zip(ends, (-1, 1), strict=False):
            found[end] = found[name] + side * half
    return found


def draw_matrix(conditions: Sequence[str], targets: Sequence[str], *labels: str, **named: str) -> Figure:
    cells = effects("gain low high", condition=conditions, target=targets)
    clear = (cells["low"] > 0) | (cells["high"] < 0)
    alike = [title_task(target) in TITLES.get(name, "") for name, target in cells[["condition", "target"]].to_numpy()]
    cells = cells.assign(excludes_zero=clear, survives_holm=clear, same_task=alike, learned=cells["target"] != "paws-x")
    means = cells.drop_duplicates("condition").drop(columns="target")
    return figures.draw_transfer_matrix(cells, means, *labels, titles=TITLES, **named)


def draw_matrices() -> list[Figure]:
    return [
        draw_matrix([*TASKS, "multi"], TARGETS, average="mean, other tasks"),
        draw_matrix(list(CONDITIONS), XTREME, average="mean, other tasks"),
        draw_matrix(COMPARED, XTREME, "difference (points)", "comparison"),
        draw_matrix(MODELS, TARGETS[2:], rows="architecture"),
        draw_matrix(MODELS[:1], TARGETS[:2], rows="architecture"),
    ]


def draw_schemes(ways: Sequence[str], tasks: Sequence[str], targets: Sequence[str]) -> Figure:
    table = effects("gain", scheme=ways, intermediate=tasks, target=targets)
    return figures.draw_scheme_matrices(table.assign(same=False, excludes_zero=True), TITLES)


def draw_claims() -> Figure:
    parts = [("pocket-full", "C1", "qa, mean gain over 7 targets"), ("pocket-full", "C2", "multi minus none")]
    end = "mean over 2 targets without training, after the last layer"
    parts += [("pilot", "C6", f"{name}, {end}") for name in COMPARED]
    judged = {"asks": "above", "asked": 2.0, "smallest": 1.0, "published": 8.0, "verdict": "no effect that matters"}
    table = pd.DataFrame(parts, columns=["study", "id", "part"]).assign(value=1.0, low=-50.0, high=3.0, **judged)
    return figures.draw_claims(table, TITLES)


def draw_forest() -> Figure:
    hypothesis = "After training in {}, languages with less pretraining text lose a larger share."
    rows = itertools.product(
        [f"{number}. Do far languages lose more?" for number in range(1, 6)],
        [hypothesis.format(place) for place in "abcde"],
        ["short commands", "rows of XTREME"],
    )
    table = pd.DataFrame(rows, columns=["question", "hypothesis", "setting"])
    found = {"estimate": 1.0, "low": -3.0, "high": 9.0, "smallest effect": 1.0, "verdict": "no effect that matters"}
    return figures.draw_question_forest(table.assign(**found))


def draw_distances() -> Figure:
    numbers = {name: spread(name, len(CODES), *look)
               for name, look in {"text": (4, 2), "syntactic": (0.5, 0.1), "gap": (28, 6)}.items()}  # fmt: skip
    table = pd.DataFrame({"name": [get_language(code).name for code in CODES], "script": "Latin", **numbers})
    axes = {"text": "pretraining text (log2 of GiB in CC-100)", "syntactic": "syntactic distance to English"}
    return figures.draw_distance_scatter(table, axes, {"text": (32.0, -1.0), "syntactic": (20.0, 16.0)})


def draw_english_gaps() -> Figure:
    table = effects("change change_low change_high", condition=["none", *TASKS, "multi"], target=TARGETS[:6])
    english, others = (spread(name, len(table), *look) for name, look in {"en": (85, 9), "other": (50, 9)}.items())
    return figures.draw_english_gaps(table.assign(english=english, others=others, gap=english - others), TITLES)


def draw_layers() -> Figure:
    table = effects("gain gain_low gain_high", condition=["none", *TASKS, "multi"], layer=range(1, 13))
    return figures.draw_layer_profiles(table.assign(score=50.0, low=45.0, high=55.0), TITLES)


def draw_groups(groups: Sequence[str]) -> Figure:
    languages, means = effects("gain", group=groups, language=CODES[:12]), effects("gain low high", group=groups)
    return figures.draw_group_gains(languages, means, "way of training", TITLES)


def draw_languages(codes: Sequence[str]) -> Figure:
    means, cells = effects("gain low high", language=codes), effects("gain", language=codes, target=TARGETS[:6])
    return figures.draw_language_gains(means, cells)


def draw_orders() -> dict[str, list[Figure]]:
    named = [f"{first}, then {second}" for first, second in itertools.permutations(("English", "German", "Chinese"), 2)]
    gains = effects("gain low high", training=named, languages=["unseen", "seen", "English"]).assign(rows=2)
    stages = pd.DataFrame({"training": named, "before": 60.0, "after": 71.0, "change": 11.0})
    kinds = {name: spread(name, len(CODES), 60, 9) for name in ("none", "English twice", "English first", "mixed")}
    return {
        "draw_order_gains": [figures.draw_order_gains(gains)],
        "draw_order_languages": [figures.draw_order_languages(pd.DataFrame(kinds).assign(code=CODES, trained=True))],
        "draw_forgetting": [figures.draw_forgetting(stages)],
    }


def draw_complexity() -> dict[str, list[Figure]]:
    gaps = effects("gap low high", task=[*TASKS, *LEVELS])
    gaps["code_length"] = 2 ** np.linspace(0, 4, len(gaps))
    sources = ("English", "German", "Chinese")
    gains = [effects("gain low high", task=tasks, source=sources) for tasks in ([*TASKS, *LEVELS], LEVELS)]
    return {
        "draw_complexity_gaps": [figures.draw_complexity_gaps(gaps, {"dial-grain": LEVELS}, (1.0, -0.5), TITLES)],
        "draw_source_gains": [figures.draw_source_gains(table, TITLES) for table in gains],
    }


def draw_design() -> dict[str, list[Figure]]:
    phases = itertools.product(["none", *CONDITIONS], ["intermediate", "target", "zero-shot"])
    costs = pd.DataFrame(phases, columns=["condition", "phase"]).assign(seconds=600.0)
    speeds = {"examples_per_second": [5.3, 18.1, 1140.8], "times": [1.0, 3.4, 226.8]}
    loops = pd.DataFrame({"name": ["xtreme", "plain", "stilts"], **speeds, "dev_score": 89.0})
    loops = loops.assign(dev_low=84.0, dev_high=94.0)
    tested = pd.DataFrame(itertools.product(XTREME, CODES[:40]), columns=["task", "language"]).assign(rows=30)
    return {
        "draw_costs": [figures.draw_costs(costs, TITLES)],
        "draw_throughput": [figures.draw_throughput(loops)],
        "draw_coverage": [figures.draw_coverage(tested)],
    }


def draw_similarity() -> Figure:
    table = effects("gain", group=["full", "adapters"], intermediate=TASKS, target=TARGETS[2:6])
    return figures.draw_similarity_scatter(table.assign(similarity=spread("alike", len(table), 0, 1)), TITLES)


def draw_live() -> Figure:
    columns = ("gain_live low_live high_live", "gain_recorded low_recorded high_recorded")
    table = effects(*columns, condition=["nli", "qa", "slots", "multi"], target=TARGETS[:7])
    return figures.draw_agreement(table, TITLES)


def draw_all() -> dict[str, list[Figure]]:
    """Return what each drawing function makes of tables of all sizes."""
    ways = [*WAY_TITLES][:4]
    return {
        "draw_agreement": [draw_live()],
        "draw_claims": [draw_claims()],
        "draw_distance_scatter": [draw_distances()],
        "draw_english_gaps": [draw_english_gaps()],
        "draw_group_gains": [draw_groups(ways), draw_groups(MODELS)],
        "draw_language_gains": [draw_languages(CODES), draw_languages(CODES[:3])],
        "draw_layer_profiles": [draw_layers()],
        "draw_question_forest": [draw_forest()],
        "draw_scheme_matrices": [
            draw_schemes(ways, TASKS, TARGETS[:6]), draw_schemes(ways[1:], list(CONDITIONS)[:4], XTREME[:4])
        ],
        "draw_similarity_scatter": [draw_similarity()],
        "draw_transfer_matrix": draw_matrices(),
        **draw_orders(),
        **draw_complexity(),
        **draw_design(),
    }  # fmt: skip
