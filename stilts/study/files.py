"""Read study files: YAML that is validated against the settings and may extend other studies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from stilts.study.errors import StiltsError, UnknownName, describe_reasons, shorten_value
from stilts.study.settings import Condition, Study
from stilts.study.yaml_files import read_yaml

EXTENDS = "extends"
MOST_EXTENDED = 32  # studies in a chain of `extends`


def read_study(path: Path, known: Mapping[str, Path] = {}) -> Study:  # noqa: B006 - it is not changed
    """Read and check a study file.

    The key `extends` names one or more studies whose settings this file inherits. Mappings are merged key by key; all
    other values, including lists, are replaced. Later studies in `extends` override earlier ones. A key set to null
    removes the inherited setting.

    Parameters
    ----------
    known : mapping of str to Path
        Files of the studies that may be extended, by name.

    Raises
    ------
    UnknownName
        If it extends an unknown study or has an unknown key.
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
        raise StiltsError(f"{path}: {describe_reasons(error)}") from None


def _read_extended(
    path: Path, known: Mapping[str, Path], opened: tuple[Path, ...], read: dict[Path, dict[str, Any]]
) -> dict[str, Any]:
    """Return a file's settings merged with those that it extends.

    Parameters
    ----------
    opened : tuple of Path
        The chain of files that led to this one.
    read : dict
        Cache: file -> its merged settings.
    """
    if path in opened:
        raise StiltsError(f"{opened[0]}: it extends itself through {', '.join(each.stem for each in opened[1:])}")
    if len(opened) > MOST_EXTENDED:
        raise StiltsError(f"{opened[0]}: it extends a chain of more than {MOST_EXTENDED} studies")
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
    """Return the study names in the value of `extends`, which may be missing, a string or a list."""
    names = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise StiltsError(
            f"{path}: extends: must be a study or a list of studies, as in `extends: pocket` "
            f"(got {shorten_value(given)})"
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
        raise StiltsError(f"{path}: a study file must be a mapping of settings, but this one holds {holds}")
    return content


def _reject_unknown_keys(path: Path, error: ValidationError) -> None:
    """Raise UnknownName if validation failed because of an unknown key."""
    for item in error.errors():
        if item["type"] == "extra_forbidden":
            *parents, key = item["loc"]
            where = ".".join(map(str, parents)) or "top level"
            raise UnknownName(f"setting ({path}, {where})", str(key), _fields_at(parents))


def _fields_at(location: Sequence[str | int]) -> list[str]:
    """Return the names of the fields that are valid at a location."""
    if location and location[0] == "intermediates":
        return list(Condition.model_fields)
    model: type[BaseModel] = Study
    for part in location:  # the name of a field, or in a mapping of blocks a key that the file chose
        if part in model.model_fields:
            model = _block(model.model_fields[str(part)].annotation) or model
    return list(model.model_fields)


def _block(annotation: Any) -> type[BaseModel] | None:
    """Return the settings class in a field's type, which may be optional or a mapping of blocks."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
