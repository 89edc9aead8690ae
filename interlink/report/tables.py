"""What `interlink stages` prints: every key of a recipe; for each stage what it reads and writes, and its options."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from rich.markup import escape
from rich.table import Table

from interlink.recipe import BaseRecipe
from interlink.settings import Settings
from interlink.stages import STAGES, stage_class
from interlink.stages.collect import SourceSettings
from interlink.tables import COMMON, SCHEMAS


def stage_descriptions() -> list[dict[str, Any]]:
    """One entry a stage: name, about, reads, uses (reads if there), writes, options ({name, default, about}).

    The first, `recipe`, has the keys outside of the stages' blocks.
    """
    found = [_recipe(), _describe("collect", "Scan the source and append what is new.", (), SourceSettings, "source")]
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
        table = Table(
            title=f"[bold]{stage['name']}[/]  {stage['about']}", title_justify="left", box=None, pad_edge=False
        )
        table.caption, table.caption_justify = _reads_and_writes(stage), "left"
        for column in ("option", "default", "about"):
            table.add_column(column, overflow="fold")
        for option in stage["options"]:
            table.add_row(option["name"], escape(str(option["default"])), escape(option["about"]))
        tables.append(table)
    return tables


def _reads_and_writes(stage: dict[str, Any]) -> str | None:
    if not stage["writes"]:
        return None
    reads = ", ".join(stage["reads"]) or "the source list"
    reads += f" (and {', '.join(stage['uses'])}, where the recipe makes them)" if stage["uses"] else ""
    return f"reads {reads}; writes {', '.join(stage['writes'])}"


def _recipe() -> dict[str, Any]:
    """The keys of a recipe outside of its stages' blocks; `source` is the block of collect."""
    options = [option for option in _options(BaseRecipe) if not option["name"].startswith("source.")]
    about = "Keys outside of the stages' blocks."
    return {"name": "recipe", "about": about, "reads": [], "uses": [], "writes": [], "options": options}


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
        "options": _options(settings, f"{block}."),
    }


def _options(model: type[BaseModel], prefix: str = "") -> list[dict[str, Any]]:
    options = []
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            options += _options(inner, f"{prefix}{name}.")
        else:
            default = "required" if info.is_required() else info.get_default(call_default_factory=True)
            options.append({"name": f"{prefix}{name}", "default": default, "about": info.description or ""})
    return options
