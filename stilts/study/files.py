"""Reading study files: YAML, checked against the settings; one may extend others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from stilts.study.errors import StiltsError, UnknownName, reasons, shortened
from stilts.study.settings import Condition, Study
from stilts.study.yaml_files import read_yaml

EXTENDS = "extends"
MOST_EXTENDED = 32  # studies, one by way of the other


def read_study(path: Path, known: Mapping[str, Path] = {}) -> Study:  # noqa: B006 - it is not changed
    """Read and check a study file.

    The key `extends` names another study, or several, whose settings hold where the file has none of its own: mappings
    are joined key by key, of several studies the later one holds, and a key that is empty (null) takes away what it
    would have taken over. Everything else, lists among it, stands as the file has it.

    Parameters
    ----------
    known : mapping of str to Path
        Studies that may be extended, by name.

    Raises
    ------
    UnknownName
        If it extends a study that is not known, or has a key that no setting has.
    StiltsError
        If the file is missing, is not YAML, extends itself, or has a field with a wrong type or value.
    """
    content = _read_extended(path, known, (), {})
    try:
        return Study.model_validate(content)
    except UnknownName as error:
        raise UnknownName(f"{error.kind} of {path}", error.name, error.known) from None
    except ValidationError as error:
        _reject_unknown_keys(path, error)
        raise StiltsError(f"{path}: {reasons(error)}") from None


def _read_extended(
    path: Path, known: Mapping[str, Path], opened: tuple[Path, ...], read: dict[Path, dict[str, Any]]
) -> dict[str, Any]:
    """Return a file's settings joined with those that it extends.

    Parameters
    ----------
    opened : tuple of Path
        The files on the way to it.
    read : dict
        Files that have been read -> their settings: several may extend the same one.
    """
    if path in opened:
        raise StiltsError(f"{opened[0]}: it extends itself, by way of {', '.join(each.stem for each in opened[1:])}")
    if len(opened) > MOST_EXTENDED:
        raise StiltsError(f"{opened[0]}: it extends more than {MOST_EXTENDED} studies, one by way of the other")
    if path not in read:
        own = _read_mapping(path)
        names = _extended(path, own.pop(EXTENDS, None))
        content: dict[str, Any] = {}
        for name in names:
            if name not in known:
                raise UnknownName(f"study that {path} extends", name, known)
            content = _joined(content, _read_extended(known[name], known, (*opened, path), read))
        read[path] = _joined(content, own) if names else own
    return read[path]


def _extended(path: Path, given: Any) -> list[str]:
    """Return the names that `extends` holds: one, several, or none where it is empty."""
    names = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise StiltsError(
            f"{path}: extends: it names a study or a list of studies, as in `extends: pocket` (got {shortened(given)})"
        )
    return names


def _joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(base)
    for key, value in own.items():
        if isinstance(value, dict):
            before = base.get(key)
            value = _joined(before if isinstance(before, dict) else {}, value)
        joined[key] = value
    return {key: value for key, value in joined.items() if value is not None}


def _read_mapping(path: Path) -> dict[str, Any]:
    content = read_yaml(path, "study file")
    if not isinstance(content, dict):
        holds = "nothing" if content is None else f"a {type(content).__name__}"
        raise StiltsError(f"{path}: a study file is a mapping of settings, this one holds {holds}")
    return content


def _reject_unknown_keys(path: Path, error: ValidationError) -> None:
    """Raise with the nearest known field if a key of the file is not one."""
    for item in error.errors():
        if item["type"] == "extra_forbidden":
            *parents, key = item["loc"]
            where = ".".join(map(str, parents)) or "top level"
            raise UnknownName(f"setting ({path}, {where})", str(key), _fields_at(parents))


def _fields_at(location: Sequence[str | int]) -> list[str]:
    """Return the fields of the block that holds a location; an entry of `intermediates` is a condition."""
    if location and location[0] == "intermediates":
        return list(Condition.model_fields)
    model: type[BaseModel] = Study
    for part in location:  # a block's own name, or in a mapping of blocks one that the file has chosen
        if part in model.model_fields:
            model = _block(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _block(annotation: Any) -> type[BaseModel] | None:
    """Return the settings that a field's type speaks of: a block, one that may be missing, or a mapping of them."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
