"""The reference pages: as the code is, and every key, command, column and metric has a meaning."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel, Field

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_that_the_code_gives(generator: ModuleType) -> None:
    stale = [name for name, make in generator.PAGES.items() if (DOCS / f"reference/{name}.md").read_text() != make()]
    assert not stale, f"run: python docs/generate.py (differ: {', '.join(stale)})"


def test_every_key_of_both_recipes_is_in_the_pages(generator: ModuleType) -> None:
    from cosmos_train.recipe import describe
    from interlink.report.tables import stage_descriptions

    ours, theirs = generator.recipe_keys(), generator.training_keys()
    missing = [o["name"] for stage in stage_descriptions() for o in stage["options"] if f"| `{o['name']}`" not in ours]
    missing += [name for name, _, _ in describe() if f"| `{name}`" not in theirs]
    assert not missing


class Block(BaseModel):
    """What the block is."""

    known: int = Field(2, ge=1, description="how many")


class Silent(BaseModel):
    nameless: int = 2


class Holder(BaseModel):
    block: Block = Block()
    many: list[Block] = Field([], description="more of them")


def test_a_key_without_a_meaning_is_an_error(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"a\.nameless has no description"):
        list(generator.keys(Silent, "a."))


def test_blocks_and_lists_of_blocks_are_opened(generator: ModuleType) -> None:
    assert list(generator.keys(Holder)) == [
        ("`block`", "block", "", "What the block is."),
        ("`block.known`", "whole number ≥ 1", "`2`", "how many"),
        ("`many`", "list of block", "`[]`", "more of them"),
        ("`many[].known`", "whole number ≥ 1", "`2`", "how many"),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda schemas: schemas | {"align": schemas["align"].append(pa.field("colour", pa.string()))},
            "align: colour",
        ),
        (lambda schemas: schemas | {"align": schemas["align"].remove(6)}, "align has no column lead"),
    ],
)
def test_a_column_without_a_meaning_and_a_meaning_without_a_column_are_errors(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch, change: Any, says: str
) -> None:
    import interlink.tables

    monkeypatch.setattr(interlink.tables, "SCHEMAS", change(interlink.tables.SCHEMAS))
    with pytest.raises(ValueError, match=says):
        generator.tables()
