"""The dataset card of the pocket suite, and the licences of the packages that it is generated from."""

from stilts.sources.suite import Card, Licence

LICENCES = {
    "home-assistant-intents": Licence(
        "CC-BY-4.0", "CC BY 4.0, the Home Assistant intents contributors", "https://creativecommons.org/licenses/by/4.0/"
    ),
    "Unicode CLDR, read through Babel": Licence(
        None, "Unicode License v3, Unicode, Inc.", "https://www.unicode.org/license.txt"
    ),
    "Django message catalogues": Licence(
        "BSD-3-Clause", "BSD-3-Clause, Django Software Foundation and individual contributors",
        "https://opensource.org/license/bsd-3-clause",
    ),
}  # fmt: skip

POCKET_CARD = Card(
    "Pocket benchmark of cross-lingual transfer",
    "Small tasks in many languages, generated from open packages: English training sets, test sets in every\n"
    "language. `suite.json` holds the settings, the languages that were left out and why, and the overlap\n"
    "between splits.",
    "other",
    "cc-by-4.0-and-unicode-3.0-and-bsd-3-clause",
    "\n".join(f"- {source}: {licence.text}." for source, licence in LICENCES.items()),
)
