"""A checkout in which `stilts`, Snakemake and kernels can do a tiny study in processes of their own.

Its suite of one task stands where the pocket suite of the same settings would be built, so that nothing is patched.
"""

import shutil
from pathlib import Path

import yaml

from stilts.sources import suite
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.pocket.source import TRACES
from stilts.tasks.formats import CLASSIFICATION
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan

ROOT = Path(__file__).parents[1]
ENCODER = "multilingual-e5-small"  # its fingerprint needs no file
LABELS = ("off", "on")
SENTENCES = {
    "en": ("turn {0} the {1} number {2}", "the {1} {2} should be {0}"),
    "de": ("schalte {1} nummer {2} auf {0}", "{1} {2} bitte auf {0}"),
}
THINGS = {"en": ("lamp", "fan", "heater", "radio"), "de": ("lampe", "lüfter", "heizung", "radio")}


def study_settings(encoder: Path | str, /, **changes) -> dict:
    """Return the content of a study file: one intermediate task, one target task, and so three runs."""
    training = {"examples": 200, "epochs": 2, "batch_size": 4, "dev_examples": 20, "evaluations": 2}
    return {
        "name": "tiny",
        "title": "A tiny study",
        "encoder": {"name": str(encoder)},
        "data": {"suite": "pocket", "languages": ["en", "de"]},
        "intermediates": ["intent"],
        "targets": ["intent"],
        "intermediate_training": training,
        "target_training": training,
        "evaluation": {"examples": 200, "batch_tokens": 64},
        "schedule": {"memory_mb": 500},
    } | changes


def write_study(path: Path, settings: dict) -> Path:
    """Write a study file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def write_checkout(root: Path, *settings: dict) -> Checkout:
    """Lay out what runs need of a checkout, with these studies, and return its here."""
    for name in ("Snakefile", "_toc.yml", "pyproject.toml"):
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "profiles", root / "profiles")
    (root / "notebooks").mkdir()
    for phase in ("intermediate", "target", "zero-shot"):
        shutil.copy(ROOT / "notebooks" / f"{phase}.ipynb", root / "notebooks")
    (root / "studies").mkdir()
    for content in settings:
        write_study(root / "studies" / f"{content['name']}.yml", content)
    return Checkout(root)


def write_suite(here: Checkout, plan: Plan) -> Path:
    """Put a suite of one task where that of a plan would be built: made by hand, since building takes seconds."""
    features = suite.add_texts(CLASSIFICATION.features(LABELS), *TRACES)
    tables = [
        suite.Table(config, split, features, _rows(language, start, count))
        for config, split, language, start, count in (
            ("intermediate.intent.en", "train", "en", 0, 200),
            ("intermediate.intent.en", "validation", "en", 200, 20),
            ("intent.en", "train", "en", 300, 200),
            ("intent.en", "validation", "en", 500, 20),
            ("intent.en", "test", "en", 600, 200),
            ("intent.de", "test", "de", 600, 200),
        )
    ]
    folder = here.suite_folder(plan.runs[0])
    rows: dict[str, dict[str, int]] = {}
    for table in tables:
        rows.setdefault(table.config, {})[table.split] = len(table.rows)
    return suite.write_suite(tables, folder, {"fingerprint": plan.runs[0].data, "rows": rows}, POCKET_CARD)


def _rows(language: str, start: int, count: int) -> list[suite.Row]:
    return [_row(language, number) for number in range(start, start + count)]


def _row(language: str, number: int) -> suite.Row:
    label = LABELS[number % 7 % 2]
    thing = THINGS[language][number // 7 % 4]
    template = number // 3 % 2
    sentence = SENTENCES[language][template].format(label, thing, number)
    return {"sentence1": sentence, "label": label, "template": str(template), "meaning": f"{label} {number}"}
