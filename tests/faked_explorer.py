"""Two faked studies for the explorer, with several seeds, with items that languages share, and a target not learned."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import yaml
from faked_study import write

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.opened import Analysis
from stilts.study.files import read_study
from stilts.study.records import Record, Store
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout

LANGUAGES = ("ar", "de", "en", "eu", "fi", "hi", "sw", "tr")
EXAMPLES, RESAMPLES = 20, 300
NOT_LEARNED = "command-para"
STUDIES = {
    "seeds": {
        "title": "Three seeds",
        "seeds": [1, 2, 3],
        "intermediates": ["none", "nli", "multi"],
        "targets": ["intent", "command-qa", NOT_LEARNED, "ui-retrieval", "ui-mining"],
    },
    "shared": {
        "title": "Shared items",
        "data": {"suite": "xtreme", "folder": "nowhere"},
        "seeds": [1],
        "intermediates": ["none", "mnli", "squad"],
        "targets": ["xnli", "tydiqa", "tatoeba"],
    },
}


def open_faked_studies(root: Path) -> list[Analysis]:
    """Write the studies and their records into an empty folder, and open them as analyses."""
    return [_open(root, name, settings) for name, settings in STUDIES.items()]


def _open(root: Path, name: str, settings: dict) -> Analysis:
    path, records = root / "studies" / f"{name}.yml", root / "results" / name / "records"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"name": name, "encoder": {"name": "multilingual-e5-small"}, **settings}))
    study = read_study(path)
    write(Store(records), study, LANGUAGES, EXAMPLES)
    known = [_fail(record) for record in Store(records)]
    return Analysis(Checkout(root), study, tuple(sorted(known, key=_order(study))), False, RESAMPLES, 0)


def _order(study: Study) -> Callable[[Record], tuple[int, str]]:
    conditions = list(study.intermediates)
    return lambda record: (conditions.index(record.run.condition), record.id)


def _fail(record: Record) -> Record:
    """Put the dev score of one target at chance."""
    if record.run.phase != "target" or record.run.target != NOT_LEARNED:
        return record
    return record.model_copy(update={"metrics": {"en": {"score": 50.0, "n": 200.0, "majority": 50.0}}})


def keep_languages(part: Replicates, languages: Collection[str]) -> Replicates:
    """Return the replicates as if only these languages had been tested."""
    places = [place for place, code in enumerate(part.languages) if code in languages]
    return replace(
        part,
        languages=tuple(part.languages[place] for place in places),
        scores=part.scores[places],
        items=part.items[:, places],
        run_scores=part.run_scores[places],
        times_drawn=part.times_drawn[:, places],
    )
