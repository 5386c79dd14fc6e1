"""What lies under the folder of runs and no run of any study of the checkout needs any more.

A checkpoint or a saved state is needed while a run that starts from it has no record, and a checkpoint also where the
study's schedule keeps it. A suite or an encoder is needed by every study that is planned with it, since pages and
exports read it. Inputs are needed as long as their encoder, unless other code or another tokenizer made them. Where a
study cannot be planned here, all that bears a name of its runs counts as needed. Records are never among what is found.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stilts.study.errors import StiltsError
from stilts.study.leftovers import find_leftovers, is_part, remove
from stilts.study.records import RECORDS
from stilts.study.settings import Study
from stilts.study.storage import stands
from stilts.tasks.formats.kept_inputs import hash_encoding
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan, keep_with_ancestors
from stilts.workspace.resolution import open_plan
from stilts.workspace.studies import find_slug, list_planned

log = logging.getLogger(__name__)

_SET_ASIDE = re.compile(r"\.(corrupt|broken|damaged)-\d+$")


@dataclass(frozen=True)
class Unneeded:
    """A file or folder that no run needs.

    Attributes
    ----------
    kind : str
        checkpoint, saved state, suite, encoder, inputs, set aside, or left over.
    path : Path
    size : int
        Bytes.
    """

    kind: str
    path: Path
    size: int


@dataclass
class Needs:
    """What the runs of a checkout's studies need.

    Attributes
    ----------
    started : set of str
        Ids of the runs without a record and of all that these start from.
    kept : set of str
        Ids of the runs whose checkpoints their study keeps.
    suites, encoders : set of Path
        Folders.
    slugs : set of str
        Readable parts of the ids of runs of studies that cannot be planned here.
    names : set of str
        Suites and encoders of these studies, as their folders' names begin.
    """

    started: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    suites: set[Path] = field(default_factory=set)
    encoders: set[Path] = field(default_factory=set)
    slugs: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def add_plan(self, plan: Plan) -> None:
        """Add what the runs of a plan need."""
        recorded = plan.recorded()
        todo = keep_with_ancestors(plan.runs, {run.id for run in plan.runs if run.id not in recorded})
        self.started |= {run.id for run in todo}
        self.kept |= {run.id for run in plan.runs if run.phase in plan.study.schedule.kept_phases}
        self.suites |= {plan.checkout.suite_folder(run) for run in plan.runs}
        self.encoders |= {plan.checkout.encoder_folder(run) for run in plan.runs}

    def add_unplanned(self, study: Study) -> None:
        """Add what the runs of a study that cannot be planned here may need."""
        self.slugs |= {run.slug for run in list_planned(study)}
        encoders = (study.encoder, *study.encoders.values())
        self.names |= {study.data.suite, *(encoder.name.rstrip("/").rsplit("/", 1)[-1] for encoder in encoders)}

    def needs_run(self, run_id: str) -> bool:
        """Return whether a run without a record starts from a run's checkpoint, or from its saved state."""
        return run_id in self.started or find_slug(run_id) in self.slugs

    def needs_folder(self, folder: Path) -> bool:
        """Return whether a study is planned with a suite or an encoder."""
        return folder in self.suites | self.encoders or folder.name.rpartition("-")[0] in self.names


def find_needs(checkout: Checkout) -> Needs:
    """Return what the runs of all studies of a checkout need. Raises StiltsError if a study's file cannot be read."""
    needs, unplanned = Needs(), []
    for name in checkout.studies():
        study = checkout.study(name)
        try:
            plan = open_plan(checkout, name)
        except StiltsError as error:
            needs.add_unplanned(study)
            unplanned.append(name)
            log.debug("study %s cannot be planned here: %s", name, error)
        else:
            needs.add_plan(plan)
    if unplanned:
        names = ", ".join(unplanned)
        log.info("what bears a name of the runs of these studies is kept, since they cannot be planned here: %s", names)
    return needs


def find_unneeded(checkout: Checkout) -> list[Unneeded]:
    """Return what lies under the folder of runs and no run of any study needs, largest first.

    Raises
    ------
    StiltsError
        If a study's file or a folder cannot be read.
    """
    needs = find_needs(checkout)
    found = [
        *_unneeded_runs(checkout, needs, "checkpoint", checkout.checkpoints.root),
        *_unneeded_runs(checkout, needs, "saved state", checkout.training_folder("any").parent),
        *(("suite", path) for path in _whole(checkout.suites) if not needs.needs_folder(path)),
        *(("encoder", path) for path in _whole(checkout.encoders) if not needs.needs_folder(path)),
        *(("inputs", path) for path in _unneeded_inputs(checkout, needs)),
        *(("set aside", path) for path in _entries(checkout.runs) if _SET_ASIDE.search(path.name)),
        *(("left over", path) for path in find_leftovers(_entries(checkout.runs))),
    ]
    sized = [Unneeded(kind, path, _measure(path)) for kind, path in found]
    return sorted(sized, key=lambda each: (-each.size, each.path))


def _unneeded_runs(checkout: Checkout, needs: Needs, kind: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in _whole(folder):
        kept = kind == "checkpoint" and path.name in needs.kept
        if not kept and not needs.needs_run(path.name) and not checkout.in_use(path.name):
            yield kind, path


def _unneeded_inputs(checkout: Checkout, needs: Needs) -> Iterator[Path]:
    for folder in _whole(checkout.inputs):
        encoder = checkout.encoders / folder.name
        if not needs.needs_folder(encoder) or not stands(encoder, "encoder"):
            yield folder
        else:
            yield from (path for path in _whole(folder) if path.name != hash_encoding(encoder))


def _whole(folder: Path) -> list[Path]:
    """Return what stands in a folder and is neither partial nor set aside."""
    paths = sorted(folder.iterdir()) if stands(folder, "folder") else []
    return [path for path in paths if not is_part(path) and not _SET_ASIDE.search(path.name)]


def _entries(runs: Path) -> Iterator[Path]:
    """Yield what lies in the folders of the folder of runs, and in theirs, but no record."""
    for pattern in ("*/*", "*/*/*"):
        yield from (path for path in sorted(runs.glob(pattern)) if path.relative_to(runs).parts[0] != RECORDS)


def _measure(path: Path) -> int:
    inner = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return sum(each.lstat().st_size for each in (path, *inner) if not each.is_dir())


def remove_unneeded(found: Iterable[Unneeded]) -> None:
    """Remove what `find_unneeded` has found. Raises StiltsError if something cannot be removed."""
    for each in found:
        try:
            remove(each.path)
        except OSError as error:
            raise StiltsError(f"cannot remove {each.path}: {error.strerror}; change its permissions") from error
