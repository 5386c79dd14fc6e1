"""The work of a run: tokens, updates, and operations per token and weight."""

from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import read_sizes
from stilts.sources.xtreme.official import EVALUATED_ROWS, POOL_ROWS, TOKENS, TRAIN_ROWS
from stilts.study.runs import Run
from stilts.study.settings import Study, strip_language
from stilts.tasks.formats.base import UNLIMITED
from stilts.tasks.registry import TARGETS, get_intermediate

ASSUMED_ROWS = 2**17  # of a training set of unknown size, such as texts for masked language modelling
ASSUMED_TEST_ROWS = 2000  # of a test set of unknown size (udpos, mewsli-x)
ASSUMED_TOKENS = 64


def count_run_tokens(run: Run, study: Study) -> float:
    """Return the tokens that the encoder reads in a run of an XTREME study, over all epochs."""
    epochs = 1 if run.phase == "zero-shot" else run.settings.training.epochs
    return epochs * count_input_tokens(run, study)


def count_input_tokens(run: Run, study: Study) -> int:
    """Return the tokens of the inputs of a run of an XTREME study: of all test sets, or of an epoch."""
    if run.phase == "zero-shot":
        read = sum(count_tested_rows(run, study).values()) + POOL_ROWS.get(run.target, 0)
        return read * TOKENS.get(run.target, ASSUMED_TOKENS)
    rows = _training_rows(run, study)
    return sum(count * TOKENS.get(strip_language(task), ASSUMED_TOKENS) for task, count in rows.items())


def list_run_tasks(run: Run) -> tuple[str, ...]:
    """Return the tasks that a run trains or evaluates: its target, or those of its intermediate training."""
    return (run.target,) if run.target else tuple(run.settings.condition.tasks)


def count_run_updates(run: Run, study: Study) -> float:
    """Return the updates of a run of an XTREME study; 0 for evaluations."""
    if run.phase == "zero-shot":
        return 0.0
    training = run.settings.training
    return training.epochs * sum(_training_rows(run, study).values()) / training.batch_size


def _training_rows(run: Run, study: Study) -> dict[str, int]:
    """Return the training examples of each task in an epoch; the example cap holds if several train together."""
    tasks = list_run_tasks(run)
    size = study.data.sizes.get("train" if run.target else "intermediate_train", UNLIMITED)
    cap = min(run.settings.training.examples, size)
    if len(tasks) > 1:
        cap = min(cap, run.settings.condition.example_cap)
    return {task: min(cap, TRAIN_ROWS.get(strip_language(task), ASSUMED_ROWS)) for task in tasks}


def cap_examples(examples: int, run: Run, study: Study) -> int:
    """Return how many of so many training examples of a task, or test examples of a language, a run's suite may hold.

    Of a condition with several tasks the largest counts. A task of unknown size is not capped.
    """
    sizes = study.data.sizes
    if run.phase == "zero-shot":
        known = sizes if study.data.suite != "pocket" else read_sizes(sizes, Sizes).model_dump()
        return min(examples, TARGETS[run.target].format.suite_rows(known))
    held = (_held_rows(task, run, study) for task in list_run_tasks(run))
    return min(examples, max(held, default=UNLIMITED))


def _held_rows(task: str, run: Run, study: Study) -> int:
    """Return the maximum number of training rows of a task in a study's suite."""
    size, name = "train" if run.target else "intermediate_train", strip_language(task)
    if study.data.suite == "pocket" and name not in study.data.borrowed:
        in_family = not run.target and get_intermediate(task).family
        sizes = read_sizes(study.data.sizes, Sizes)
        return sizes.dial if in_family else getattr(sizes, size)
    return min(study.data.sizes.get(size, UNLIMITED), TRAIN_ROWS.get(name, UNLIMITED))


def count_tested_rows(run: Run, study: Study) -> dict[str, int]:
    """Return the number of evaluated rows by language (Tatoeba: pairs; BUCC: sentences)."""
    wanted, form = run.settings.languages, TARGETS[run.target].format
    most = min(run.settings.evaluation.examples or UNLIMITED, form.suite_rows(study.data.sizes))
    return {
        language: min(most, count or ASSUMED_TEST_ROWS)
        for language, count in EVALUATED_ROWS.get(run.target, {}).items()
        if wanted == "all" or language in wanted
    }


def count_operations(run: Run) -> int:
    """Return the floating-point operations per token and weight."""
    return 2 if run.phase == "zero-shot" else 6
