"""Packs: what the runs of a study read, or the records that they have left, in few files for another machine.

A pack is a folder of compressed archives with ``pack.json``, which holds their SHA-256 and says where their content
belongs. Nothing else needs to reach a machine with a checkout and its environment: neither the files that data and
encoder were made from, nor a network.
"""

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.models import manifest
from stilts.models.encoders import ENCODERS
from stilts.sources import suite
from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.records import RECORDS, Store
from stilts.study.storage import hash_file, make_folder, new_folder, replace_file, require_new
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import build_suite, map_encoders, prepare_encoder

MANIFEST = "pack.json"
MOST_BYTES = 16 * 2**20
"""Maximum number of bytes of records in an archive, before compression."""

Report = Callable[[str], None]


class Archive(BaseModel):
    """One archive of a pack.

    Attributes
    ----------
    name, sha256 : str
        Of its file.
    folder : str
        Where its content belongs, relative to the folder of a machine's runs.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z]+-[0-9]+\.tar\.gz$")]
    sha256: str
    folder: Annotated[str, Field(pattern=rf"^({RECORDS}|(data|encoders)/[A-Za-z0-9][\w.-]*)$")]


class Pack(BaseModel):
    """The content of ``pack.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1] = 1
    study: str
    archives: list[Archive]


def pack_inputs(plan: Plan, folder: Path) -> None:
    """Write the suite and the encoders of a plan to a new folder.

    The suite is whole, also where the study reads a part of its tasks: vocabularies are trimmed to all its texts, and
    the loss of masked words depends on them. Encoders that come with the environment are left out: the other machine
    makes them from the same texts.

    Raises
    ------
    StiltsError
        If the folder exists or cannot be written, or the suite or an encoder cannot be made.
    """
    require_new(folder)
    with plan.checkout.lock("prepare"):
        build_suite(plan)
        packed = {place: encoder for place, encoder in map_encoders(plan).items() if encoder.name not in ENCODERS}
        for place, encoder in packed.items():
            prepare_encoder(plan, encoder, place)
    folders = {f"encoder-{number}": place for number, place in enumerate(packed, start=1)}
    with _write_pack(folder, plan.study.name) as part:
        for name, content in {"suite-1": plan.suite_folder, **folders}.items():
            part.add(name, _relative(plan, content), content)


def pack_records(plan: Plan, folder: Path) -> int:
    """Write the records that this machine has of a plan's runs to a new folder, and return their number.

    Raises
    ------
    StiltsError
        If there are none, or the folder exists or cannot be written.
    """
    require_new(folder)
    store = Store(plan.checkout.records)
    records = [record for run in plan.runs if (record := store.find(run.id))]
    if not records and (committed := plan.recorded()):
        raise StiltsError(
            f"{len(committed)} of {len(plan.runs)} runs of study '{plan.study.name}' are recorded in "
            f"{plan.checkout.results}, which every checkout has; only records in {store.root} are packed"
        )
    if not records:
        raise StiltsError(f"study '{plan.study.name}' has no records in {store.root}; run it first")
    # Predictions come before their record, so that a record never stands without them where they are unpacked.
    files = [
        store.root / f"{record.id}{suffix}"
        for record in records
        for suffix in ([".parquet"] if record.predictions_sha256 else []) + [".json"]
    ]
    with _write_pack(folder, plan.study.name) as part:
        for number, group in enumerate(_group_by_size(files), start=1):
            part.add(f"records-{number}", RECORDS, store.root, group)
    return len(records)


def unpack(folder: Path, checkout: Checkout, *, report: Report) -> None:
    """Lay the content of a pack into the folder of a checkout's runs; what it holds already is left as it is.

    Parameters
    ----------
    report : callable
        Called with a line for each archive.

    Raises
    ------
    StiltsError
        If the folder is not a pack, an archive is missing or damaged, a suite or an encoder of the same name has other
        content, or the content cannot be written.
    """
    pack = _read_pack(folder)
    for archive in pack.archives:
        place = checkout.runs / archive.folder
        try:
            with tarfile.open(folder / archive.name, "r:gz") as content:
                if archive.folder == RECORDS:
                    report(f"{_unpack_records(content, place)} new files of records: {place}")
                elif place.exists():
                    _refuse_other(content, place)
                    report(f"left as it is: {place}")
                else:
                    with make_folder(place) as part:
                        content.extractall(part, filter="data")
                    report(f"unpacked: {place}")
        except (OSError, tarfile.TarError, zlib.error) as error:
            raise StiltsError(f"{folder / archive.name} cannot be unpacked to {place}: {error}") from error


def _relative(plan: Plan, folder: Path) -> str:
    return folder.relative_to(plan.checkout.runs).as_posix()


class _Writer:
    """Writes the archives of a pack, and keeps what ``pack.json`` says of them."""

    def __init__(self, folder: Path):
        self.folder, self.archives = folder, list[Archive]()

    def add(self, name: str, place: str, content: Path, files: Iterable[Path] | None = None) -> None:
        """Write an archive of a folder's files, by default all of them."""
        path = self.folder / f"{name}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for file in sorted(content.rglob("*")) if files is None else files:
                archive.add(file, file.relative_to(content), recursive=False)
        self.archives.append(Archive(name=path.name, sha256=hash_file(path), folder=place))


@contextmanager
def _write_pack(folder: Path, study: str) -> Iterator[_Writer]:
    with new_folder(folder, "pack", tarfile.TarError, zlib.error) as part:
        writer = _Writer(part)
        yield writer
        pack = Pack(study=study, archives=writer.archives)
        (part / MANIFEST).write_text(pack.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _read_pack(folder: Path) -> Pack:
    """Return the content of a pack's manifest after verifying the checksums of its archives."""
    try:
        pack = Pack.model_validate_json((folder / MANIFEST).read_bytes())
        damaged = [each.name for each in pack.archives if hash_file(folder / each.name) != each.sha256]
    except ValidationError as error:
        raise StiltsError(f"{folder / MANIFEST}: not the manifest of a pack ({describe_reasons(error)})") from None
    except OSError as error:
        raise StiltsError(f"{folder}: not a complete pack ({error}); copy it again") from None
    if damaged:
        raise StiltsError(f"{folder}: {', '.join(damaged)} does not match its SHA-256; copy the pack again")
    return pack


def _group_by_size(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield consecutive files in groups of at most `MOST_BYTES`, or of one file."""
    group, size = list[Path](), 0
    for file in files:
        more = file.stat().st_size
        if group and size + more > MOST_BYTES:
            yield group
            group, size = [], 0
        group.append(file)
        size += more
    yield group


def _refuse_other(content: tarfile.TarFile, folder: Path) -> None:
    """Raise StiltsError if a folder's manifest differs from that in an archive."""
    name = next(name for name in (suite.MANIFEST, manifest.MANIFEST) if name in content.getnames())
    held, packed = folder / name, content.extractfile(name)
    if packed is None or not held.is_file() or held.read_bytes() != packed.read():
        raise StiltsError(
            f"{folder} is there with other content; remove it, or set STILTS_RUNS to another folder"
        )


def _unpack_records(content: tarfile.TarFile, folder: Path) -> int:
    """Write the files of an archive that a folder of records lacks, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for member in content:
        path = folder / PurePath(member.name).name
        data = content.extractfile(member)
        if data is None or path.exists():
            continue
        replace_file(path, lambda part, data=data: part.write_bytes(data.read()))
        written += 1
    return written
