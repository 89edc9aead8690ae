"""The layers of docs/explanation/architecture.md: nothing imports upwards, no files import each other in a circle.

Read from the syntax tree, so imports inside functions and those for types alone count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the top down. A name stands for a module or a folder of the package.
INTERLINK = (
    ("__main__",),
    ("cli",),
    ("cli_options", "cli_view"),
    ("doctor",),
    ("api",),
    ("runtime", "report", "release"),
    ("recipe",),
    ("stages",),
    ("segment", "interleave", "score", "narrate", "select", "engines", "media", "fetch", "subtitles", "annotations",
     "sample", "text", "prompts"),
    ("shards",),
    ("stage", "settings", "fingerprints", "tables", "storage", "errors", "ids", "plugins", "values", "encodings",
     "delimited", "alphabets", "processes", "redaction", "containers", "markdown",
     "surroundings"),
)  # fmt: skip
COSMOS_TRAIN = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("report",),
    ("experiments",),
    ("train", "evaluate"),
    ("families",),
    ("models", "losses", "stream"),
    ("recipe",),  # and every settings.py: the blocks of a recipe
    ("settings", "errors", "plugins"),
)

# The only doors between the two packages.
FROM_THE_TRAINER = (
    "interlink.shards",
    "interlink.storage",
    "interlink.errors",
    "interlink.values",
    "interlink.encodings",
    "interlink.containers",
    "interlink.markdown",
    "interlink.surroundings",
)
DOORS = {
    "cosmos_train.plugins": ("interlink.plugins",),
    "cosmos_train.evaluate.chat": ("interlink.engines.chat", "interlink.engines.settings"),
    "interlink.engines.trainer": ("cosmos_train",),
    "interlink.report.view.model": ("cosmos_train.stream.reading",),
}


@cache
def imports() -> Mapping[str, frozenset[str]]:
    """Module → the modules of both packages that it imports."""
    paths = {_name(path): path for package in ("interlink", "cosmos_train") for path in (ROOT / package).rglob("*.py")}
    return {name: frozenset(_imported(path, paths.keys())) - {name} for name, path in paths.items()}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, known: object) -> Iterator[str]:
    assert isinstance(known, type({}.keys()))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known:
                    yield whole
                elif node.module in known:
                    yield node.module


def _layer(module: str, layers: tuple[tuple[str, ...], ...]) -> int:
    """The larger, the lower."""
    _, *parts = module.split(".")
    if layers is COSMOS_TRAIN and len(parts) > 1 and parts[-1] == "settings":
        parts = ["recipe"]
    return next((number for number, names in enumerate(layers) if parts and parts[0] in names), len(layers))


@pytest.mark.parametrize(("package", "layers"), [("interlink", INTERLINK), ("cosmos_train", COSMOS_TRAIN)])
def test_nothing_imports_upwards(package: str, layers: tuple[tuple[str, ...], ...]) -> None:
    upwards = [
        f"{module} imports {other}"
        for module, others in sorted(imports().items())
        for other in sorted(others)
        if module.split(".")[0] == other.split(".")[0] == package and _layer(other, layers) < _layer(module, layers)
    ]
    assert upwards == []


@pytest.mark.parametrize(("package", "layers"), [("interlink", INTERLINK), ("cosmos_train", COSMOS_TRAIN)])
def test_every_folder_and_module_has_a_layer(package: str, layers: tuple[tuple[str, ...], ...]) -> None:
    known = {name for names in layers for name in names}
    there = {module.split(".")[1] for module in imports() if module.startswith(f"{package}.")}
    assert there - known == set()


def test_the_packages_meet_at_named_doors_only() -> None:
    strangers = []
    for module, others in sorted(imports().items()):
        package = module.split(".")[0]
        allowed = DOORS.get(module, ()) + (FROM_THE_TRAINER if package == "cosmos_train" else ())
        for other in sorted(others):
            inside = any(other == door or other.startswith(f"{door}.") for door in allowed)
            if other.split(".")[0] != package and not inside:
                strangers.append(f"{module} imports {other}")
    assert strangers == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert _circles(imports()) == []


def _circles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Groups of modules that reach each other: what is left after those that import nothing of the rest are taken away,
    from both ends."""
    left = {module: set(others) & graph.keys() for module, others in graph.items()}
    shrunk = True
    while shrunk:
        imported = {other for others in left.values() for other in others}
        gone = {module for module, others in left.items() if not others or module not in imported}
        left = {module: others - gone for module, others in left.items() if module not in gone}
        shrunk = bool(gone)
    return [sorted(left)] if left else []


def test_modules_and_functions_have_a_bound() -> None:
    """400 lines a module, 60 a function."""
    long = []
    for package in ("interlink", "cosmos_train"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            if (lines := text.count("\n")) > 400:
                long.append(f"{path.relative_to(ROOT)}: {lines} lines")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    assert node.end_lineno is not None
                    if (count := node.end_lineno - node.lineno + 1) > 60:
                        long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {count} lines")
    assert long == []
