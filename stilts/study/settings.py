"""The study file as typed settings; `stilts.study.files` reads it, `stilts.study.planning` derives its runs."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stilts.study.errors import StiltsError, UnknownName, describe_reasons

Phase = Literal["pretraining", "intermediate", "target", "zero-shot", "measure"]
Architecture = Literal["encoder", "decoder", "encoder-decoder"]
ChunkRule = Literal["seqeval-0.0.12", "seqeval-1.2.2"]
Precision = Literal["bf16", "fp32"]
Heads = Literal["mean", "pooler"]
EVALUATION_PRECISION: Precision = "bf16"  # used by all runs before this became a setting

SOURCE_LANGUAGE = "en"
"""The language in which tasks are trained, unless their data have another one."""

BASELINE = "none"
"""The condition without intermediate training."""

# Bounds far beyond any reasonable study, but within what the libraries accept: a typo fails while planning, not in the
# middle of a training. The numbers of layers and updates are checked with the plan's runs.
MOST_PATH_PART = 255  # bytes
MOST_NAME = 100  # characters: run ids contain names and must be valid file names
Count = Annotated[int, Field(gt=0, le=10**9)]
Few = Annotated[int, Field(gt=0, le=10**6)]
Tokens = Annotated[int, Field(gt=0, le=2**24)]
Length = Annotated[int, Field(ge=32, le=2**20)]  # tokens
Layers = Annotated[int, Field(gt=0, le=1000)]
Evaluations = Annotated[int, Field(gt=0, le=10**5)]
Rate = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # the range that numpy and transformers accept
TrainingSeed = Annotated[int, Field(ge=1, lt=2**32)]  # 0 is `runs.UNTRAINED_SEED`
Line = Annotated[str, Field(max_length=1000)]


def _unlike(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if repeated := [value for value, count in Counter(values).items() if count > 1]:
        raise ValueError(f"{', '.join(map(str, repeated[:5]))} is listed more than once")
    return values


def _fits_a_path(path: str) -> str:
    if "\0" in path or any(len(part.encode(errors="replace")) > MOST_PATH_PART for part in path.split("/")):
        raise ValueError(f"not a valid path: a part has more than {MOST_PATH_PART} bytes, or a null character")
    return path


Unlike = AfterValidator(_unlike)
Names = Annotated[tuple[Line, ...], Unlike]
Languages = Annotated[tuple[Line, ...], Field(min_length=1), Unlike] | Literal["all"]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=MOST_NAME)]
Place = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_fits_a_path)]
Adapters = Literal["none", "then-full", "continued", "fresh"]


class Settings(BaseModel):
    """Base of all settings: immutable; unknown keys, infinities and booleans in place of numbers are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        fits = cls.model_fields[str(info.field_name)].annotation is bool
        parts = value if isinstance(value, list | tuple) else [value]
        if not fits and any(isinstance(part, bool) for part in parts):
            raise ValueError("must not be true or false (in YAML also yes, no, on, off)")
        return value


def make_later_field(default: Any, description: str) -> Any:
    """Return a field that is left out of dumps while it has its default, so that older run ids stay valid."""
    return Field(default, exclude_if=lambda value: value == default, description=description)


class ScratchSettings(Settings):
    """A randomly initialised encoder with the tokenizer of `name`, trained first by a run of phase `pretraining`.

    Encoders with the same `parameters` and `hidden` have the same size, whatever their architecture.
    """

    architecture: Architecture
    hidden: Annotated[int, Field(gt=0, le=2**16)] = Field(256, description="width of the hidden states")
    layers: Layers = Field(4, description="of an encoder-decoder half of them in each half")
    heads: Annotated[int, Field(gt=0, le=2**12)] = Field(4, description="attention heads")
    parameters: Annotated[int, Field(gt=0, le=10**12)] = Field(
        3_300_000, description="all but the word embeddings; met within 1 % by the width of the feed-forward layers"
    )
    positions: Annotated[int, Field(gt=0, le=2**20)] = Field(256, description="tokens of the longest input")
    dropout: Share = Field(0.1, description="of hidden states and attention")

    @model_validator(mode="after")
    def _parts_are_even(self) -> "ScratchSettings":
        if self.hidden % self.heads:
            raise ValueError(f"heads is {self.heads}, which does not divide hidden, {self.hidden}; change one of them")
        if self.architecture == "encoder-decoder" and self.layers % 2:
            raise ValueError(f"layers is {self.layers}; an encoder-decoder needs an even number of layers")
        return self


class PretrainingSettings(Settings):
    """How an encoder is trained on texts before anything else. Its architecture determines the objective."""

    updates: Count = Field(1000, description="updates of the weights")
    batch_tokens: Tokens = Field(2048, description="tokens of text that an update reads")
    length: Length = Field(64, description="tokens of the blocks that texts are packed into")
    hidden_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.15, description="of a text's tokens, hidden to be predicted; a decoder predicts every token and hides none"
    )
    learning_rate: Rate = Field(2e-3, description="peak, encoder and head")
    warmup: Share = Field(0.1, description="share of the updates with a rising rate")
    weight_decay: Annotated[float, Field(ge=0, le=100)] = Field(0.01, description="AdamW, not on biases and LayerNorms")
    clip: Annotated[float, Field(gt=0, le=10**6)] = Field(1.0, description="gradient norm, at most")
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="auto: bf16 where the device computes it")
    pass_tokens: Tokens | None = Field(
        None, description="padded tokens of one pass, at most, as `batch_tokens` of `TrainingSettings`; None: all"
    )
    dev_blocks: Count = Field(256, description="held-out blocks that the loss is measured on")
    evaluations: Evaluations = Field(4, description="evenly spaced, the last at the end")

    @model_validator(mode="after")
    def _updates_suffice(self) -> "PretrainingSettings":
        if self.batch_tokens < self.length:
            raise ValueError(
                f"batch_tokens is {self.batch_tokens}, less than one block of {self.length} tokens; raise it, or lower "
                "length"
            )
        if self.evaluations > self.updates:
            raise ValueError(
                f"evaluations is {self.evaluations}, but there are only {self.updates} updates; lower it"
            )
        return self


class EncoderSettings(Settings):
    """The encoder that runs start from."""

    name: Place = Field(description="registered offline encoder, folder in transformers layout, or Hub id")
    revision: Annotated[str, Field(pattern=r"^\S+$", max_length=200)] | None = Field(
        None, description="commit of the Hub repository; None for the other two"
    )
    trim_vocabulary: bool = Field(True, description="keep the embedding rows of the study's texts alone; exact")
    scratch: ScratchSettings | None = make_later_field(
        None, "random weights, over the tokenizer of `name`, pretrained first"
    )
    convert_to: Architecture | None = make_later_field(
        None, "the weights of `name` in this architecture, pretrained further on texts first"
    )
    heads: Heads = make_later_field(
        "mean",
        "what tasks are learned with. mean: LayerNorm and a linear layer, over each token or their mean; pooler: those "
        "of jiant, for a whole input over the encoder's pooler, which trains and is carried over with the encoder",
    )

    @property
    def pretrained(self) -> Architecture | None:
        """Architecture of an encoder that a run of phase `pretraining` trains first; None of a public one."""
        return self.scratch.architecture if self.scratch else self.convert_to

    @model_validator(mode="after")
    def _a_pooler_is_pretrained(self) -> "EncoderSettings":
        if self.scratch and self.convert_to:
            raise ValueError("scratch and convert_to exclude each other: random weights, or those of `name`")
        if self.pretrained and self.heads == "pooler":
            raise ValueError("heads is 'pooler', which an encoder that is pretrained here does not have")
        return self


class DataSettings(Settings):
    """Which examples the study's tasks come from."""

    suite: Line = Field("pocket", description="name of the suite that a source builds or reads")
    seed: Seed = Field(0, description="seed of the suite's generator; not a training seed")
    languages: Languages = Field("all", description="ISO 639-1 codes, or all the suite covers")
    sizes: dict[str, Count] = Field(default_factory=dict, description="examples per split; unset ones are the suite's")
    folder: Place | None = Field(
        None,
        description="what the suite reads, copies of Hub repositories; the environment's STILTS_DATA goes before it",
    )
    source_languages: Names = make_later_field(
        (), "languages besides English in which the suite has data of its intermediate tasks"
    )
    source_tasks: Names = make_later_field(
        (), "the intermediate tasks that it has in the source languages; unset: all that it can"
    )
    families: Names = make_later_field(
        (), "what the suite holds besides: grain (a task whose number of classes is a setting), text (unlabelled)"
    )
    borrowed: Names = make_later_field(
        (), "English intermediate tasks of suite xtreme that suite pocket holds besides its own, read from `folder`"
    )

    @property
    def reads_folder(self) -> bool:
        """Whether the suite reads the data folder."""
        return self.suite == "xtreme" or bool(self.borrowed)

    @model_validator(mode="after")
    def _pocket_borrows(self) -> "DataSettings":
        if self.borrowed and self.suite != "pocket":
            raise ValueError(f"borrowed ({', '.join(self.borrowed)}): suite pocket alone borrows, not {self.suite}")
        return self

    @model_validator(mode="after")
    def _source_tasks_have_languages(self) -> "DataSettings":
        if self.source_tasks and not self.source_languages:
            raise ValueError(f"source_tasks ({', '.join(self.source_tasks)}): no source_languages are named for them")
        return self


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2022, arXiv:2106.09685) in every linear layer of the encoder's blocks."""

    rank: Few = Field(8, description="of the two matrices that a layer's change is made of")
    alpha: Annotated[float, Field(gt=0, le=10**6)] = Field(16.0, description="the change is scaled by alpha / rank")
    dropout: Share = Field(0.0, description="of what goes into the adapters")
    learning_rate: Rate = Field(3e-3, description="peak, in place of the encoder's")


class TrainingSettings(Settings):
    """How phase 1 or 2 trains. Lengths are in tokens, rates per update."""

    examples: Count = Field(1500, description="training examples per task, at most")
    epochs: Annotated[float, Field(gt=0, le=10**4)] = Field(1.0, description="passes over the training examples")
    batch_size: Few = Field(32, description="examples per update")
    learning_rate: Rate = Field(2e-4, description="peak, encoder")
    head_learning_rate: Rate = Field(2e-3, description="peak, task heads")
    warmup: Share = Field(0.1, description="share of the updates with a rising rate")
    weight_decay: Annotated[float, Field(ge=0, le=100)] = Field(0.01, description="AdamW, not on biases and LayerNorms")
    clip: Annotated[float, Field(gt=0, le=10**6)] = Field(1.0, description="gradient norm, at most")
    # Below 32, a question would leave no room for overlapping windows of its context.
    max_length: Length = Field(128, description="tokens of one encoder input, at most")
    precision: Literal["auto", "bf16", "fp32"] = Field("auto", description="auto: bf16 where the device computes it")
    train_embeddings: bool = Field(False, description="False freezes the word embeddings, 4/5 of a small encoder")
    frozen_layers: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="lowest encoder layers that are not trained"
    )
    dev_examples: Count = Field(
        200, description="English dev examples that choose the checkpoint"
    )
    evaluations: Evaluations = Field(
        2, description="dev evaluations, evenly spaced, the last at the end"
    )
    # These fields were added later. They are not dumped while unset, so that older runs keep their ids.
    batch_tokens: Tokens | None = make_later_field(
        None,
        "padded tokens of one pass, at most: a larger batch goes through in several, their gradients added up and "
        "clipped once (jiant, the paper's code, clipped after each). None: the whole batch. Fewer need less memory",
    )
    gradient_checkpointing: bool = make_later_field(
        False, "compute the layers again for the gradients instead of keeping them: a third slower, far less memory"
    )
    evaluate_every: Count | None = make_later_field(
        None, "updates between dev evaluations, one more at the end (the paper: 1000); None: as `evaluations` says"
    )
    patience: Count | None = make_later_field(
        None, "dev evaluations in a row without gain that end the training (the paper: 30); None: no early end"
    )
    restarts: Annotated[int, Field(ge=0, le=100)] = make_later_field(
        0, "trainings again with another seed, at most, while the dev score of the only task is at chance"
    )
    lora: LoraSettings | None = make_later_field(None, "adapters that are trained in place of the encoder's weights")
    doc_stride: Annotated[int, Field(gt=0)] | None = make_later_field(
        None,
        "subwords from the start of one window of a long context to that of the next (jiant, XTREME: 128); an answer "
        "then starts in the window with most context around it. None: windows share 128 subwords, any may answer",
    )

    @model_validator(mode="after")
    def _adapters_leave_the_encoder(self) -> "TrainingSettings":
        if self.lora and self.train_embeddings:
            raise ValueError("train_embeddings is true, but lora trains adapters and heads alone; set it to false")
        return self

    @property
    def peak_rate(self) -> float:
        """Peak rate of what is trained in the encoder: of its weights, or of adapters in their place."""
        return self.lora.learning_rate if self.lora else self.learning_rate


class EvaluationSettings(Settings):
    """How phase 3 predicts."""

    examples: Count = Field(100, description="test examples per language, at most")
    per_target: dict[str, Count] = make_later_field(
        {}, "target -> test examples per language, at most, in place of `examples`"
    )
    batch_tokens: Tokens = Field(4096, description="tokens of one padded batch, at most")
    retrieval_layer: Annotated[int, Field(ge=-1000, le=1000)] = Field(
        -1, description="hidden layer that is pooled for retrieval: 1 is the first, -1 the last"
    )
    languages: Languages = Field("all", description="of the data's languages, those to evaluate")
    chunk_rule: ChunkRule = make_later_field(
        "seqeval-0.0.12",
        "how tags are read as chunks: seqeval-0.0.12 gives XTREME's released scores, seqeval-1.2.2 what a plain "
        "installation computes today; they differ on parts of speech",
    )
    precision: Precision = make_later_field(
        EVALUATION_PRECISION,
        "the same on every machine, with bf16 in hardware or without, so that one run means one score but for rounding",
    )


class SimilaritySettings(Settings):
    """How the similarity of intermediate and target tasks is measured, with the encoder before any training."""

    kind: Literal["similarity"] = "similarity"
    examples: Annotated[int, Field(ge=2, le=10**6)] = Field(64, description="examples of a task, at most")
    max_length: Length = Field(128, description="tokens of one encoder input, at most")
    batch_size: Annotated[int, Field(ge=2, le=10**5)] = Field(
        16, description="texts that the objective without labels compares"
    )
    layers: Layers = Field(4, description="highest encoder layers whose gradients are compared")
    head_updates: Few = Field(24, description="updates that fit a head on the frozen encoder")
    head_learning_rate: Rate = Field(5e-3, description="peak, of these updates")
    samples: Few = Field(1, description="labels drawn for an example from its predictions")
    temperature: Rate = Field(0.05, description="of the objective without labels")
    precision: Precision = make_later_field(
        EVALUATION_PRECISION, "the same on every machine, as that of the evaluation"
    )


class ComplexitySettings(Settings):
    """How the complexity of each intermediate task is measured, by training on growing portions of its data."""

    kind: Literal["complexity"] = "complexity"
    examples: Annotated[int, Field(gt=1, le=10**9)] = Field(
        500, description="training examples that are coded, at most"
    )
    first: Count = Field(16, description="examples of the first portion, in a uniform code")
    # Each portion needs one training; with smaller values, thousands of examples would need hundreds.
    growth: Annotated[float, Field(ge=1.1, le=1000)] = Field(
        3.0, description="portions end at so many times as many examples"
    )
    updates: Few = Field(
        20, description="updates of a training, at least: small portions are passed over more often"
    )
    dev_examples: Count = Field(200, description="dev examples of the learning curve, at most")
    share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.9, description="of the final score over chance, whose number of examples is looked for"
    )

    @model_validator(mode="after")
    def _examples_follow_the_first_portion(self) -> "ComplexitySettings":
        if self.examples <= self.first:
            raise ValueError(
                f"first is {self.first}, which leaves none of the {self.examples} examples; lower it, or raise examples"
            )
        return self


def _check_changes(changes: Mapping[str, Any], place: str) -> None:
    """Validate settings that replace some of a phase's training settings."""
    if unknown := sorted(changes.keys() - TrainingSettings.model_fields.keys()):
        raise UnknownName(f"setting ({place})", unknown[0], TrainingSettings.model_fields)
    try:
        TrainingSettings(**changes)
    except ValidationError as error:
        raise ValueError(f"{place}: {describe_reasons(error)}") from None


class MeasureSettings(Settings):
    """Which properties of the study's tasks are measured; a missing block means none."""

    similarity: SimilaritySettings | None = None
    complexity: ComplexitySettings | None = None
    tasks: Names = Field(
        (), description="intermediate tasks that are measured besides those of the conditions"
    )

    @model_validator(mode="after")
    def _tasks_are_measured(self) -> "MeasureSettings":
        if self.tasks and not (self.similarity or self.complexity):
            raise ValueError("tasks are named, but no measure; add similarity: {} or complexity: {}")
        return self


def split_reference(reference: str) -> tuple[str, str]:
    """Return the name and the language of a task reference: `qa.de` is `qa` in German. The language may be ""."""
    name, _, language = reference.partition(".")
    return name, language


def strip_language(reference: str) -> str:
    """Return the name of a task reference without its language. The task's head has this name too."""
    return split_reference(reference)[0]


class Condition(Settings):
    """What is trained between the public encoder and target training: the tasks of the intermediate phase.

    A task is given by its registered name for English data, or with a language: `qa.de`.
    """

    name: Slug
    tasks: Names = Field(description="intermediate tasks, trained together; none for the baseline")
    example_cap: Count = Field(
        2**17, description="examples of one task that count when tasks are sampled by size"
    )
    before: tuple[Names, ...] = make_later_field(
        (), "tasks of the stages that come first, one after the other; each goes on from what the last one left"
    )
    adapters: Adapters = make_later_field(
        "none",
        "none: fine-tuning in both phases; then-full: adapters in phase 1, merged, then fine-tuning; "
        "continued: the adapters of phase 1 are trained on in phase 2; fresh: merged, then new ones",
    )
    encoder: str | None = make_later_field(None, "one of the study's `encoders`; None for `encoder`")
    target_training: dict[str, Any] = make_later_field(
        {}, "setting -> value that replaces the study's, and that of `per_task`, when a target is trained after this"
    )

    @property
    def all_tasks(self) -> tuple[str, ...]:
        """The tasks of all stages, without duplicates."""
        return tuple(dict.fromkeys(task for stage in (*self.before, self.tasks) for task in stage))


class ScheduleSettings(Settings):
    """How runs become jobs; this has no influence on results and run ids."""

    runs_per_job: Count = Field(1, description="runs of one phase and condition in one notebook")
    threads_per_job: Annotated[int, Field(gt=0, le=4096)] = Field(1, description="CPU threads of one job")
    memory_mb: Annotated[int, Field(gt=0, le=10**8)] = Field(2500, description="memory of one job")
    jobs_per_gpu: Annotated[int, Field(gt=0, le=64)] = Field(
        1,
        description="jobs that share a GPU of one machine, if the memory that similar runs on record had allows it; a "
        "Slurm profile gives each job its own",
    )
    keep_checkpoints: Literal["none", "intermediate", "all"] = Field(
        "intermediate",
        description="checkpoints that stay after all runs that start from them are recorded: none, those of "
        "pretraining and intermediate training, or all",
    )
    state_minutes: Annotated[float, Field(ge=0, le=10**6)] = Field(
        10, description="minutes between two saved states of a training, from which it goes on when it was killed"
    )
    processes: Annotated[int, Field(gt=0, le=1024)] = Field(
        1,
        description="processes that train one model together: as many as a job has GPUs. With `batch_tokens` numbers "
        "differ by rounding alone; without, each takes an equal share of a batch and draws other dropout",
    )

    pack_batches: bool = Field(
        False,
        description="whether intermediate and target training join the sequences of a pass in one row without padding, "
        "for encoders that can read it (families of BERT, RoBERTa and ModernBERT); others keep padding. Numbers differ "
        "by rounding and by the draws of dropout. Meant for GPUs with bf16; on a CPU it is slower",
    )
    compile_layers: bool = Field(
        False,
        description="whether torch.compile translates the encoder's layers for intermediate and target training. "
        "Numbers differ by rounding and by the draws of dropout. Meant for GPUs; on a CPU it is slower",
    )

    @property
    def kept_phases(self) -> tuple[Phase, ...]:
        """Phases whose checkpoints stay."""
        trained: tuple[Phase, ...] = ("pretraining", "intermediate", "target")
        return {"none": (), "intermediate": trained[:2], "all": trained}[self.keep_checkpoints]


class QuestionSettings(Settings):
    """The question of a study and its tests, which are best written before its results are seen.

    The analysis reports only these tests and corrects for their number.
    """

    number: Annotated[int, Field(ge=1, le=5)] = Field(description="of the five questions")
    text: Line = Field(description="the question, one sentence")
    tests: dict[Line, Line] = Field(min_length=1, description="test -> its hypothesis in words")
    headline: Line | None = Field(None, description="the test that stands for the question; None: none of these does")
    level: Annotated[float, Field(gt=0, lt=1)] = Field(0.95, description="of the intervals; 1 - level of the tests")
    correction: Literal["holm", "none"] = Field("holm", description="for the number of tests")
    resamples: Annotated[int, Field(ge=100, le=10**6)] = Field(2000, description="of the bootstrap")
    smallest_effect: Annotated[float, Field(gt=0, le=100)] = Field(
        2.0, description="points that would matter; set beside what the design could have seen"
    )
    gate: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        default_factory=dict,
        description="target -> percent that every model must reach without an intermediate task, on average over the "
        "languages besides English; where one does not, nothing can be tested",
    )
    least_lead: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None,
        description="points above guessing that a target's English dev score must reach under every condition; a "
        "target that does not is in no test",
    )
    least_dev: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None,
        description="percent that the dev score of every intermediate training must reach, in its source language; a "
        "task that does not is in no test",
    )

    @model_validator(mode="after")
    def _headline_is_a_test(self) -> "QuestionSettings":
        if self.headline is not None and self.headline not in self.tests:
            raise UnknownName("headline among the question's tests", self.headline, self.tests)
        return self


class Study(Settings):
    """One study file."""

    name: Slug
    title: Line
    encoder: EncoderSettings
    data: DataSettings = DataSettings()
    intermediates: tuple[Line | Condition, ...] = Field(min_length=1)
    targets: Names = Field(min_length=1)
    seeds: Annotated[tuple[TrainingSeed, ...], Unlike] = Field((1,), min_length=1)
    intermediate_training: TrainingSettings = TrainingSettings()
    target_training: TrainingSettings = TrainingSettings()
    per_task: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="task -> settings that replace the phase's for that task"
    )
    evaluation: EvaluationSettings = EvaluationSettings()
    lora: LoraSettings = LoraSettings()
    encoders: dict[Slug, EncoderSettings] = Field(
        default_factory=dict, description="name -> further encoders, which conditions name"
    )
    pretraining: PretrainingSettings = PretrainingSettings()
    measures: MeasureSettings = MeasureSettings()
    question: QuestionSettings | None = None
    recorded_as: Slug | None = Field(
        None, description="study whose committed records hold this one's, for where its runs cannot be named"
    )
    schedule: ScheduleSettings = ScheduleSettings()

    @model_validator(mode="after")
    def _conditions_fit(self) -> "Study":
        for each in (entry for entry in self.intermediates if isinstance(entry, Condition)):
            if each.encoder is not None and each.encoder not in self.encoders:
                raise UnknownName(f"encoder of condition {each.name}", each.encoder, self.encoders)
            if each.name == BASELINE and each.all_tasks:
                named = ", ".join(each.all_tasks)
                raise ValueError(f"condition {each.name}: it is the baseline, but has tasks ({named}); rename it")
            if each.before and not all([*each.before, each.tasks]):
                raise ValueError(f"condition {each.name}: every stage, including `tasks`, needs a task")
            if each.adapters in ("then-full", "continued") and not each.tasks:
                raise ValueError(f"condition {each.name}: adapters '{each.adapters}' need a task to train on first")
            _check_changes(each.target_training, f"target_training of condition {each.name}")
        return self

    @model_validator(mode="after")
    def _conditions_differ(self) -> "Study":
        names = Counter(self.condition_names)
        if repeated := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"intermediates: {', '.join(repeated)} is listed more than once; names must be unique")
        return self

    @model_validator(mode="after")
    def _per_task_fits(self) -> "Study":
        for task, changes in self.per_task.items():
            _check_changes(changes, f"per_task.{task}")
        return self

    @property
    def condition_names(self) -> list[str]:
        """Names of the conditions, in the study's order."""
        return [entry if isinstance(entry, str) else entry.name for entry in self.intermediates]

    def training(
        self, phase: Phase, *names: str, changes: Mapping[str, Any] = MappingProxyType({})
    ) -> TrainingSettings:
        """Return the training settings of a phase, updated by the entries of `per_task` for the given names, in order.

        Parameters
        ----------
        names : str
            Tasks and conditions that may have an entry in `per_task`.
        changes : mapping, optional
            Settings that override all of these.

        Raises
        ------
        StiltsError
            If the combined settings are not valid together.
        """
        settings = (self.intermediate_training if phase == "intermediate" else self.target_training).model_dump()
        for name in names:
            settings |= self.per_task.get(name, {})
        try:
            return TrainingSettings(**(settings | changes))
        except ValidationError as error:
            raise StiltsError(
                f"{phase} training of {names[0] if names else phase}: {describe_reasons(error)}"
            ) from None

    def encoder_of(self, condition: Condition) -> EncoderSettings:
        """Return the encoder that a condition starts from."""
        return self.encoder if condition.encoder is None else self.encoders[condition.encoder]
