"""Formatting for generated prose: counts, lists, effects, p-values, and Markdown for notebook cells."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from types import MappingProxyType
from typing import TYPE_CHECKING

from stilts.study.settings import BASELINE, split_reference
from stilts.tasks.registry import INTERMEDIATES, MULTI, TARGETS
from stilts.workspace.notebooks.markup import disarm_markdown, mark_code

if TYPE_CHECKING:
    from IPython.display import Markdown

WAY_TITLES = {
    "full": "fine-tuning",
    "then-full": "adapter, then fine-tuning",
    "continued": "one adapter throughout",
    "fresh": "adapter, then a new one",
    "adapters": "adapters, mean of three ways",
}
"""Way of training (chapter on adapters) -> its name in words."""

LOOP_TITLES = {"xtreme": "XTREME's scripts", "plain": "plain Trainer", "stilts": "this study's loop"}
"""Training loop of the benchmark -> its name in words."""

OWN_LOOP = "stilts"

WORK_TITLES = {
    "recipes": "the weights of each recipe",
    "layers": "all layers trained and embeddings frozen",
    "all": "all weights trained",
}
"""Work of the benchmark -> the weights that its loops train, in words."""

PHASE_TITLES = {
    "pretraining": "pretraining",
    "intermediate": "intermediate training",
    "target": "target training",
    "zero-shot": "zero-shot evaluation",
    "measure": "measures of tasks",
}
"""Phase -> its name in words."""


def title_task(reference: str) -> str:
    """Return a task's name in words, from its reference (`qa`, `qa.de`), with its language if that is not English."""
    name, language = split_reference(reference)
    task = TARGETS.get(name) or INTERMEDIATES.get(name)
    title = task.title if task else name
    return f"{title} [{language}]" if language else title


def title_condition(name: str, tasks: Sequence[str]) -> str:
    """Return a condition's name in words, from its name and its intermediate tasks."""
    if name in (BASELINE, MULTI):
        return "All tasks" if name == MULTI else "No intermediate task"
    return " + ".join(map(title_task, tasks)) or name


def title_conditions(conditions: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return each condition's name in words, with its id where others of its tasks are there and it is not named so."""
    titles = {name: title_condition(name, tasks) for name, tasks in conditions.items()}
    shared = {title for title, number in Counter(titles.values()).items() if number > 1}
    return {
        name: f"{title} ({name})" if title in shared and list(conditions[name]) != [name] else title
        for name, title in titles.items()
    }


def replace_ids(text: str, titles: Mapping[str, str]) -> str:
    """Return a text with the ids in it, such as those of conditions and tasks, replaced by their names in words.

    A name within a text begins with a small letter.

    Parameters
    ----------
    titles : mapping of str to str
        Id -> its name, as from `stilts.analysis.gain_tables.list_titles`.
    """
    longest_first = sorted(titles, key=len, reverse=True)
    ids = "|".join(map(re.escape, longest_first))
    return re.sub(rf"(?<![\w-])({ids})(?![\w-])", lambda found: _name(found, titles), text) if ids else text


def replace_marked_ids(text: str, titles: Mapping[str, str]) -> str:
    """Return a text with the ids in it that are marked as code replaced as by `replace_ids`, and nothing else."""
    return re.sub("`([^`]+)`", lambda found: _name(found, titles) if found[1] in titles else found[0], text)


def _name(found: re.Match[str], titles: Mapping[str, str]) -> str:
    title = titles[found[1]]
    return title[:1].lower() + title[1:] if found.start() else title


def say(text: str, titles: Mapping[str, str] = MappingProxyType({})) -> "Markdown":
    """Return generated prose for a notebook cell to display, escaped by `stilts.workspace.notebooks.markup`.

    Parameters
    ----------
    titles : mapping of str to str, default={}
        Id that the text marks as code -> its name, which takes its place.
    """
    from IPython.display import Markdown

    shown = Markdown()  # as an argument, a text that is a URL or a file name would be fetched or read
    shown.data = disarm_markdown(replace_marked_ids(text, titles))
    return shown


def count(things: Sized | int, noun: str) -> str:
    """Return a number with its noun in singular or plural: "1 seed", "3 seeds"."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}" + ("" if number == 1 else "s")


def join_names(names: Sequence[str]) -> str:
    """Return names as inline code, joined by commas and "and"."""
    return join_words([mark_code(name) for name in names])


def join_words(words: Sequence[str]) -> str:
    """Return words joined by commas and "and"."""
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + f" and {words[-1]}"


def format_signed(value: float, decimals: int = 1) -> str:
    """Return a number with its sign (a true minus sign); numbers that round to zero have none."""
    text = format_number(value, decimals)
    return text if text.startswith("\N{MINUS SIGN}") or not text.strip("0.") else f"+{text}"


def format_number(value: float, decimals: int = 1) -> str:
    """Return a number with a true minus sign if it is below zero; numbers that round to zero have no sign."""
    return f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")


def format_effect(value: float, low: float, high: float, unit: str = "points") -> str:
    """Return an effect and its interval for a sentence, as in "+1.2 points (-0.3 to +2.7)"; `unit` may be empty."""
    return f"{f'{format_signed(value)} {unit}'.rstrip()} ({format_signed(low)} to {format_signed(high)})"


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
