"""Files of the site with stable addresses: data of figures and tables, study files, and the notebooks of executed runs.

Pages have other names than these files: Sphinx gives a download the hash of its content, so that its address changes
with it.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stilts.study.runs import Job
from stilts.study.storage import replace_file

DATA, STUDIES, NOTEBOOKS = "data", "studies", "notebooks"
BOOK_FOLDER = "runs/book"
RUNS_FOLDER = f"{BOOK_FOLDER}/runs"


def name_run_notebooks(jobs: Sequence[Job]) -> dict[str, Job]:
    """Return the name of each job's notebook, in the order of the plan: `<phase>-<condition>-<n>.ipynb` -> job.

    Unlike the job's id, the name does not depend on settings, so that an address outlives a changed setting.
    """
    seen: Counter[str] = Counter()
    names = {}
    for job in jobs:
        slug = f"{job.phase}-{job.condition}"
        seen[slug] += 1
        names[f"{slug}-{seen[slug]}.ipynb"] = job
    return names


def list_downloads(root: Path) -> dict[str, Path]:
    """Return the address of each file, relative to the site, and the file in a checkout."""
    sources = {
        DATA: (root / BOOK_FOLDER).glob("*.csv"),
        STUDIES: (root / "studies").glob("*.yml"),
        NOTEBOOKS: (root / RUNS_FOLDER).glob("*.ipynb"),
    }
    return {f"{folder}/{file.name}": file for folder, files in sources.items() for file in sorted(files)}


def copy_downloads(root: Path, html: Path) -> None:
    """Copy the files of `list_downloads` to a built site, and remove those that are no longer among them."""
    wanted = {html / address: file for address, file in list_downloads(root).items()}
    for folder in (DATA, STUDIES, NOTEBOOKS):
        (html / folder).mkdir(parents=True, exist_ok=True)
        for stale in set((html / folder).iterdir()) - set(wanted):
            stale.unlink()
    for place, file in wanted.items():
        replace_file(place, partial(shutil.copyfile, file))
