"""Who may import whom: downwards only, and never in a circle, imports for types included."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ["segment", "interleave", "score", "narrate", "select", "engines", "media", "fetch", "subtitles"]
PARTS += ["annotations", "sample", "text", "prompts"]
LAYERS: list[list[str]] = [
    ["__main__", "cli"],
    ["doctor"],
    ["api"],
    ["runtime", "report", "release"],
    ["recipe"],
    ["stages"],
    PARTS,
    ["shards"],
    ["stage", "tables", "storage", "errors", "ids", "plugins"],
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


@cache
def imports() -> dict[str, set[str]]:
    """module -> modules of the two packages that it imports, anywhere in it."""
    paths = {}
    for path in ROOT.glob("interlink/**/*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        paths[name.removesuffix(".__init__")] = path
    found: dict[str, set[str]] = {}
    for module, path in paths.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in paths else node.module for name in whole]
            found[module] |= {n for n in names if n.split(".")[0] in ("interlink", "cosmos_train")} - {module}
    return found


def test_imports_go_downwards_and_never_in_a_circle() -> None:
    found = imports()
    assert len(found) > 150
    upwards = [
        f"{module} imports {other}"
        for module, others in found.items()
        for other in others
        if "." in module and "." in other and other.startswith("interlink.")
        if LAYER[module.split(".")[1]] > LAYER[other.split(".")[1]]
    ]
    assert upwards == []
    graph = {
        module: {other for other in others if other in found} for module, others in found.items()
        if not module.startswith("interlink.release")
    }  # fmt: skip
    TopologicalSorter(graph).prepare()  # raises where there is a circle


def test_only_one_module_knows_the_trainer() -> None:
    users = [module for module, others in imports().items() if any(o.startswith("cosmos_train") for o in others)]
    assert users == ["interlink.engines.trainer"]
