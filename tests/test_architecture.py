"""The rooms of the integration: who may import whom, and how complex a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT, MTEC

PACKAGE = "custom_components.mtec"
MOST_BRANCHES = 10

PORTAL = sorted((MTEC / "portal").rglob("*.py"))
LOCAL = sorted((MTEC / "local").rglob("*.py"))
WITHOUT_HOME_ASSISTANT = [
    *PORTAL,
    *LOCAL,
    *(MTEC / name for name in ("models.py", "sources.py", "counter.py", "energies.py", "publishing/layouts.py")),
]
USERS_OF_HELPERS = [
    path for folder in ("tests", "scripts", "cli") for path in sorted((CHECKOUT / folder).rglob("*.py"))
]


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names of all modules that a file imports, of names imported from a package itself too."""
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level]] if node.level else []
            module = ".".join(filter(None, (*base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", WITHOUT_HOME_ASSISTANT, ids=lambda path: str(path.relative_to(MTEC)))
def test_sources_and_models_import_nothing_of_home_assistant(path: Path) -> None:
    assert [name for name in imports(path) if is_in(name, "homeassistant")] == []


@pytest.mark.parametrize("path", [*PORTAL, *LOCAL], ids=lambda path: str(path.relative_to(MTEC)))
def test_a_source_imports_only_itself_models_and_sources(path: Path) -> None:
    allowed = tuple(f"{PACKAGE}.{room}" for room in (path.parent.name, "models", "sources"))
    own = [name for name in imports(path) if is_in(name, PACKAGE)]
    assert [name for name in own if not any(is_in(name, room) for room in allowed)] == []


def test_nothing_is_imported_from_a_test_module() -> None:
    """What several tests or scripts need is in a module whose name says what it is."""
    importing = {
        str(path.relative_to(CHECKOUT)): [name for name in imports(path) if name.startswith("tests.test_")]
        for folder in ("tests", "scripts", "cli")
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
    }
    assert len(importing) > 50
    assert {path: names for path, names in importing.items() if names} == {}


def test_no_function_is_too_complex() -> None:
    """Assertions of tests are no branches: which of them fails is said, and no reader has to follow them."""
    complexity = pytest.importorskip("radon.complexity")
    found = {
        f"{path.relative_to(CHECKOUT)}: {block.fullname}": block.complexity
        for folder in ("custom_components", "cli", "scripts", "tests")
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for block in complexity.cc_visit(path.read_text(encoding="utf-8"), no_assert=folder == "tests")
        if block.letter != "C"
    }
    assert len(found) > 1000
    assert {name: branches for name, branches in found.items() if branches > MOST_BRANCHES} == {}
