"""Writes the reference pages that come from the code: commands, keys, tables, failure classes, metrics.

    python docs/generate.py            # writes docs/reference/*.md
    python docs/generate.py --check    # exits 1 and names the pages that differ

`columns.yaml` and `metrics.yaml` hold the meanings of columns and metrics; a name without a meaning is an error.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
import pyarrow as pa
import typer
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

DOCS = Path(__file__).parent
Row = tuple[str, ...]


def page(title: str, about: str, *parts: str) -> str:
    note = "<!-- Written by docs/generate.py from the code: change the code, then run it again. -->"
    return "\n\n".join([note, f"# {title}", about, *(part for part in parts if part)]) + "\n"


def table(head: Row, rows: list[Row]) -> str:
    """A Markdown table; a line break or a bar in a cell would end it."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def code(text: str) -> str:
    return f"`{text}`" if text else ""


# ------------------------------------------------------------------------------------------------------------- keys


def type_name(annotation: Any) -> str:
    """A type as a reader of a YAML file thinks of it: `text`, `number`, `a | b`, `list of text`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(str(value) for value in inner)
    if origin in (Union, types.UnionType):
        return " | ".join("null" if one is type(None) else type_name(one) for one in inner)
    if origin is tuple and Ellipsis not in inner:
        return f"list of {len(inner)}: {type_name(inner[0])}"
    if origin in (list, tuple, frozenset, set):
        return f"list of {type_name(inner[0])}"
    if origin in (dict, types.MappingProxyType) or annotation is dict:
        return "mapping"
    if origin is not None and getattr(annotation, "__metadata__", None):
        return type_name(inner[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(one.value) for one in annotation)
    names = {str: "text", int: "whole number", float: "number", bool: "true | false", Path: "path"}
    return names.get(annotation, "any" if annotation is Any else getattr(annotation, "__name__", str(annotation)))


def bounds(field: FieldInfo) -> str:
    """` ≥ 0, < 1`, or nothing."""
    found = []
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            found.append(f"≥ {limit.ge}")
        elif isinstance(limit, annotated_types.Gt):
            found.append(f"> {limit.gt}")
        elif isinstance(limit, annotated_types.Le):
            found.append(f"≤ {limit.le}")
        elif isinstance(limit, annotated_types.Lt):
            found.append(f"< {limit.lt}")
    return f" {', '.join(found)}" if found else ""


def default(field: FieldInfo) -> str:
    """The default as it would stand in YAML."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value == "":
        return "empty"
    data = list(value) if isinstance(value, (tuple, frozenset, set)) else value
    text = yaml.safe_dump(data, default_flow_style=True, width=10_000, allow_unicode=True)
    return code(text.removesuffix("\n...\n").strip())


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The blocks that a field holds: itself, or the members of a list or of a choice."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for one in get_args(annotation) for model in models_in(one)]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(dotted key, type, default, meaning) of every key below a model. Raises ValueError if one has no meaning."""
    for name, field in model.model_fields.items():
        key, blocks = f"{prefix}{name}", models_in(field.annotation)
        listed = "" if blocks and field.annotation is blocks[0] else _inside(field.annotation)
        meaning = field.description or (first_line(blocks[0].__doc__) if blocks else "")
        if not meaning:
            raise ValueError(f"{key} has no description")
        if not blocks or listed:
            yield code(key), type_name(field.annotation) + bounds(field), default(field), meaning
        else:
            yield code(key), "block", "", meaning
        for block in blocks:
            if not listed or not issubclass(block, model):
                yield from keys(block, f"{key}{listed}.")


def _inside(annotation: Any) -> str:
    """How the keys of a list's or a mapping's entries are written after its name."""
    return ".NAME" if get_origin(annotation) is dict else "[]"


def first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


KEY_HEAD = ("key", "type", "default", "meaning")


def recipe_keys() -> str:
    from interlink.recipe import BaseRecipe
    from interlink.stages import STAGES, stage_class

    parts = ["## All recipes", table(KEY_HEAD, list(keys(BaseRecipe)))]
    for name in STAGES:
        cls = stage_class(name)
        parts += [f"## {name}", first_line(cls.__doc__), table(KEY_HEAD, list(keys(cls.settings_class, f"{name}.")))]
    about = (
        "A recipe is a YAML file. Its keys are those of all recipes, and a block for each stage. `--set key=value` "
        "changes one of them. Unknown keys are errors. `filter` at the top level is short for `interleave.filter`. "
        "`interlink stages` prints the same in the terminal."
    )
    return page("Keys of a builder recipe", about, *parts)


def training_keys() -> str:
    from cosmos_train.recipe import Recipe

    parts = [table(KEY_HEAD, [row for row in keys(Recipe) if row[0].strip("`") in ("name", "seed")])]
    for name, field in Recipe.model_fields.items():
        for block in models_in(field.annotation):
            parts += [f"## {name}", first_line(block.__doc__), table(KEY_HEAD, list(keys(block, f"{name}.")))]
    about = (
        "A training recipe is a YAML file. `--set key=value` changes one key. Unknown keys are errors. "
        "`cosmos_train keys` prints the same in the terminal."
    )
    return page("Keys of a training recipe", about, *parts)


def release_keys() -> str:
    from interlink.release.settings import ReleaseSettings

    about = "Keys of `interlink release --set key=value`. [Release a dataset](../how-to/release.md) explains them."
    return page("Settings of a release", about, table(KEY_HEAD, list(keys(ReleaseSettings))))


# --------------------------------------------------------------------------------------------------------- commands


def commands(app: typer.Typer, program: str) -> str:
    group: Any = typer.main.get_command(app)
    parts = []
    for name, command in group.commands.items():
        help_text = " ".join((command.help or "").split())
        if not help_text:
            raise ValueError(f"{program} {name} has no help")
        about, *examples = f"{help_text} {command.epilog or ''}".split("Example:")
        shown = "\n".join(f"- `{example.strip()}`" for example in examples)
        parts += [f"## {program} {name}", about.strip(), shown, parameters(command, program)]
    return page(
        f"Commands of {program}", f"{first_line(group.help)} `{program} COMMAND --help` prints the same.", *parts
    )


def parameters(command: Any, program: str) -> str:
    rows = []
    for one in command.params:
        if one.hidden or one.name == "help":
            continue
        if not one.help:
            raise ValueError(f"{program} {command.name}: {one.opts[0]} has no help")
        argument = one.param_type_name == "argument"
        names = (
            code(one.metavar or one.name.upper())
            if argument
            else ", ".join(map(code, [*one.opts, *one.secondary_opts]))
        )
        rows.append(
            (names, parameter_type(one), parameter_default(one), one.help.replace(" ({})", "").replace(": {}", ""))
        )
    return table(("argument or option", "type", "default", "meaning"), rows) if rows else ""


def parameter_type(one: Any) -> str:
    return type_name(one.type_descriptor.annotation)


def parameter_default(one: Any) -> str:
    if one.required:
        return "required"
    value = one.default
    return (
        ""
        if value is None or value is False or value in ("", [], ()) or callable(value)
        else code(str(getattr(value, "value", value)))
    )


# ----------------------------------------------------------------------------------------------------------- tables


def columns(field: pa.Field, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, type) of a column and of what lies in it."""
    from interlink.tables import BLOB

    name, kind = prefix + field.name, field.type
    while pa.types.is_list(kind):
        name, kind = name + "[]", kind.value_type
    if kind == BLOB:
        yield name, "bytes (blob, offset, size, sha256)"
    elif pa.types.is_struct(kind):
        yield name, "struct"
        for n in range(kind.num_fields):
            yield from columns(kind.field(n), name + ".")
    else:
        yield name, str(kind)


def tables() -> str:
    from interlink.stages import STAGES, stage_class
    from interlink.tables import COMMON, SCHEMAS

    meanings = yaml.safe_load((DOCS / "columns.yaml").read_text())
    shared = meanings["shared"]
    head = ("column", "type", "meaning")
    parts = ["## Columns of every table", table(head, [(code(name), str(kind), shared[name]) for name, kind in COMMON])]
    common = {name for name, _ in COMMON}
    for stage, schema in SCHEMAS.items():
        own, rows = dict(meanings.get(stage, {})), []
        for field in schema:
            for name, kind in columns(field) if field.name not in common else ():
                last = name.rpartition(".")[2]
                meaning = own.pop(name, "") or shared.get(last, "")
                if not meaning:
                    raise ValueError(f"docs/columns.yaml has no meaning of {stage}: {name}")
                rows.append((code(name), kind, meaning))
        if own:
            raise ValueError(f"docs/columns.yaml: {stage} has no column {', '.join(own)}")
        about = first_line(stage_class(stage).__doc__) if stage in STAGES else "Lists the source."
        parts += [f"## {stage}", about, table(head, rows)]
    about = (
        "The rows of a stage are Parquet files under `ROOT/tables/STAGE/FINGERPRINT/`. Times are presentation times "
        "of the container in seconds; sizes are bytes. `[]` marks a list."
    )
    return page("Columns of the tables of a build", about, *parts)


def failures() -> str:
    from interlink.errors import FAILURES

    rows = [(code(one.name), one.meaning, "yes" if one.retries else "") for one in FAILURES.values()]
    about = (
        "A failed row has one of these classes. `interlink status` counts them. Classes that are retried get "
        "`retry.max_attempts` attempts in a build; all others wait for `interlink retry ROOT --class NAME`. "
        "[Fix what a message reports](../how-to/troubleshooting.md) says what to do."
    )
    return page("Failure classes", about, table(("class", "meaning", "retried automatically"), rows))


def metrics() -> str:
    rows = [
        (code(name), meaning)
        for name, meaning in yaml.safe_load((DOCS / "metrics.yaml").read_text())["training"].items()
    ]
    about = (
        "`cosmos_train` writes a line to `OUT/metrics.jsonl` every `train.log_every` steps, and the same to "
        "TensorBoard. Metrics of one model family appear only in its runs."
    )
    return page("Metrics of a training run", about, table(("metric", "meaning"), rows))


def interlink_commands() -> str:
    from interlink.cli import app

    return commands(app, "interlink")


def trainer_commands() -> str:
    from cosmos_train.cli import app

    return commands(app, "cosmos_train")


PAGES: dict[str, Callable[[], str]] = {
    "interlink-commands": interlink_commands,
    "cosmos_train-commands": trainer_commands,
    "recipe-keys": recipe_keys,
    "training-keys": training_keys,
    "release-keys": release_keys,
    "tables": tables,
    "failure-classes": failures,
    "metrics": metrics,
}


def main() -> int:
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / "reference" / f"{name}.md", make()
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(str(path))
        if "--check" not in sys.argv:
            path.write_text(text)
    print("\n".join(stale) or "all reference pages are up to date")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
