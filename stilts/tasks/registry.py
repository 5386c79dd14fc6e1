"""The task registry. A new task is one entry that names its format and its suite."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import (
    BASELINE,
    SOURCE_LANGUAGE,
    Condition,
    DataSettings,
    Study,
    split_reference,
    strip_language,
)
from stilts.tasks.configs import MULTILINGUAL, Config
from stilts.tasks.formats import (
    CLASSIFICATION,
    FORMATS,
    MASKED_LM,
    MINING,
    MULTIPLE_CHOICE,
    PASSAGE_RETRIEVAL,
    RETRIEVAL,
    RETRIEVAL_FROM_ENGLISH,
    SPAN_QA,
    SPAN_QA_MLQA,
    SPAN_QA_NULL,
    TAGGING,
)
from stilts.tasks.formats.base import Format, Group


class DialLevel(NamedTuple):
    """The level of a dial, for a task whose difficulty is a setting."""

    dial: str
    number: int


class Kind(NamedTuple):
    """What a task asks, and of which texts, for tasks that share one of these with others."""

    asks: str
    texts: str


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes
    ----------
    name : str
        Name in studies, records and addresses.
    title : str
        Name in words.
    format : Format
        Format of its rows, heads and metric.
    suite : str
        Suite that contains it.
    intermediate : bool
        Whether it is trained before a target.
    multilingual : bool
        Whether one config holds its data in all languages.
    trained_as : str, optional
        Target task whose training it shares: MLQA and XQuAD share a model trained on SQuAD. By default its own.
    in_multi : bool
        Whether the multi-task condition includes this intermediate task.
    licensed : bool
        Whether its data need a licence. A study skips the task if they are missing.
    by_source : bool
        Whether it exists only in studies with `data.source_languages`, in these languages and English.
    family : str, optional
        Entry of `data.families` that a study needs to get this task.
    level : DialLevel, optional
        Dial level of a task whose difficulty is a setting.
    rows_of : str, optional
        Target whose rows it is tested on; its own by default.
    slot : str, optional
        Slot of a command that its questions ask for: of the rows of `rows_of` it has those questions alone.
    scored_by : str, optional
        Intermediate task whose head predicts it. Such a target has no training of its own. It is evaluated right after
        intermediate training, in the conditions that train this head.
    tests_of : tuple of str
        Targets whose test sets contain its rows, so that it must not be trained before them.
    parallel : str, optional
        For a target whose test items are translations of one another, so that they are resampled together: `rows` if
        all languages have the same items in the same rows, `ids` if equal ids mark them.
    same_as : tuple of str
        Targets that are the same task as this intermediate one: of one generator (pocket), or with the same rows.
    kind : Kind, optional
        Only of tasks of which some ask the same of other texts, and some something else of the same texts.
    english : str, optional
        English task that a multilingual one translates; one with `other_rows` has its kind alone.
    other_rows : bool
        See `english`.
    source_language : str
        Language of its training and dev data; meaningless for a multilingual task.
    """

    name: str
    title: str
    format: Format
    suite: str = "pocket"
    intermediate: bool = False
    multilingual: bool = False
    trained_as: str | None = None
    in_multi: bool = True
    licensed: bool = False
    by_source: bool = False
    family: str | None = None
    level: DialLevel | None = None
    rows_of: str | None = None
    slot: str | None = None
    scored_by: str | None = None
    tests_of: tuple[str, ...] = ()
    parallel: Literal["rows", "ids"] | None = None
    same_as: tuple[str, ...] = ()
    kind: Kind | None = None
    english: str | None = None
    other_rows: bool = False
    source_language: str = SOURCE_LANGUAGE

    @property
    def trained(self) -> bool:
        """Whether the task has a head and a training set of its own."""
        return self.format.trained and self.scored_by is None

    @property
    def group(self) -> Group:
        """The task's group in XTREME."""
        return self.format.group

    @property
    def metric(self) -> str:
        """The name of its score, which is in percent."""
        return self.format.metric

    @property
    def reference(self) -> str:
        """The task's reference in study files: its name, and its language if that is not English."""
        return self.name if self.source_language == SOURCE_LANGUAGE else f"{self.name}.{self.source_language}"

    @property
    def training_task(self) -> str:
        """The name of the task whose training set and head it uses."""
        return self.trained_as or self.name

    @property
    def data_task(self) -> str:
        """Name of the task whose rows it is tested on."""
        return self.rows_of or self.name

    @property
    def head(self) -> str:
        """Name of the head that predicts the task."""
        return self.scored_by or self.training_task

    def config_for(self, language: str) -> str:
        """Return the name of the config that holds the task in a language."""
        place = MULTILINGUAL if self.multilingual else language
        return str(Config(self.data_task, place, self.intermediate))


def _targets(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


def _intermediates(*tasks: Task) -> dict[str, Task]:
    return {task.name: replace(task, intermediate=True) for task in tasks}


def _by_source(name: str, title: str, form: Format, tests_of: tuple[str, ...] = ()) -> Task:
    return Task(name, title, form, "xtreme", in_multi=False, by_source=True, tests_of=tests_of)


def _translated(name: str, title: str, form: Format, english: str, other_rows: bool = False) -> Task:
    return Task(
        name, title, form, "xtreme", multilingual=True, in_multi=False, english=english, other_rows=other_rows
    )


def _grain(classes: int) -> Task:
    name, level = f"dial-grain-{classes}", DialLevel("dial-grain", classes)
    return Task(name, f"Intents in {classes} classes", CLASSIFICATION, in_multi=False, family="grain", level=level)


_COMMAND_INFERENCE, _COMMAND_PARAPHRASE = Kind("inference", "commands"), Kind("paraphrase", "commands")
_INFERENCE, _PARAPHRASE = Kind("inference", "written sentences"), Kind("paraphrase", "written sentences")

TARGETS = _targets(
    Task("intent", "Intents", CLASSIFICATION),
    Task("command-nli", "Inference", CLASSIFICATION, kind=_COMMAND_INFERENCE),
    Task("command-para", "Paraphrases", CLASSIFICATION, kind=_COMMAND_PARAPHRASE),
    Task("slots", "Slots", TAGGING),
    Task("dates", "Dates", TAGGING),
    Task("command-qa", "Questions", SPAN_QA),
    # `qa` in several source languages asks for little else than rooms: its head has not learned to find other slots.
    Task("command-qa-rooms", "Questions on rooms, untrained", SPAN_QA, rows_of="command-qa", slot="area",
         scored_by="qa"),
    Task("ui-retrieval", "Retrieval", RETRIEVAL),
    Task("ui-mining", "Mining", MINING),
    # XTREME (Hu et al. 2020, arXiv:2003.11080).
    Task("xnli", "Inference (XNLI)", CLASSIFICATION, "xtreme", parallel="rows", kind=_INFERENCE),
    Task("paws-x", "Paraphrases (PAWS-X)", CLASSIFICATION, "xtreme", parallel="rows", kind=_PARAPHRASE),
    Task("udpos", "Parts of speech (UD)", TAGGING, "xtreme"),
    Task("pan-x", "Names (PAN-X)", TAGGING, "xtreme"),
    Task("xquad", "Questions (XQuAD)", SPAN_QA, "xtreme", parallel="rows"),
    Task("mlqa", "Questions (MLQA)", SPAN_QA_MLQA, "xtreme", trained_as="xquad", parallel="ids"),
    Task("tydiqa", "Questions (TyDi QA)", SPAN_QA, "xtreme"),
    Task("bucc2018", "Mining (BUCC)", MINING, "xtreme"),
    Task("tatoeba", "Retrieval (Tatoeba)", RETRIEVAL_FROM_ENGLISH, "xtreme"),
    # Added by XTREME-R (Ruder et al. 2021, arXiv:2104.07412).
    Task("xcopa", "Causes (XCOPA)", MULTIPLE_CHOICE, "xtreme", parallel="rows"),
    Task("lareqa", "Answer retrieval (LAReQA)", PASSAGE_RETRIEVAL, "xtreme", parallel="rows"),
    Task("mewsli-x", "Entity retrieval (Mewsli-X)", PASSAGE_RETRIEVAL, "xtreme"),
)

INTERMEDIATES = _intermediates(
    Task("nli", "Inference", CLASSIFICATION, same_as=("command-nli",), kind=_COMMAND_INFERENCE),
    Task("para", "Paraphrases", CLASSIFICATION, same_as=("command-para",), kind=_COMMAND_PARAPHRASE),
    Task("qa", "Questions", SPAN_QA, same_as=("command-qa",)),
    Task("intent", "Intents", CLASSIFICATION, same_as=("intent",)),
    Task("slots", "Slots", TAGGING, same_as=("slots",)),
    Task("dates", "Dates", TAGGING, same_as=("dates",)),
    # Selected by `data.families`: tasks whose difficulty is a setting, and unlabelled texts.
    *map(_grain, (2, 4, 8, 16)),
    Task("text", "Masked words", MASKED_LM, multilingual=True, in_multi=False, family="text"),
    # The nine of Phang et al. (2020, arXiv:2005.13013).
    Task("anli", "Inference (ANLI)", CLASSIFICATION, "xtreme"),
    Task("mnli", "Inference (MNLI)", CLASSIFICATION, "xtreme", same_as=("xnli",), kind=_INFERENCE),
    Task("qqp", "Paraphrases (QQP)", CLASSIFICATION, "xtreme", kind=_PARAPHRASE),
    Task("squad", "Questions (SQuAD)", SPAN_QA, "xtreme", same_as=("xquad", "mlqa")),
    Task("squad2", "Questions (SQuAD 2.0)", SPAN_QA_NULL, "xtreme", same_as=("xquad", "mlqa")),
    Task("hellaswag", "Continuations (HellaSwag)", MULTIPLE_CHOICE, "xtreme"),
    Task("ccg", "Supertags (CCG)", TAGGING, "xtreme", licensed=True),
    Task("cosmosqa", "Reading (Cosmos QA)", MULTIPLE_CHOICE, "xtreme"),
    Task("commonsenseqa", "Common sense (CSQA)", MULTIPLE_CHOICE, "xtreme"),
    # Additions and replacements: multilingual texts, and intermediate data in other languages. One config holds all
    # languages of a task.
    Task("mlm", "Masked words", MASKED_LM, "xtreme", multilingual=True, in_multi=False),
    _translated("mnli-translated", "Inference (MNLI, translated)", CLASSIFICATION, "mnli"),
    _translated("squad-translated", "Questions (SQuAD, translated)", SPAN_QA, "squad"),
    _translated("xnli-dev-translated", "Inference (XNLI dev, translated)", CLASSIFICATION, "mnli", other_rows=True),
    Task("siqa", "Social sense (SIQA)", MULTIPLE_CHOICE, "xtreme", in_multi=False),
    # Human intermediate data in several source languages, for studies that set data.source_languages.
    _by_source("xnli-dev", "Inference (XNLI dev)", CLASSIFICATION),
    _by_source("paws-x-train", "Paraphrases (PAWS-X train)", CLASSIFICATION),
    _by_source("xquad-test", "Questions (XQuAD test)", SPAN_QA, tests_of=("xquad", "lareqa")),
    _by_source("tydiqa-train", "Questions (TyDi QA train)", SPAN_QA),
    _by_source("pan-x-train", "Names (PAN-X train)", TAGGING),
    _by_source("udpos-train", "Parts of speech (UD train)", TAGGING),
)  # fmt: skip

MULTI = "multi"
POCKET = DataSettings()


def list_text_columns(suite: str) -> tuple[str, ...]:
    """Return the columns of a suite that are tokenised, in the order of `FORMATS`."""
    used = {
        task.format.name for task in (*keep_suite(TARGETS, suite).values(), *keep_suite(INTERMEDIATES, suite).values())
    }
    return tuple(dict.fromkeys(column for name in FORMATS if name in used for column in FORMATS[name].text_columns))


def get_target(name: str, suite: str | None = None) -> Task:
    """Return a target task, of any or of a given suite; UnknownName if there is none of that name."""
    known = keep_suite(TARGETS, suite) if suite else TARGETS
    if name not in known:
        raise UnknownName("target task", name, known)
    return known[name]


def map_training(targets: Iterable[Task]) -> tuple[dict[str, str], dict[str, str]]:
    """Return target -> the task that it is trained as, and target -> the intermediate task whose head predicts it.

    A target without training is in neither.
    """
    known = list(targets)
    return (
        {task.name: task.training_task for task in known if task.trained},
        {task.name: task.scored_by for task in known if task.scored_by},
    )


def keep_suite(registry: dict[str, Task], suite: str) -> dict[str, Task]:
    """Return the tasks of a registry that belong to a suite."""
    return {name: task for name, task in registry.items() if task.suite == suite}


def get_intermediate(reference: str) -> Task:
    """Return an intermediate task by its name (`qa`) or by name and language (`qa.de`).

    Raises
    ------
    UnknownName
        If there is none of that name.
    StiltsError
        If a language is given for a multilingual task.
    """
    name, language = split_reference(reference)
    if name not in INTERMEDIATES:
        raise UnknownName("intermediate task", reference, INTERMEDIATES)
    task = INTERMEDIATES[name]
    if language and task.multilingual:
        raise StiltsError(f"intermediate task '{reference}': '{name}' is one data set in many languages; name it alone")
    return replace(task, source_language=language or SOURCE_LANGUAGE)


def check_sources(tasks: Iterable[Task], targets: Iterable[str], source_languages: Sequence[str]) -> None:
    """Check that the suite has these intermediate tasks and that none contains test rows of a target.

    Raises
    ------
    StiltsError
        If a task needs `data.source_languages`, or contains test rows of a target.
    """
    for task in tasks:
        if task.by_source and not source_languages:
            raise StiltsError(
                f"intermediate task '{task.reference}': the suite has it only with data.source_languages; set them, "
                "for example [de]"
            )
        if spoilt := [name for name in targets if name in task.tests_of]:
            raise StiltsError(
                f"intermediate task '{task.reference}' contains the test rows of {' and '.join(spoilt)}; "
                "remove the task or the target from the study"
            )


def list_intermediates(data: DataSettings) -> dict[str, Task]:
    """Return the intermediate tasks of a study's suite, and those that it borrows, by name.

    Raises
    ------
    UnknownName
        If a borrowed task is not one of suite xtreme that is in English and needs no licence.
    """
    lent = {
        name: task
        for name, task in keep_suite(INTERMEDIATES, "xtreme").items()
        if not (task.licensed or task.multilingual or task.by_source)
    }
    for name in data.borrowed:
        if name not in lent:
            raise UnknownName("intermediate task that can be borrowed", name, lent)
    return keep_suite(INTERMEDIATES, data.suite) | {name: lent[name] for name in data.borrowed}


def resolve_condition(entry: str | Condition, data: DataSettings = POCKET) -> Condition:
    """Return the condition for an entry of `intermediates`: `none`, one task, `multi` (all tasks), or a condition.

    Parameters
    ----------
    data : DataSettings, optional
        Of the study: whose tasks may be named.

    Raises
    ------
    UnknownName
        If it names an unknown intermediate task.
    StiltsError
        If a condition has the name of a task on which it does not train.
    """
    known = list_intermediates(data)
    if isinstance(entry, Condition):
        for task in entry.all_tasks:
            if strip_language(task) not in known:
                raise UnknownName("intermediate task", task, known)
            get_intermediate(task)
        if entry.name in known and entry.name not in map(strip_language, entry.all_tasks):
            raise StiltsError(
                f"condition {entry.name}: it has the name of the task '{entry.name}', but trains on "
                f"{', '.join(entry.all_tasks) or 'none'}; rename it"
            )
        return entry
    if entry == BASELINE:
        return Condition(name=entry, tasks=())
    if entry == MULTI:
        own = keep_suite(INTERMEDIATES, data.suite)
        return Condition(name=entry, tasks=tuple(name for name, task in own.items() if task.in_multi))
    if entry not in known:
        raise UnknownName("intermediate task", entry, [BASELINE, MULTI, *known])
    return Condition(name=entry, tasks=(entry,))


def resolve_conditions(study: Study) -> list[Condition]:
    """Return the conditions for the entries of a study's `intermediates`, see `resolve_condition`."""
    return [resolve_condition(entry, study.data) for entry in study.intermediates]


def list_measured_tasks(study: Study) -> list[Condition]:
    """Return the tasks that a study only measures, each as a condition.

    Raises
    ------
    UnknownName
        If one is not an intermediate task of the study's suite.
    """
    alone = (Condition(name=f"measured-{task.replace('.', '-')}", tasks=(task,)) for task in study.measures.tasks)
    return [resolve_condition(each, study.data) for each in alone]


def list_tasks_read(study: Study) -> list[str]:
    """Return the references (`qa`, `qa.de`) of the intermediate tasks that a study trains on or measures."""
    return [task for each in (*resolve_conditions(study), *list_measured_tasks(study)) for task in each.all_tasks]
