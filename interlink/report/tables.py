"""What `interlink stages` tells: for each stage what it reads, what it writes, and its options."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from rich.table import Table

from interlink.recipe import BaseRecipe
from interlink.stage import Settings
from interlink.stages import STAGES, stage_class
from interlink.stages.collect import SourceSettings
from interlink.tables import COMMON, SCHEMAS


def stage_descriptions() -> list[dict[str, Any]]:
    """One entry a stage: name, about, reads, uses (reads if there), writes, options ({name, default, about})."""
    found = [_describe("collect", "Scan the source and append what is new.", (), SourceSettings, "source")]
    for name in STAGES:
        cls = stage_class(name)
        about = (cls.__doc__ or "").strip().split("\n")[0]
        settings = cls.settings_class()
        uses = cls.uses(settings)
        found.append(_describe(name, about, cls.needs(settings), cls.settings_class, name, uses))
    return found


def stages_tables() -> list[Table]:
    """The same for people: a table a stage."""
    tables = []
    for stage in stage_descriptions():
        reads, writes = ", ".join(stage["reads"]) or "the source list", ", ".join(stage["writes"])
        reads += f" (and {', '.join(stage['uses'])}, where the recipe makes them)" if stage["uses"] else ""
        table = Table(
            title=f"[bold]{stage['name']}[/]  {stage['about']}", title_justify="left", box=None, pad_edge=False
        )
        table.caption, table.caption_justify = f"reads {reads}; writes {writes}", "left"
        for column in ("option", "default", "about"):
            table.add_column(column, overflow="fold")
        for option in stage["options"]:
            table.add_row(option["name"], str(option["default"]), option["about"])
        tables.append(table)
    return tables


def _describe(
    name: str, about: str, reads: tuple[str, ...], settings: type[Settings], block: str, uses: tuple[str, ...] = ()
) -> dict[str, Any]:
    common = {column for column, _ in COMMON}
    return {
        "name": name,
        "about": about,
        "reads": list(reads),
        "uses": list(uses),
        "writes": [column for column in SCHEMAS[name].names if column not in common],
        "options": _options(settings, block),
    }


def _options(model: type[BaseModel], prefix: str) -> list[dict[str, Any]]:
    options = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            options += _options(inner, f"{prefix}.{name}")
        else:
            default = "required" if info.is_required() else info.get_default(call_default_factory=True)
            options.append({"name": f"{prefix}.{name}", "default": default, "about": info.description or ""})
    return options


def recipe_options() -> list[dict[str, Any]]:
    """The keys of a recipe outside its stages' blocks."""
    return _options(BaseRecipe, "recipe")
