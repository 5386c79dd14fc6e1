"""Tasks on spoken commands in over 40 languages, generated from `home-assistant-intents`.

`hassil` parses templates by native speakers, and a seeded walk over their trees yields sentences with the position of
every slot value. A meaning is an intent with normalised values, which are the same in every language. The tasks are
classification, tagging, entailment, paraphrase and question answering.
"""

from stilts.sources.pocket.commands.tables import (
    GENERATOR_VERSION,
    INTERMEDIATES,
    TARGETS,
    compute_fingerprint,
    explain_lack,
    generate,
    generate_intermediate,
    generate_sentences,
    list_label_names,
    list_languages,
    list_left_out,
)

__all__ = [
    "GENERATOR_VERSION",
    "INTERMEDIATES",
    "TARGETS",
    "compute_fingerprint",
    "explain_lack",
    "generate",
    "generate_intermediate",
    "generate_sentences",
    "list_label_names",
    "list_languages",
    "list_left_out",
]
