"""Tables of the provenance of records: devices, commits, inputs, package versions, and checksums."""

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from stilts.analysis.opened import find_records
from stilts.study.records import RECORDS, Record, Store
from stilts.workspace.checkout import Checkout

if TYPE_CHECKING:
    import pandas as pd

BOOK_PACKAGES = (
    "stilts",
    "pandas",
    "numpy",
    "scipy",
    "statsmodels",
    "matplotlib",
    "seaborn",
    "papermill",
    "nbclient",
    "jupyter-book",
    "Sphinx",
    "myst-nb",
    "snakemake",
)


def collect_records(checkout: Checkout, *studies: str) -> list[Record]:
    """Return the records that studies' pages are based on, each once. Raises UnknownName for an unknown study."""
    found = [record for study in studies for record in find_records(checkout, checkout.study(study))[0]]
    return list({record.id: record for record in found}.values())


def read_committed(checkout: Checkout) -> list[Record]:
    """Return all records under `results/`, each once, although studies that share a run each have its record."""
    found = [record for store in find_recorded_studies(checkout).values() for record in store]
    return list({record.id: record for record in found}.values())


def find_recorded_studies(checkout: Checkout) -> dict[str, Store]:
    """Return the studies with records under `results/`: name -> store of its records."""
    folders = sorted(checkout.results.glob(f"*/{RECORDS}"))
    return {folder.parent.name: Store(folder) for folder in folders}


def describe_extent(records: Sequence[Record]) -> str:
    """State the number of records and of their studies."""
    studies = {record.provenance.study for record in records}
    return f"There are {len(records):,} records, made for {len(studies)} studies: {', '.join(sorted(studies))}."


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))


def _joined(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({value or "unknown" for value in values}))


def _commit(record: Record) -> str:
    commit = (record.provenance.git_commit or "unknown")[:8]
    return f"{commit} (changed)" if record.provenance.git_dirty else commit


def tabulate_devices(records: Sequence[Record]) -> "pd.DataFrame":
    """Return one row per study, device and precision: runs, hours, first and last start, commits."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        origin = record.provenance
        groups.setdefault((origin.study, origin.device, origin.precision), []).append(record)
    rows = [
        {
            "study": study,
            "device": device,
            "precision": precision,
            "runs": len(members),
            "hours": sum(record.provenance.seconds for record in members) / 3600,
            "first start (UTC)": min(record.provenance.started for record in members)[:16],
            "last start (UTC)": max(record.provenance.started for record in members)[:16],
            "commits": _joined(_commit(record) for record in members),
        }
        for (study, device, precision), members in sorted(groups.items())
    ]
    columns = ["study", "device", "precision", "runs", "hours", "first start (UTC)", "last start (UTC)", "commits"]
    return _table(rows, columns)


def tabulate_inputs(records: Sequence[Record]) -> "pd.DataFrame":
    """Return one row per suite and encoder of the runs, with its fingerprint.

    Of an encoder that starts from random weights it is the tokenizer that they stand on.
    """
    counts: dict[tuple[str, str, str], int] = {}
    for record in records:
        suite, encoder = record.run.settings.suite, record.run.settings.encoder
        kind = "tokenizer" if encoder.scratch else "encoder"
        for row in (("suite", suite, record.run.data), (kind, encoder.name, encoder.fingerprint)):
            counts[row] = counts.get(row, 0) + 1
    rows = [
        {"input": kind, "name": name, "fingerprint": fingerprint, "runs": count}
        for (kind, name, fingerprint), count in sorted(counts.items())
    ]
    return _table(rows, ["input", "name", "fingerprint", "runs"])


def tabulate_packages(records: Sequence[Record]) -> "pd.DataFrame":
    """Return one row per recorded package, with a column for its versions in each study."""
    studies = sorted({record.provenance.study for record in records})
    names = sorted({name for record in records for name in record.provenance.packages}, key=str.lower)
    rows = [
        {
            "package": name,
            **{
                study: _joined(
                    record.provenance.packages.get(name) for record in records if record.provenance.study == study
                )
                for study in studies
            },
        }
        for name in names
    ]
    return _table(rows, ["package", *studies])


def tabulate_environment() -> "pd.DataFrame":
    """Return the versions of Python and of the packages that make the book's tables, figures and pages."""
    rows = [{"package": "Python", "version": platform.python_version()}]
    rows += [{"package": name, "version": version(name)} for name in BOOK_PACKAGES]
    return _table(rows, ["package", "version"])


def tabulate_records(records: Sequence[Record]) -> "pd.DataFrame":
    """Return one row per record: run, time, device, commit, and the SHA-256 of its predictions."""
    rows = [
        {
            "run": record.id,
            "study": record.provenance.study,
            "phase": record.run.phase,
            "condition": record.run.condition,
            "target": record.run.target,
            "seed": record.run.seed,
            "started (UTC)": record.provenance.started[:19],
            "seconds": record.provenance.seconds,
            "device": record.provenance.device,
            "precision": record.provenance.precision,
            "commit": _commit(record),
            "predictions SHA-256": record.predictions_sha256,
        }
        for record in records
    ]
    columns = [
        "run", "study", "phase", "condition", "target", "seed", "started (UTC)", "seconds", "device", "precision",
        "commit", "predictions SHA-256",
    ]  # fmt: skip
    return _table(rows, columns)


def show_records(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the columns of a table of records that fit on a page, with checksums cut to twelve digits."""
    narrow = table.drop(columns=["phase", "condition", "target", "seed", "device", "precision"])
    checksums = narrow["predictions SHA-256"]
    return narrow.assign(**{"predictions SHA-256": checksums.where(checksums.isna(), checksums.str[:12])})
