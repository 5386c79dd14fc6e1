"""The few shapes a task can have; each holds its features, head, decoding and metric in one place."""

from stilts.errors import UnknownName
from stilts.formats.base import Format
from stilts.formats.causal_lm import CausalLM
from stilts.formats.classification import Classification
from stilts.formats.masked_lm import MaskedLM
from stilts.formats.multiple_choice import MultipleChoice
from stilts.formats.passage_retrieval import PassageRetrieval
from stilts.formats.span_corruption import SpanCorruption
from stilts.formats.span_qa import SpanQA
from stilts.formats.tagging import Tagging

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
