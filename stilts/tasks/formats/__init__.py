"""The few shapes a task can have; each holds its features, head, decoding and metric in one place."""

from stilts.study.errors import UnknownName
from stilts.tasks.formats.base import Format
from stilts.tasks.formats.causal_lm import CausalLM
from stilts.tasks.formats.classification import Classification
from stilts.tasks.formats.masked_lm import MaskedLM
from stilts.tasks.formats.multiple_choice import MultipleChoice
from stilts.tasks.formats.passage_retrieval import PassageRetrieval
from stilts.tasks.formats.span_corruption import SpanCorruption
from stilts.tasks.formats.span_qa import SpanQA
from stilts.tasks.formats.tagging import Tagging

_FORMATS: tuple[Format, ...] = (
    Classification(),
    Tagging(),
    SpanQA(),
    SpanQA("span_qa_mlqa", by_language=True),
    SpanQA("span_qa_null", unanswerable=True),
    MultipleChoice(),
    MaskedLM(),
    CausalLM(),
    SpanCorruption(),
    PassageRetrieval(),
)
TRAINED = {form.name: form for form in _FORMATS}
UNTRAINED = ("retrieval", "mining")


def get_format(name: str, *, chunk_rule: str | None = None, doc_stride: int | None = None) -> Format:
    """Return a format that is trained; UnknownName if there is none of that name.

    Parameters
    ----------
    chunk_rule : str, optional
        How tags are read as chunks; of no meaning where there are none.
    doc_stride : int, optional
        How windows of a long context are laid, see `SpanQA`; of no meaning where there are none.
    """
    if name not in TRAINED:
        raise UnknownName("trained format", name, TRAINED)
    form = TRAINED[name]
    if doc_stride is not None and isinstance(form, SpanQA):
        return form.with_stride(doc_stride)
    if chunk_rule is not None and isinstance(form, Tagging):
        return Tagging(chunk_rule)
    return form
