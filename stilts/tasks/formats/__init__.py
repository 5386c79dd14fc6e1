"""The formats of tasks; each is one class with all that depends on the kind of a task."""

from stilts.tasks.formats.base import Format
from stilts.tasks.formats.causal_lm import CausalLM
from stilts.tasks.formats.classification import Classification
from stilts.tasks.formats.masked_lm import MaskedLM
from stilts.tasks.formats.mining import Mining
from stilts.tasks.formats.multiple_choice import MultipleChoice
from stilts.tasks.formats.passage_retrieval import PassageRetrieval
from stilts.tasks.formats.retrieval import Retrieval
from stilts.tasks.formats.span_corruption import SpanCorruption
from stilts.tasks.formats.span_qa import SpanQA
from stilts.tasks.formats.tagging import Tagging

CLASSIFICATION = Classification()
SPAN_QA = SpanQA()
SPAN_QA_MLQA = SpanQA("span_qa_mlqa", by_language=True)
SPAN_QA_NULL = SpanQA("span_qa_null", unanswerable=True)
MULTIPLE_CHOICE = MultipleChoice()
MASKED_LM = MaskedLM()
CAUSAL_LM = CausalLM()
SPAN_CORRUPTION = SpanCorruption()
PASSAGE_RETRIEVAL = PassageRetrieval()
RETRIEVAL = Retrieval()
RETRIEVAL_FROM_ENGLISH = Retrieval("retrieval_from_english", english_queries=True)
MINING = Mining()
TAGGING = Tagging()

# The fingerprints of suites depend on this order, through `stilts.tasks.registry.list_text_columns`.
FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        CLASSIFICATION,
        SPAN_QA,
        SPAN_QA_MLQA,
        SPAN_QA_NULL,
        MULTIPLE_CHOICE,
        MASKED_LM,
        CAUSAL_LM,
        SPAN_CORRUPTION,
        PASSAGE_RETRIEVAL,
        RETRIEVAL,
        RETRIEVAL_FROM_ENGLISH,
        MINING,
        TAGGING,
    )
}
