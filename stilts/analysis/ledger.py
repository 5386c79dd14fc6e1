"""The ledger of claims as tables and sentences: a row for each claim, and what no score can test."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stilts.analysis.claims import Claim, Evidence, Part
from stilts.analysis.languages.facts import get_language
from stilts.analysis.verdicts import EVIDENT, Judgement, Verdict
from stilts.analysis.wording import count, replace_ids, replace_marked_ids
from stilts.tasks.registry import INTERMEDIATES, keep_suite

if TYPE_CHECKING:
    from IPython.display import HTML

EVIDENCE_PAGES: Mapping[str, str] = {
    "C1": "transfer", "C2": "transfer", "C3": "layers", "C4": "transfer", "C5": "transfer", "C6": "pilot-conditions",
    "Same task twice": "transfer", "Q1": "order", "Q2": "distance", "Q3": "architecture", "Q4": "adapters",
    "Q5": "complexity",
}  # fmt: skip
"""Claim -> the page of the book with its evidence."""

PUBLISHED_ID = re.compile(r"C\d+")
"""Id of a claim of the paper; rows of this study's own have others."""


@dataclass(frozen=True)
class Statement:
    """A statement of the paper that no score can test, with its numbers there and what this project has instead."""

    id: str
    text: str
    published: str
    here: str


def list_statements(found: Evidence) -> list[Statement]:
    """Return the statements of the paper that no score can test, C7 to C10, and what this project has instead."""
    known = [task for task in keep_suite(INTERMEDIATES, found.suite).values() if task.in_multi]
    recorded = {name for tasks in found.tasks.values() for name in tasks}
    groups = dict.fromkeys(task.group for task in known if task.name in recorded)
    tested = {code for part in found.all_replicates.values() for code in part.languages}
    shared = sum(get_language(code).xtreme for code in tested)
    return [
        Statement(
            "C7",
            "The encoder that it starts from, XLM-R Large, led zero-shot cross-lingual transfer at the time.",
            "–",
            "another encoder",
        ),
        Statement(
            "C8",
            "Three phases: public multilingual pretraining; intermediate training in English; target training in "
            "English, then zero-shot evaluation.",
            "–",
            "the same three phases",
        ),
        Statement(
            "C9",
            "Nine English intermediate tasks cover several formats.",
            "9 tasks",
            f"{len([task for task in known if task.name in recorded])} of {count(known, 'intermediate task')} "
            f"have records: {', '.join(groups) or 'no group'}",
        ),
        Statement(
            "C10",
            "XTREME covers up to 40 typologically diverse languages over nine tasks.",
            "40 languages, 9 tasks",
            f"{count(sorted(tested), 'language')}, {shared} of them XTREME's, over "
            f"{count(list(found.all_replicates), 'target task')} that were learned or need no training",
        ),
    ]


def show_statements(statements: Mapping[str, Sequence[Statement]]) -> pd.DataFrame:
    """Return a table of statements for readers: id, statement, published, and a column for each study.

    Parameters
    ----------
    statements : mapping
        Study -> its statements. All studies have the same statements in the same order.
    """
    first = next(iter(statements.values()))
    rows = [{"id": each.id, "statement": each.text, "published": each.published} for each in first]
    for study, own in statements.items():
        for row, each in zip(rows, own, strict=True):
            row[study] = each.here
    return pd.DataFrame(rows)


def show_ledgers(
    ledgers: Mapping[str, Sequence[Claim]], titles: Mapping[str, Mapping[str, str]]
) -> pd.DataFrame:
    """Return a table of the ledgers of several studies for readers, with a row for each claim.

    Parameters
    ----------
    ledgers : mapping
        Heading of a study's column -> its ledger. All ledgers have the same claims in the same order.
    titles : mapping
        Heading of a study's column -> id of a condition or task -> its name, which takes its place.

    Returns
    -------
    DataFrame
        id, claim, published, and a column for each study with lines for the test, another claim where the study tests
        another one, its effects, and the verdict with its reason.
    """
    first = next(iter(ledgers.values()))
    rows = [{"id": claim.id, "claim": claim.text, "published": claim.published} for claim in first]
    for study, claims in ledgers.items():
        names = titles[study]
        for row, claim in zip(rows, claims, strict=True):
            own = [f"Tested here: {claim.text}"] if claim.text != row["claim"] else []
            lines = (claim.tested, *own, *_effects(claim), _told(claim.judgement))
            tested, *found = (replace_marked_ids(line, names) for line in lines)
            row[study] = "\n".join([tested, *(replace_ids(line, names) for line in found)])
    return pd.DataFrame(rows)


def _effects(claim: Claim) -> list[str]:
    measured = ["; ".join([f"{part.text}: {part.effect}", *_tell_part(part, claim)]) for part in claim.parts]
    return [*measured, *([claim.note] if claim.note else [])] or ["–"]


def _tell_part(part: Part, claim: Claim) -> list[str]:
    """Return a part's verdict and reason, each where neither its claim nor the interval beside it says so already."""
    own, whole = part.judgement, claim.judgement
    verdict = [] if own.verdict is whole.verdict else [str(own.verdict)]
    return verdict + ([] if own.reason in (*EVIDENT, whole.reason, "") else [own.reason])


def _told(judgement: Judgement) -> str:
    return f"{judgement.verdict} ({judgement.reason})" if judgement.reason else str(judgement.verdict)


def tabulate_parts(ledgers: Mapping[str, Sequence[Claim]]) -> pd.DataFrame:
    """Return one row per measured part.

    Returns
    -------
    DataFrame
        study, id, part, value, low, high (points), df, seeds, asks (kind of hypothesis), asked, smallest, published
        (points), p_holm, verdict, reason.
    """
    rows = [
        {
            "study": study,
            "id": claim.id,
            "part": part.text,
            "value": part.effect.value,
            "low": part.effect.low,
            "high": part.effect.high,
            "df": part.effect.df,
            "seeds": part.effect.seeds,
            "asks": str(part.hypothesis.kind),
            "asked": part.hypothesis.asked,
            "smallest": part.hypothesis.smallest,
            "published": np.nan if part.published is None else part.published,
            "p_holm": part.judgement.p,
            "verdict": str(part.judgement.verdict),
            "reason": part.judgement.reason,
        }
        for study, claims in ledgers.items()
        for claim in claims
        for part in claim.parts
    ]
    columns = ["study", "id", "part", "value", "low", "high", "df", "seeds", "asks", "asked", "smallest", "published",
               "p_holm", "verdict", "reason"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def compare_ledgers(ledgers: Mapping[str, Sequence[Claim]], titles: Mapping[str, str]) -> pd.DataFrame:
    """Return the parts of claims that every one of several studies measured.

    Parameters
    ----------
    ledgers : mapping
        Heading of a study's column -> its ledger.
    titles : mapping
        Id of a condition or task -> its name, which takes its place.

    Returns
    -------
    DataFrame
        id, part (as in the first study), and a column for each study with the effect, the verdict and, where
        it is of other targets, the part.
    """
    known = [{(claim.id, part.key): part for claim in own for part in claim.parts} for own in ledgers.values()]
    rows = []
    for place, part in known[0].items():
        if all(place in own for own in known):
            row = {"id": place[0], "part": replace_ids(part.text, titles)}
            told = [_tell_twin(own[place], part, titles) for own in known]
            rows.append(row | dict(zip(ledgers, told, strict=True)))
    return pd.DataFrame(rows, columns=["id", "part", *ledgers])


def _tell_twin(part: Part, first: Part, titles: Mapping[str, str]) -> str:
    """Return a part's effect and verdict, and what it is of where that differs from the same part in another study."""
    other = "" if part.text == first.text else f" ({replace_ids(part.text, titles)})"
    return f"{part.effect}; {part.judgement.verdict}{other}"


def describe_agreement(first: Sequence[Claim], second: Sequence[Claim]) -> str:
    """State of how many claims two studies have the same verdict, and which differ."""
    twins = {claim.id: claim.verdict for claim in second}
    pairs = [(claim.id, claim.verdict, twins[claim.id]) for claim in first if claim.id in twins]
    differ = [f"{name} changes from *{one}* to *{other}*" for name, one, other in pairs if one is not other]
    same = f"Of {count(pairs, 'claim')}, {len(pairs) - len(differ)} have the same verdict in both"
    return "; ".join([same, *differ]) + "."


def describe_verdicts(ledgers: Mapping[str, Sequence[Claim]]) -> str:
    """State for each study how many of the paper's claims, and of this study's own rows, have which verdict."""
    said = []
    for study, claims in ledgers.items():
        own = [claim.verdict for claim in claims if not PUBLISHED_ID.fullmatch(claim.id)]
        published = [claim.verdict for claim in claims if PUBLISHED_ID.fullmatch(claim.id)]
        beside = f"; of the {len(own)} rows of our own: {_verdicts(own)}" if own else ""
        said.append(f"In study `{study}`, of the paper's {len(published)} claims: {_verdicts(published)}{beside}.")
    return " ".join(said)


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    supported = [] if Verdict.SUPPORTED in verdicts else ["none supported"]
    return ", ".join(
        [*supported, *(f"{verdicts.count(each)} {each}" for each in Verdict if each in verdicts)]
    )


def show_claims(table: pd.DataFrame) -> "HTML":
    """Return the table of `show_ledgers` as HTML: verdict first, then effects, test and reason; a card each on a phone.

    Cells carry the heading of their column, which a card shows.
    """
    from IPython.display import HTML

    studies = list(table.columns[3:])
    heads = "".join(f'<th scope="col">{_mark(name)}</th>' for name in table.columns)
    rows = []
    for row in table.to_dict("records"):
        page = EVIDENCE_PAGES.get(row["id"])
        name = f'<a href="{page}.html">{_mark(row["id"])}</a>' if page else _mark(row["id"])
        cells = [f'<th scope="row">{name}</th>', _cell(row["claim"]), _cell(row["published"], "published")]
        cells += [f'<td data-label="{html.escape(study)}">{_set_lines(_mark(row[study]))}</td>' for study in studies]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return HTML(f'<table class="ledger"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>')


def _cell(text: str, label: str = "") -> str:
    return f'<td data-label="{label}">{_mark(text)}</td>' if label else f"<td>{_mark(text)}</td>"


def _mark(text: str) -> str:
    """Return text as HTML, with inline code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _set_lines(text: str) -> str:
    tested, *effects, told = text.split("\n")
    shown, (verdict, _, reason) = "<br>".join(effects), told.partition(" (")
    why = f'<p class="reason">{reason.removesuffix(")")}</p>' if reason else ""
    return f'<p>{mark_verdict(verdict)}</p>{why}<p class="effects">{shown}</p><p>{tested}</p>'


def mark_verdict(verdict: str) -> str:
    """Return a verdict as HTML, in words and with the class that colours it."""
    return f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>'
