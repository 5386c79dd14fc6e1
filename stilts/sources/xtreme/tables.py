"""What decides a suite's rows besides files and code: this room's tables and recipes, by their values.

The rows that the same files give change with the code too, which is what `suite.VERSION` is for.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

# How a folder is read, what was published, what is counted and put together: none of them makes rows.
_NO_MAKERS = ("folder", "official", "shared", "source", "tables")
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def decisive_tables() -> dict[str, list[Any]]:
    """Return the constants of all modules that make rows: name -> its values, plain, each once.

    A constant counts by its name and its values, not by the module that it stands in: moving it changes nothing, and
    neither do comments, layout, or the code around it.
    """
    found: dict[str, list[Any]] = {}
    for module in _makers():
        for name, value in vars(module).items():
            if _CONSTANT.fullmatch(name) and name != "TYPE_CHECKING" and (plain := as_plain(value)) is not None:
                values = found.setdefault(name, [])
                if plain not in values:
                    values.append(plain)
    return {name: sorted(found[name], key=repr) for name in sorted(found)}


def _makers() -> list[ModuleType]:
    names = [each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [importlib.import_module(f"{__package__}.{name}") for name in names if name not in _NO_MAKERS]


def as_plain(value: Any) -> Any:
    """Return a value as JSON can write it, so that equal values are written alike in every process.

    Mappings keep their order, which decides the order of rows. Of a function its name stands, of a recipe and the like
    what is compared of it. None stands for all else: types, and the schemas by which rows are checked.
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if isinstance(value, Mapping):
        return [[as_plain(key), as_plain(each)] for key, each in value.items()]
    if isinstance(value, Set):
        return sorted(map(as_plain, value), key=repr)
    if isinstance(value, Sequence):
        return [as_plain(each) for each in value]
    if is_dataclass(value) and type(value).__module__.startswith(f"{__package__}."):
        return [[each.name, as_plain(getattr(value, each.name))] for each in fields(value) if each.compare]
    return getattr(value, "__qualname__", None) if callable(value) and not isinstance(value, type) else None
