"""Similarity of a study's intermediate and target tasks, measured with the prepared encoder before any training.

There are three measures of a pair of tasks. Each is a cosine, and is 1 for equal tasks.

``text``
    Cosine of the tasks' mean text vectors: the last hidden states, averaged over the tokens of a text and then over
    texts. The vectors of contrastively trained encoders lie in a narrow cone, where every cosine is near 1. Therefore
    the mean over all tasks of the study is subtracted first; values depend on the study's tasks and are around 0.
``fisher``
    Cosine of task embeddings from the diagonal of the Fisher information, TASK2VEC (Achille et al. 2019,
    arXiv:1902.03545; for tasks on texts Vu et al. 2020, arXiv:2005.00770). A new head is fit on the frozen encoder.
    Then, for each example, labels are drawn from the model's predictions, and the squared gradient of their log
    probability with respect to the encoder's weights is averaged over drawn labels, over examples, and over the weights
    of each output of a weight matrix (TASK2VEC: of each filter). A pair's value is the paper's symmetric one, the
    cosine of F / (F + G) and G / (F + G), so that matrices with larger gradients do not count for more. It lies between
    0 and 1. Only tasks whose format predicts labels have it.
``gradient``
    Cosine of the tasks' mean gradients, with respect to the encoder's weights, of an objective without labels: that of
    SimCSE (Gao et al. 2021, arXiv:2104.08821). The texts of a batch are encoded twice, with two dropout masks, and
    pooled to z and z'. The loss is the mean over i of the cross entropy of finding z'_i among all z'_j by
    cos(z_i, z'_j) / temperature. All tasks have the same dropout seed. The last, incomplete batch is left out.

`stilts.phases.measures.samples` describes the examples of a task. ``fisher`` and ``gradient`` use the weights of the
last `layers` layers, ``fisher`` without dropout and ``gradient`` with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from stilts.models.model import MultiTaskModel, autocast, build_model, products
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.measures.samples import Sample, read_sample
from stilts.study.provenance import Work
from stilts.study.runs import Run
from stilts.study.settings import EVALUATION_PRECISION, SOURCE_LANGUAGE, SimilaritySettings, TrainingSettings
from stilts.tasks.formats import PASSAGE_RETRIEVAL
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.terms import draw_input
from stilts.tasks.registry import get_intermediate, get_target
from stilts.training.batches import schedule_updates
from stilts.training.gradients import Gradients
from stilts.training.optimization import freeze
from stilts.training.prediction import Progress, compute_outputs, count_progress

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Checkout

MEASURES = ("text", "fisher", "gradient")
COLUMNS = ("measure", "intermediate", "target", "value")
BATCH_TOKENS = 4096  # per forward pass that computes vectors


@dataclass(frozen=True)
class Profile:
    """The vectors of one task that are compared with those of others.

    Attributes
    ----------
    text : float64 array (hidden,)
    gradient : float32 array (weights,)
    fisher : float64 array (outputs of weight matrices,), optional
    """

    text: np.ndarray
    gradient: np.ndarray
    fisher: np.ndarray | None


def measure_similarity(
    run: Run, checkout: "Checkout", state: Mapping[str, torch.Tensor] | None
) -> "tuple[dict[str, dict[str, float]], pd.DataFrame, Work]":
    """Return the similarities of all pairs of an intermediate and a target task of a study.

    The metrics, under "en", are `n` (the number of pairs), and for each measure the mean and the standard deviation
    over its pairs: `mean_text`, `deviation_text` and so on. The table has a row for each measure and pair: `measure`,
    `intermediate` and `target` (task references), `value`.
    """
    settings = run.settings.measure
    suite, folder = checkout.suite_folder(run), checkout.encoder_folder(run)
    tokenizer = load_prepared_tokenizer(folder)
    tasks = {("intermediate", name): get_intermediate(name) for name in run.settings.intermediates}
    tasks |= {("target", name): get_target(name) for name in run.settings.targets}
    samples = {key: read_sample(suite, task, tokenizer, settings) for key, task in tasks.items()}
    passes = {key: _passes(sample, settings) for key, sample in samples.items()}
    count = count_progress(checkout.progress(run.id), sum(passes.values()))
    profiles = {
        key: make_profile(_fresh(folder, sample, state, run), sample, settings, run.seed, count)
        for key, sample in samples.items()
    }
    mean_tokens = {key: sum(part.tokens for part in each.texts) / len(each.texts) for key, each in samples.items()}
    tokens = sum(passes[key] * mean for key, mean in mean_tokens.items())
    table = compare(profiles)
    return {SOURCE_LANGUAGE: _summary(table)}, table, Work(sum(passes.values()), round(tokens))


def make_profile(
    model: MultiTaskModel, sample: Sample, settings: SimilaritySettings, seed: int, count: Progress = lambda more: None
) -> Profile:
    """Return the profile of one task.

    Parameters
    ----------
    model : MultiTaskModel
        With a head `text` of passage retrieval (the mean over tokens) and, if the task has a head, `task`.
    seed : int
        Seed of dropout, of the batches that the head is fit on, and of the drawn labels.
    count : callable
        Called with the number of examples that were encoded since the last call.
    """
    with products(settings.precision, model.device):
        text = average_text_embeddings(model, sample.texts, count, settings.precision)
        weights = _compared_weights(model, settings.layers)
        gradient = average_label_free_gradient(model, weights, sample.texts, settings, seed, count)
        fisher = None
        if sample.terms:
            fit_head(model, sample, settings, seed, count)
            fisher = compute_fisher_embedding(
                model, _compared_weights(model, settings.layers), sample, settings, seed, count
            )
    return Profile(text, gradient, fisher)


def average_text_embeddings(
    model: MultiTaskModel,
    texts: Sequence[Input],
    count: Progress = lambda more: None,
    precision: str = EVALUATION_PRECISION,
) -> np.ndarray:
    """Return the mean over texts of their mean-pooled last hidden states, float64 (hidden,)."""
    vectors = compute_outputs(
        model, "text", PASSAGE_RETRIEVAL, texts, batch_tokens=BATCH_TOKENS, precision=precision,
        progress=count,
    )  # fmt: skip
    return np.concatenate(vectors).mean(0, dtype=np.float64)


def average_label_free_gradient(
    model: MultiTaskModel,
    weights: Sequence[torch.nn.Parameter],
    texts: Sequence[Input],
    settings: SimilaritySettings,
    seed: int,
    count: Progress = lambda more: None,
) -> np.ndarray:
    """Return the mean over batches of the gradient of SimCSE's loss, float32 (weights,)."""
    model.train()
    model.zero_grad()
    torch.manual_seed(seed)
    size = min(settings.batch_size, len(texts))
    starts = range(0, len(texts) - size + 1, size)
    for start in starts:
        parts = texts[start : start + size]
        first, second = (_outputs(model, "text", parts, settings.precision) for _ in range(2))
        contrastive_loss(first, second, settings.temperature).backward()
        count(2 * len(parts))
    gradient = torch.cat([weight.grad.flatten() for weight in weights]).cpu().numpy() / len(starts)
    model.zero_grad()
    return gradient


def contrastive_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean cross entropy of finding the matching row of `second` for each row of `first` by cosine.

    Parameters
    ----------
    first, second : Tensor (texts, hidden)
    """
    first, second = (torch.nn.functional.normalize(side, dim=-1) for side in (first, second))
    similarities = first @ second.T / temperature  # (texts, texts)
    return torch.nn.functional.cross_entropy(similarities, torch.arange(len(first), device=first.device))


def fit_head(
    model: MultiTaskModel, sample: Sample, settings: SimilaritySettings, seed: int, count: Progress = lambda more: None
) -> None:
    """Fit the head `task` on the frozen encoder: AdamW with linear decay, dropout only in the head."""
    model.requires_grad_(False)
    head = model.heads["task"].requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.head_learning_rate)
    rates = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, settings.head_updates)
    gradients = Gradients(model, settings.precision, seed)
    model.eval()
    head.train()
    torch.manual_seed(seed)
    for number, positions in enumerate(_batches(sample, settings, seed)):
        parts = [sample.split.inputs[i] for i in positions]
        gradients.compute(gradients.collate("task", sample.split.form, parts, number))
        optimizer.step()
        optimizer.zero_grad()
        rates.step()
        count(len(parts))


def compute_fisher_embedding(
    model: MultiTaskModel,
    weights: Sequence[torch.nn.Parameter],
    sample: Sample,
    settings: SimilaritySettings,
    seed: int,
    count: Progress = lambda more: None,
) -> np.ndarray:
    """Return the diagonal of the Fisher information, averaged over each row of each weight matrix.

    Returns
    -------
    float64 array (outputs of all weight matrices,)
        At least 0. Biases and LayerNorms are left out, as in TASK2VEC, which only uses filters.
    """
    model.eval()
    matrices = [weight for weight in weights if weight.dim() > 1]
    sums = [torch.zeros(len(weight), dtype=torch.float64) for weight in matrices]
    generator = torch.Generator().manual_seed(seed)
    form, inputs = sample.split.form, sample.split.inputs
    for part in inputs:
        logits = _outputs(model, "task", [part], settings.precision)
        for _ in range(settings.samples):
            loss = form.loss(logits, [draw_input(sample.terms, part, logits, generator)])
            gradients = torch.autograd.grad(loss, matrices, retain_graph=True)
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient.square().flatten(1).mean(1).cpu()
        count(1)
    return (torch.cat(sums) / (len(inputs) * settings.samples)).numpy()


def compare(profiles: Mapping[tuple[str, str], Profile]) -> "pd.DataFrame":
    """Return the table of all measures and pairs, given profiles by role ("intermediate" or "target") and task."""
    import pandas as pd

    center = np.mean([one.text for one in profiles.values()], axis=0)
    rows = [
        (measure, intermediate, target, value)
        for (role, intermediate), first in profiles.items()
        if role == "intermediate"
        for (other, target), second in profiles.items()
        if other == "target"
        for measure, value in _compared(first, second, center)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values("measure", key=lambda names: names.map(MEASURES.index), kind="stable", ignore_index=True)


def _compared(first: Profile, second: Profile, center: np.ndarray) -> Iterator[tuple[str, float]]:
    yield "text", cosine(first.text - center, second.text - center)
    yield "gradient", cosine(first.gradient, second.gradient)
    if first.fisher is not None and second.fisher is not None:
        yield "fisher", fisher_similarity(first.fisher, second.fisher)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine of two vectors; 0 if one of them is zero."""
    norms = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    # Rounding may put equal vectors above 1.
    return min(1.0, max(-1.0, float(np.dot(first, second)) / norms)) if norms else 0.0


def fisher_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Return TASK2VEC's symmetric similarity of two non-negative embeddings (n,).

    Elements where both are 0 are left out.
    """
    total = first + second
    moved = total > 0
    return cosine(first[moved] / total[moved], second[moved] / total[moved])


def _summary(table: "pd.DataFrame") -> dict[str, float]:
    values = table.groupby("measure")["value"]
    pairs = len(table[["intermediate", "target"]].drop_duplicates())
    means = {f"mean_{name}": float(value) for name, value in values.mean().items()}
    deviations = {f"deviation_{name}": float(value) for name, value in values.std(ddof=0).items()}
    return {"n": float(pairs), **means, **deviations}


def _fresh(folder: Path, sample: Sample, state: Mapping[str, torch.Tensor] | None, run: Run) -> MultiTaskModel:
    """Return a new model with the heads of one task, so that equal tasks get equal heads."""
    heads: dict[str, tuple[TrainedFormat, Sequence[str]]] = {"text": (PASSAGE_RETRIEVAL, ())}
    if sample.terms:
        heads["task"] = (sample.split.form, sample.split.labels)
    model = build_model(folder, heads, run.seed, run.heads)
    if state is not None:
        model.load_encoder(state)
    return model


def _compared_weights(model: MultiTaskModel, layers: int) -> list[torch.nn.Parameter]:
    """Return the weights of the last encoder layers, and freeze the encoder's other weights."""
    lowest = max(0, model.encoder.config.num_hidden_layers - layers)
    freeze(model, TrainingSettings(frozen_layers=lowest))
    return [weight for weight in model.encoder.parameters() if weight.requires_grad]


def _outputs(model: MultiTaskModel, head: str, parts: Sequence[Input], precision: str) -> torch.Tensor:
    with autocast(precision, model.device):
        return model.logits(head, parts).float()


def _batches(sample: Sample, settings: SimilaritySettings, seed: int) -> list[list[int]]:
    """Return the indices of the inputs of each update of the head."""
    count = len(sample.split.inputs)
    epochs = settings.head_updates / -(-count // settings.batch_size)
    return [
        positions for _, positions in schedule_updates({"task": sample.split}, settings.batch_size, epochs, None, seed)
    ]


def _passes(sample: Sample, settings: SimilaritySettings) -> int:
    """Return the approximate number of examples that are encoded for one task."""
    headed = len(sample.split.inputs) + settings.head_updates * settings.batch_size if sample.terms else 0
    return 3 * len(sample.texts) + headed
