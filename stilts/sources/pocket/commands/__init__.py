"""Tasks on spoken commands in over 40 languages, generated from `home-assistant-intents`.

Templates written by native speakers are parsed by `hassil`; a seeded walk over their trees yields sentences with the
place of every slot value. One meaning is an intent with normalised values, the same in every language: from it come a
classification, a tagging, an entailment, a paraphrase and a question answering task.
"""

from stilts.sources.pocket.commands.tables import (
    GENERATOR_VERSION,
    INTERMEDIATES,
    TARGETS,
    fingerprint,
    generate,
    generate_intermediates,
    label_names,
    lacks,
    languages,
    left_out,
    sentences,
)

__all__ = ["GENERATOR_VERSION", "INTERMEDIATES", "TARGETS", "fingerprint", "generate",
           "generate_intermediates", "label_names", "lacks", "languages", "left_out", "sentences"]
