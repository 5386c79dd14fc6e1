"""The few shapes a task can have; each holds its features, head, decoding and metric in one place."""

from stilts.errors import UnknownName
from stilts.formats.base import Format
from stilts.formats.classification import Classification
from stilts.formats.span_qa import SpanQA
from stilts.formats.tagging import Tagging

TRAINED: dict[str, Format] = {form.name: form for form in (Classification(), Tagging(), SpanQA())}
UNTRAINED = ("retrieval", "mining")


def get_format(name: str) -> Format:
    """Return a format that is trained; UnknownName if there is none of that name."""
    if name not in TRAINED:
        raise UnknownName("trained format", name, TRAINED)
    return TRAINED[name]
