"""Tokenizer fertility: tokens of a translation for each token of its English original.

It is measured on Django's interface messages and their translations. The book reads the table `fertility.yaml`, so that
it needs neither the encoder nor Django; `python -m stilts.analysis.languages.fertility` rewrites this table.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stilts.study.errors import StiltsError
from stilts.study.yaml_files import read_yaml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TABLE = Path(__file__).with_name("fertility.yaml")
ENCODERS = ("multilingual-e5-small",)
FEWEST_PAIRS = 100
HEADER = """\
# Tokens of a translation for each token of its English, special tokens not counted: the ratio of the sums over the
# language's messages. Written by `python -m stilts.analysis.languages.fertility`; the messages are those of
# `ui-retrieval`: Django's compiled catalogues, BSD licence. A language with fewer than {fewest} messages is absent.
"""


def main() -> None:
    """Measure the offline encoders' tokenizers in every language of the language table and rewrite `fertility.yaml`."""
    from stilts.analysis.languages.facts import read_languages
    from stilts.models.encoders import fingerprint_encoder, load_tokenizer

    measured = {
        name: {
            "fingerprint": fingerprint_encoder(name),
            "languages": measure_fertility(load_tokenizer(name), read_languages()),
        }
        for name in ENCODERS
    }
    write_table(measured, {"django": version("django")}, TABLE)


def measure_fertility(tokenizer: "PreTrainedTokenizerFast", codes: Iterable[str]) -> dict[str, dict[str, float | int]]:
    """Return the `fertility` of a tokenizer and the number of `messages` it is measured on, by language.

    English, which has 1 by definition, and languages with too few messages are left out.
    """
    from stilts.sources.pocket.messages import select_pairs

    found = {}
    for code in sorted(codes):
        chosen = select_pairs(code) if code != "en" else ()
        if len(chosen) >= FEWEST_PAIRS:
            own = count_tokens(tokenizer, [pair.translation for pair in chosen])
            english = count_tokens(tokenizer, [pair.english for pair in chosen])
            found[code] = {"fertility": round(own / english, 4), "messages": len(chosen)}
    return found


def count_tokens(tokenizer: "PreTrainedTokenizerFast", texts: list[str]) -> int:
    """Return the total number of tokens of all texts, without special tokens."""
    return sum(len(encoded) for encoded in tokenizer(texts, add_special_tokens=False)["input_ids"])


def write_table(measured: dict[str, dict[str, Any]], versions: dict[str, str], path: Path) -> None:
    """Write the table, with one language per line."""
    lines = [HEADER.format(fewest=FEWEST_PAIRS), f"made_with: {_flow(versions)}", "encoders:"]
    for name, entry in measured.items():
        lines += [f"  {name}:", f"    fingerprint: {entry['fingerprint']}", "    languages:"]
        lines += [f"      {code}: {_flow(row)}" for code, row in entry["languages"].items()]
    path.write_text(lines[0] + "\n".join(lines[1:]) + "\n", encoding="utf-8")


def _flow(row: dict[str, Any]) -> str:
    return yaml.safe_dump(row, default_flow_style=True, width=10**6, sort_keys=False).strip()


@cache
def read_fertility(encoder: str) -> dict[str, float]:
    """Return the fertility of an encoder's tokenizer by language, 1 for English; empty if it was not measured.

    Raises
    ------
    StiltsError
        If the table is missing.
    """
    if not TABLE.exists():
        raise StiltsError(f"{TABLE.name} is missing; `python -m stilts.analysis.languages.fertility` makes it")
    entry = read_yaml(TABLE, "table of fertility")["encoders"].get(encoder)
    if entry is None:
        return {}
    return {"en": 1.0, **{code: float(row["fertility"]) for code, row in entry["languages"].items()}}


if __name__ == "__main__":
    main()
