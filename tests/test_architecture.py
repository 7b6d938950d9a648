"""The rooms of the integration: who may import whom, and how complex a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "custom_components" / "mtec"
PACKAGE = "custom_components.mtec"
MOST_BRANCHES = 10

PORTAL = sorted((ROOT / "portal").rglob("*.py"))
LOCAL = sorted((ROOT / "local").rglob("*.py"))
WITHOUT_HOME_ASSISTANT = [
    *PORTAL,
    *LOCAL,
    *(ROOT / name for name in ("models.py", "sources.py", "counter.py", "energies.py")),
]


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names of all modules that a file imports, of names imported from the package itself too."""
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*parts[: len(parts) - node.level]] if node.level else []
            module = ".".join(filter(None, (*base, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", WITHOUT_HOME_ASSISTANT, ids=lambda path: str(path.relative_to(ROOT)))
def test_sources_and_models_import_nothing_of_home_assistant(path: Path) -> None:
    assert [name for name in imports(path) if is_in(name, "homeassistant")] == []


@pytest.mark.parametrize("path", [*PORTAL, *LOCAL], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_imports_only_itself_models_and_sources(path: Path) -> None:
    allowed = tuple(f"{PACKAGE}.{room}" for room in (path.parent.name, "models", "sources"))
    own = [name for name in imports(path) if is_in(name, PACKAGE)]
    assert [name for name in own if not any(is_in(name, room) for room in allowed)] == []


def test_no_function_is_too_complex() -> None:
    complexity = pytest.importorskip("radon.complexity")
    found = {
        f"{path.relative_to(ROOT)}: {block.fullname}": block.complexity
        for path in sorted(ROOT.rglob("*.py"))
        for block in complexity.cc_visit(path.read_text(encoding="utf-8"))
        if block.letter != "C"
    }
    assert len(found) > 100
    assert {name: branches for name, branches in found.items() if branches > MOST_BRANCHES} == {}
