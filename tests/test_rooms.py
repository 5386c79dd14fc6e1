"""The house that DESIGN draws: ten rooms on eight floors, imports that run downward alone, no circle between files."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stilts"
FLOORS = {
    "study": 1, "tasks": 2, "sources": 3, "models": 4, "training": 5, "workspace": 5, "phases": 6, "analysis": 6,
    "publish": 7, "cli": 8,
}  # fmt: skip
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def room(module: str) -> str:
    return module.split(".")[1]


def imported(module: str) -> Iterator[str]:
    """Yield the modules of the package that one imports, anywhere in its code and for its annotations too."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "stilts":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)


ARROWS = {module: sorted(set(imported(module)) - {module}) for module in MODULES if module != "stilts"}


def test_there_are_ten_rooms_and_nothing_else_at_the_top():
    held = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert held == {*FLOORS, "__init__"}


def test_imports_run_downward():
    upward = [
        f"{module} -> {other}"
        for module, others in ARROWS.items()
        for other in others
        if other != "stilts" and room(other) != room(module) and FLOORS[room(other)] >= FLOORS[room(module)]
    ]
    assert upward == []


def circle(start: str) -> list[str]:
    """Return a way along imports from a module back to itself, [] if there is none."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for other in ARROWS.get(way[-1], ()):
            if other == start:
                return [*way, start]
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return []


@pytest.mark.parametrize("module", sorted(ARROWS))
def test_no_module_imports_itself_by_way_of_others(module):
    assert circle(module) == []
