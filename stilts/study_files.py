"""Reading study files: YAML, checked against the settings; one may extend others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from stilts.errors import StiltsError, UnknownName
from stilts.study import Condition, Study, reasons

EXTENDS = "extends"


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
    content = _read_extended(path, known, ())
    try:
        return Study.model_validate(content)
    except UnknownName as error:
        raise UnknownName(f"{error.kind} of {path}", error.name, error.known) from None
    except ValidationError as error:
        _reject_unknown_keys(path, error)
        raise StiltsError(f"{path}: {reasons(error)}") from None


def _read_extended(path: Path, known: Mapping[str, Path], opened: tuple[Path, ...]) -> dict[str, Any]:
    """Return a file's settings joined with those that it extends; `opened` are the files on the way to it."""
    if path in opened:
        raise StiltsError(f"{opened[0]}: it extends itself, by way of {', '.join(each.stem for each in opened[1:])}")
    own = _read_mapping(path)
    names = own.pop(EXTENDS, [])
    content: dict[str, Any] = {}
    if not names:
        return own
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise UnknownName(f"study that {path} extends", str(name), known)
        content = _joined(content, _read_extended(known[name], known, (*opened, path)))
    return _joined(content, own)


def _joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(base)
    for key, value in own.items():
        if isinstance(value, dict):
            before = base.get(key)
            value = _joined(before if isinstance(before, dict) else {}, value)
        joined[key] = value
    return {key: value for key, value in joined.items() if value is not None}


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StiltsError(f"cannot read study file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StiltsError(f"study file {path} is not UTF-8: {error.reason} at byte {error.start}") from None
    except yaml.YAMLError as error:
        raise StiltsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise StiltsError(f"{path}: a study file is a mapping of settings, this one holds a {type(content).__name__}")
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
