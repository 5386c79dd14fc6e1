"""Formatting for generated prose: counts, lists, effects, p-values, and Markdown for notebook cells."""

import math
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from stilts.study.settings import BASELINE, split_reference
from stilts.tasks.registry import MULTI
from stilts.workspace.notebooks.markup import code, harmless

if TYPE_CHECKING:
    from IPython.display import Markdown

TASK_TITLES = {
    # suite pocket
    "intent": "Intents",
    "nli": "Inference",
    "command-nli": "Inference",
    "para": "Paraphrases",
    "command-para": "Paraphrases",
    "slots": "Slots",
    "dates": "Dates",
    "qa": "Questions",
    "command-qa": "Questions",
    "command-qa-direct": "Questions, untrained",
    "ui-retrieval": "Retrieval",
    "ui-mining": "Mining",
    "text": "Masked words",
    # suite xtreme
    "xnli": "Inference (XNLI)",
    "paws-x": "Paraphrases (PAWS-X)",
    "udpos": "Parts of speech (UD)",
    "pan-x": "Names (PAN-X)",
    "xquad": "Questions (XQuAD)",
    "mlqa": "Questions (MLQA)",
    "tydiqa": "Questions (TyDi QA)",
    "bucc2018": "Mining (BUCC)",
    "tatoeba": "Retrieval (Tatoeba)",
    "xcopa": "Causes (XCOPA)",
    "lareqa": "Answer retrieval (LAReQA)",
    "mewsli-x": "Entity retrieval (Mewsli-X)",
    "anli": "Inference (ANLI)",
    "mnli": "Inference (MNLI)",
    "qqp": "Paraphrases (QQP)",
    "squad": "Questions (SQuAD)",
    "squad2": "Questions (SQuAD 2.0)",
    "hellaswag": "Continuations (HellaSwag)",
    "ccg": "Supertags (CCG)",
    "cosmosqa": "Reading (Cosmos QA)",
    "commonsenseqa": "Common sense (CSQA)",
    "siqa": "Social sense (SIQA)",
    "mlm": "Masked words",
    "mnli-translated": "Inference (MNLI, translated)",
    "squad-translated": "Questions (SQuAD, translated)",
    "xnli-dev-translated": "Inference (XNLI dev, translated)",
    "xnli-dev": "Inference (XNLI dev)",
    "paws-x-train": "Paraphrases (PAWS-X train)",
    "xquad-test": "Questions (XQuAD test)",
    "tydiqa-train": "Questions (TyDi QA train)",
    "pan-x-train": "Names (PAN-X train)",
    "udpos-train": "Parts of speech (UD train)",
}
"""Task -> its name in words. Tasks whose difficulty is a setting go by their name alone."""


def title_task(reference: str) -> str:
    """Return a task's name in words, from its reference (`qa`, `qa.de`), with its language if that is not English."""
    name, language = split_reference(reference)
    title = TASK_TITLES.get(name, name)
    return f"{title} [{language}]" if language else title


def title_condition(name: str, tasks: Sequence[str]) -> str:
    """Return a condition's name in words, from its name and its intermediate tasks."""
    if name in (BASELINE, MULTI):
        return "All tasks" if name == MULTI else "No intermediate task"
    return " + ".join(map(title_task, tasks)) or name


def say(text: str) -> "Markdown":
    """Return generated prose for a notebook cell to display, escaped by `stilts.workspace.notebooks.markup`."""
    from IPython.display import Markdown

    shown = Markdown()  # as an argument, a text that is a URL or a file name would be fetched or read
    shown.data = harmless(text)
    return shown


def count(things: Sized | int, noun: str) -> str:
    """Return a number with its noun in singular or plural: "1 seed", "3 seeds"."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}" + ("" if number == 1 else "s")


def join_names(names: Sequence[str]) -> str:
    """Return names as inline code, joined by commas and "and"."""
    return join_words([code(name) for name in names])


def join_words(words: Sequence[str]) -> str:
    """Return words joined by commas and "and"."""
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + f" and {words[-1]}"


def signed(value: float, decimals: int = 1) -> str:
    """Return a number with its sign (a true minus sign); numbers that round to zero have none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")


def format_effect(value: float, low: float, high: float, unit: str = "points") -> str:
    """Return an effect and its interval for a sentence, as in "+1.2 points (-0.3 to +2.7)"."""
    return f"{signed(value)} {unit} ({signed(low)} to {signed(high)})"


def format_p(value: float) -> str:
    """Return a p-value for readers: never zero, and an en dash if it is missing."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def format_rate(value: float) -> str | None:
    """Write a learning rate as in "1.5e-4"; None if there is none."""
    if math.isnan(value):
        return None
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
