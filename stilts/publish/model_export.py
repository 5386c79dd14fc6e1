"""Export of a checkpoint to a folder that plain `transformers` loads, with its heads and a model card."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stilts.models.known_encoders import find_known_encoder
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record
from stilts.study.runs import Run, TrainingRunSettings
from stilts.study.settings import LoraSettings
from stilts.study.storage import new_folder, require_new
from stilts.tasks.registry import Task, get_intermediate, get_target

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    from stilts.workspace.checkout import Checkout

HEADS = "heads.safetensors"


def find_checkpoint(checkout: "Checkout", name: str) -> str:
    """Return the id of the run that has a checkpoint and whose id begins with `name`.

    Raises
    ------
    UnknownName
        If there is no such run.
    StiltsError
        If there are several; or if the run is recorded but its checkpoint was removed, or it never had one.
    """
    standing = _standing(checkout)
    found = [run_id for run_id in standing if run_id.startswith(name)]
    if name in found or len(found) == 1:
        return name if name in found else found[0]
    if found:
        raise StiltsError(f"'{name}' begins the ids of {len(found)} checkpoints; give more of it: {', '.join(found)}")
    record = checkout.store().find(name)
    if record is None:
        raise UnknownName(f"checkpoint in {checkout.checkpoints.root}", name, standing)
    if record.run.phase == "zero-shot":
        parents = ", ".join(record.run.parents) or "none: it predicts with the public encoder"
        raise StiltsError(f"{name} is an evaluation and has no weights; export its parent's checkpoint: {parents}")
    raise StiltsError(
        f"the checkpoint of {name} does not exist; checkpoints are deleted once all runs that start from them are "
        "recorded, unless the study sets schedule.keep_checkpoints to all before it runs"
    )


def _standing(checkout: "Checkout") -> list[str]:
    root = checkout.checkpoints.root
    names = (path.parent.name for path in root.glob("*/checkpoint.json"))
    return sorted(name for name in names if not any(mark in name for mark in (".part-", ".corrupt-")))


def export(checkout: "Checkout", name: str, folder: Path) -> Path:
    """Write a checkpoint to a new folder, with encoder and tokenizer for `transformers`, the heads, and a model card.

    `AutoModel.from_pretrained(folder)` gives the same hidden states as in the study, with adapters merged. The heads
    are in `heads.safetensors`, as tensors ``<task>.<parameter>``; a pooler that they share is ``pooler.<parameter>``.
    The file's metadata contain, as JSON, each task's format and the names of its labels.

    Parameters
    ----------
    name : str
        Id of a pretraining, intermediate or target run with a checkpoint, or a unique beginning of its id.

    Raises
    ------
    StiltsError
        As `find_checkpoint`; if the run has no record, its suite or encoder does not exist, or the folder exists or
        cannot be written.
    """
    from safetensors import SafetensorError

    require_new(folder)
    record = checkout.store().get(find_checkpoint(checkout, name))
    _require(checkout, record)
    with new_folder(folder, "model", SafetensorError) as part:
        _write_model(checkout, record.run, part)
        make_card(checkout, record).save(part / "README.md")
    return folder


def _require(checkout: "Checkout", record: Record) -> None:
    run, study = record.run, record.provenance.study
    for what, place in (("suite", checkout.suite_folder(run)), ("encoder", checkout.encoder_folder(run))):
        if not place.is_dir():
            raise StiltsError(f"{what} {place} of run {run.id} does not exist; `stilts prepare {study}` builds it")


def _write_model(checkout: "Checkout", run: Run, folder: Path) -> None:
    from safetensors.torch import save_file

    from stilts.models.adapters import load_merged
    from stilts.models.encoders import load_encoder
    from stilts.models.model import take_encoder

    state = checkout.checkpoints.load(run.id)
    model, tokenizer = load_encoder(str(checkout.encoder_folder(run)))
    load_merged(model, take_encoder(state))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    about = {task.name: json.dumps(_head(checkout, run, task), ensure_ascii=False) for task in list_tasks(run)}
    heads = {name.removeprefix("heads."): tensor for name, tensor in state.items() if not name.startswith("encoder.")}
    save_file(heads, folder / HEADS, {"format": "pt", **about})


def list_tasks(run: Run) -> list[Task]:
    """Return the tasks that a run has heads for: its own and those of earlier stages; none for pretraining."""
    if run.target is not None:
        return [get_target(run.target)]
    if not isinstance(run.settings, TrainingRunSettings):
        return []
    return [get_intermediate(name) for name in run.settings.condition.all_tasks]


def _head(checkout: "Checkout", run: Run, task: Task) -> dict[str, Any]:
    from stilts.sources.splits import read_labels

    labels = read_labels(checkout.suite_folder(run), task, task.source_language, "train")
    return {"format": task.format.name, "labels": labels}


# --- card ------------------------------------------------------------------------------------------------------------


def make_card(checkout: "Checkout", record: Record) -> "ModelCard":
    """Return the model card: front matter for the Hub, which contains the whole record, and a text for readers."""
    from huggingface_hub import ModelCard

    children = (other for other in checkout.store() if record.id in other.run.parents)
    evaluated = [child for child in children if child.run.phase == "zero-shot"]
    return ModelCard(f"---\n{_card_data(record, evaluated).to_yaml()}\n---\n\n{_text(record, evaluated)}")


def _card_data(record: Record, evaluated: list[Record]) -> "ModelCardData":
    from huggingface_hub import ModelCardData

    known, licence = find_known_encoder(record.run.settings.encoder.name), _licence(record)
    return ModelCardData(
        language=["multilingual"],
        license=licence or "other",
        license_name=None if licence else "that-of-the-encoder",
        license_link=None if licence else "LICENSE",
        base_model=known.id if known else None,
        library_name="transformers",
        pipeline_tag="feature-extraction",
        tags=["cross-lingual-transfer", "intermediate-task-training", "xtreme"],
        model_name=record.id,
        eval_results=_eval_results(record, evaluated),
        stilts={
            **record.run.model_dump(mode="json"),
            "id": record.id,
            "metrics": record.metrics,
            "provenance": record.provenance.model_dump(mode="json"),
            "limits": _limits(record, evaluated),
        },
    )


def _licence(record: Record) -> str | None:
    known = find_known_encoder(record.run.settings.encoder.name)
    return known.licence if known else None


def _eval_results(record: Record, evaluated: list[Record]) -> list["EvalResult"]:
    """Return the dev score of each task, and the test scores of its evaluations by language."""
    dev = [
        _eval_result(task, record, task.source_language, "validation", _dev_score(record, task))
        for task in list_tasks(record.run)
    ]
    test = [
        _eval_result(get_target(other.run.target), other, language, "test", own["score"])
        for other in evaluated
        for language, own in other.metrics.items()
    ]
    return dev + test


def _dev_score(record: Record, task: Task) -> float:
    own = record.metrics[task.source_language]
    return own.get(f"score.{task.name}", own["score"])


def _eval_result(task: Task, record: Record, language: str, split: str, value: float) -> "EvalResult":
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type=task.group,
        task_name=task.name,
        dataset_type=record.run.settings.suite,
        dataset_name=f"{task.name}, {language}",
        dataset_config=task.config_for(language),
        dataset_split=split,
        dataset_revision=record.run.data,
        metric_type=task.metric,
        metric_value=round(value, 4),
    )


def _limits(record: Record, evaluated: list[Record]) -> list[str]:
    trimmed = record.run.settings.encoder.trim_vocabulary
    languages = sorted({language for other in evaluated for language in other.metrics})
    return [
        *(["The vocabulary is trimmed to the texts of the study: a word that they lack is cut into other pieces than "
           "by the public encoder, or is unknown."] if trimmed else []),
        *_training_limits(record.run),
        f"Evaluated on the study's test sets in {len(languages)} languages: {', '.join(languages)}." if languages
        else f"Evaluated on {'held-out texts' if record.run.phase == 'pretraining' else 'dev data'} alone.",
        "A pooler that `transformers` adds has random weights: use `last_hidden_state`.",
    ]  # fmt: skip


def _training_limits(run: Run) -> list[str]:
    if run.phase == "pretraining":
        return [
            f"One seed ({run.seed}), {run.settings.pretraining.updates} updates on texts; the head is that of the "
            "objective."
        ]
    training, languages = run.settings.training, sorted({task.source_language for task in list_tasks(run)})
    return [
        f"One seed ({run.seed}), at most {training.examples} training examples a task, inputs of at most "
        f"{training.max_length} tokens; longer ones are cut or split.",
        *_merging(training.lora),
        f"Trained on data in {', '.join(languages)}, but where the task's name says otherwise.",
    ]


def _merging(lora: LoraSettings | None) -> list[str]:
    if lora is None:
        return []
    return [
        f"Trained with low-rank adapters (LoRA, rank {lora.rank}, alpha {lora.alpha:g}), which are merged into "
        "the weights: they equal those of the study but for rounding, and the adapters cannot be taken out again."
    ]


_USE = f"""## Use

```python
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("<this folder>")
model = AutoModel.from_pretrained("<this folder>")
hidden = model(**tokenizer("a text", return_tensors="pt")).last_hidden_state
```

The heads are in `{HEADS}`: a tensor `<task>.<parameter>` each, and in the file's metadata, as JSON, each task's format
and the names of its labels."""

_HEADS = {
    "mean": """`norm` is a LayerNorm and `project` a linear layer after it, over each token's last hidden state
(tagging; start and end of an answer) or over their mean, special tokens included (classification, multiple choice).""",
    "pooler": """`project` is a linear layer over each token's last hidden state (tagging; start and end of an answer).
For classification and multiple choice the first token's last hidden state goes through the linear layer `pooler.dense`
and tanh, then through the head's `dense` and tanh, then through its `project`.""",
}


def _text(record: Record, evaluated: list[Record]) -> str:
    limits = "\n".join(f"- {limit}" for limit in _limits(record, evaluated))
    use = f"{_USE} {_HEADS[record.run.heads]}"
    parts = (_what(record), use, _scores(record, evaluated), f"## Limits\n\n{limits}", _origin(record))
    return "\n\n".join(parts) + "\n"


def _what(record: Record) -> str:
    run = record.run
    place = f"Run `{record.id}`, data {run.settings.suite}-{run.data}. The front matter holds the whole record."
    named = f"of study `{record.provenance.study}`"
    encoder = run.settings.encoder.name
    if run.phase == "pretraining":
        architecture = run.settings.encoder.pretrained
        start = (
            f"A model with random weights ({architecture}) over the tokenizer of {encoder}"
            if run.settings.encoder.scratch
            else f"The encoder {encoder} as {architecture}"
        )
        return (
            f"# {run.condition}, pretraining, seed {run.seed}\n\n"
            f"{start}, after the pretraining phase {named}, trained on texts alone. {place}"
        )
    names = ", ".join(task.reference for task in list_tasks(run))
    return (
        f"# {run.condition}, {names}, seed {run.seed}\n\n"
        f"The encoder {encoder} after the {run.phase} phase {named}, trained on {names}; intermediate tasks: "
        f"{', '.join(run.settings.condition.tasks) or 'none'}. {place}"
    )


def _scores(record: Record, evaluated: list[Record]) -> str:
    rows = "\n".join(
        f"| {other.run.target} | {language} | {own['score']:.1f} | {own['n']:.0f} |"
        for other in evaluated
        for language, own in other.metrics.items()
    )
    pretrained = record.run.phase == "pretraining"
    what, of = ("Held-out tokens predicted", "blocks") if pretrained else ("Dev score", "examples")
    dev = "\n".join(
        f"- {what}, {language}: {own['score']:.1f} percent ({own['n']:.0f} {of})"
        for language, own in record.metrics.items()
    )
    table = f"\n\n| target | language | test score | n |\n|---|---|---|---|\n{rows}" if rows else ""
    return f"## Scores\n\n{dev}{table}"


def _origin(record: Record) -> str:
    licence = _licence(record)
    versions = ", ".join(f"{name} {number}" for name, number in record.provenance.packages.items())
    return (
        f"## Licence and origin\n\nLicence of the encoder: {licence or 'not recorded here; see its own card'}. The "
        f"data keep their own licences; the study's suite names them. Made with {versions} on "
        f"{record.provenance.device}."
    )
