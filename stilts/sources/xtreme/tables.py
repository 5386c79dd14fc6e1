"""The constants and recipes of this folder that a suite's rows depend on, for its fingerprint.

Rows also depend on the data files, and on the code, which `source.VERSION` represents.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

# Modules that read folders, list published numbers, count, or assemble suites; they do not affect rows.
_NO_MAKERS = ("folder", "official", "shared", "source", "tables")
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def decisive_tables() -> dict[str, list[Any]]:
    """Return the constants of all modules that make rows: name -> its distinct values, as JSON types.

    Only the names and values of constants matter: moving them between modules, comments and other code have no effect.
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
    """Return a value as JSON types, such that equal values are serialised alike in every process.

    Mappings keep their order, which determines the order of rows. A function becomes its name, a dataclass of this
    folder its compared fields. Anything else becomes None: types, and the schemas that validate rows.
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
