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
_VERB = re.compile("^(read|list)_")
_CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def list_decisive_tables() -> dict[str, list[Any]]:
    """Return the constants of all modules that make rows: name -> its distinct values, as JSON types.

    Only the names and values of constants matter: moving them between modules, comments and other code have no effect.
    """
    found: dict[str, list[Any]] = {}
    for module in _makers():
        for name, value in vars(module).items():
            if _CONSTANT.fullmatch(name) and name != "TYPE_CHECKING" and (plain := make_plain(value)) is not None:
                values = found.setdefault(name, [])
                if plain not in values:
                    values.append(plain)
    return {name: sorted(found[name], key=repr) for name in sorted(found)}


def _makers() -> list[ModuleType]:
    names = [each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return [importlib.import_module(f"{__package__}.{name}") for name in names if name not in _NO_MAKERS]


def make_plain(value: Any) -> Any:
    """Return a value as JSON types, such that equal values are serialised alike in every process.

    Mappings keep their order, which determines the order of rows. A function becomes its name without the verb, which
    says nothing of rows (`read_xnli`: "xnli"), a dataclass of this folder its compared fields. Anything else becomes
    None: types, and the schemas that validate rows.
    """
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if isinstance(value, Mapping):
        return [[make_plain(key), make_plain(each)] for key, each in value.items()]
    if isinstance(value, Set):
        return sorted(map(make_plain, value), key=repr)
    if isinstance(value, Sequence):
        return [make_plain(each) for each in value]
    if is_dataclass(value) and type(value).__module__.startswith(f"{__package__}."):
        return [[each.name, make_plain(getattr(value, each.name))] for each in fields(value) if each.compare]
    if not callable(value) or isinstance(value, type) or not hasattr(value, "__qualname__"):
        return None
    return _VERB.sub("", value.__qualname__)
