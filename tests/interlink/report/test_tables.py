"""`interlink stages`: every key that a recipe may hold is printed, to people and to programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from rich.console import Console
from typer.testing import CliRunner

from interlink.cli import app
from interlink.recipe import Recipe
from interlink.report.tables import stages_tables
from interlink.stages import STAGES


def keys(block: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted keys of a recipe: of blocks what is in them, of free mappings the key itself."""
    for key, value in block:
        if isinstance(value, BaseModel):
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.fixture(scope="module")
def every_key() -> set[str]:
    recipe = Recipe.load({"source": {"path": "clips"}, **{name: {} for name in STAGES}})
    found = set(keys(recipe.base))
    assert {"seed", "max_failed_share", "executor.memory_mb", "retry.max_attempts", "source.path"} <= found
    assert {"score.engine", "interleave.filter.similarity"} <= found
    return found


def test_programs_are_given_every_key(every_key: set[str]) -> None:
    told = json.loads(CliRunner().invoke(app, ["stages", "--json"]).stdout)
    options = [option["name"] for stage in told for option in stage["options"]]
    assert sorted(options) == sorted(every_key)
    assert all(option["about"] for stage in told for option in stage["options"])
    assert told[0]["name"] == "recipe"


def test_people_are_shown_every_key(every_key: set[str]) -> None:
    console = Console(file=io.StringIO(), width=400)
    for table in stages_tables():
        console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    shown = {line.split()[0] for line in printed.splitlines() if line.strip()}
    assert every_key <= shown
    assert "memory_mb" in CliRunner().invoke(app, ["stages"], env={"COLUMNS": "200"}).stdout
