"""Recipes: a YAML file that describes a build, validated by the settings of its stages. Unknown keys are errors.

Settings that may differ between machines without changing the output (workers, timeouts) are marked `operational` and
are not part of the fingerprints.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model

from interlink.errors import UserError
from interlink.fingerprints import Shape, fingerprints
from interlink.redaction import REDACTED, redact_data
from interlink.settings import Settings, marks_of
from interlink.stage import Stage
from interlink.stages import DEFAULT_STAGES, STAGES, implementation, stage_class
from interlink.stages.collect import SourceSettings

FILE_NAME = "interlink.yaml"
BUNDLED = Path(__file__).parent / "recipes"


class ExecutorSettings(Settings):
    """Where the stages run. These settings do not change the output."""

    kind: Literal["auto", "ray", "inline"] = Field(
        "auto",
        description="ray: Ray Data over partitions; inline: a plain loop; auto: ray where a cluster is named, or where "
        "Ray is installed and the work is predicted to take one core more than a minute",
    )
    cpus: int = Field(0, ge=0, description="CPUs of a local Ray; 0 = all of this machine")
    address: str = Field(
        "", description="address of a running Ray cluster (`auto` finds the local one); empty = start a local one"
    )
    memory_mb: int = Field(4096, ge=64, description="most resident memory of one isolated child process, in MB")
    flush_seconds: float = Field(5.0, gt=0, description="seconds between commits of finished rows")


class RetrySettings(Settings):
    """How a build retries failed rows of classes that allow it."""

    max_attempts: int = Field(3, ge=1, description="attempts per item before its failure is final")
    base_seconds: float = Field(1.0, ge=0, description="wait before the second attempt; doubles, with jitter")
    longest_seconds: float = Field(30.0, ge=0, description="longest wait, also if a server asks for more")


class BaseRecipe(Settings):
    """The keys of every recipe, in addition to the blocks of its stages."""

    name: str = Field(
        "build", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="the recipe's name, stored in documents"
    )
    seed: int = Field(0, description="seed of the order of ids and of all random choices")
    source: SourceSettings
    stages: tuple[str, ...] = Field(
        DEFAULT_STAGES, description="stages in order; `name=entry` uses another implementation by its entry point"
    )
    executor: ExecutorSettings = ExecutorSettings()
    retry: RetrySettings = RetrySettings()
    max_failed_share: float = Field(1.0, ge=0, le=1, description="a build with a larger share of failed rows exits 1")


@dataclass(frozen=True)
class StageBlock:
    """One stage of a recipe: its implementation and validated settings."""

    name: str
    implementation: str  # module:Class
    cls: type[Stage]
    settings: Settings
    needs: tuple[str, ...]  # tables it reads: the required ones, and the optional ones that this recipe makes


@dataclass(frozen=True)
class Recipe:
    """A validated recipe."""

    base: BaseRecipe
    blocks: tuple[StageBlock, ...]

    @staticmethod
    def load(source: str | Path | Mapping[str, Any], sets: Iterable[str] = ()) -> Recipe:
        """Reads and validates a recipe: a file, the name of a bundled one, or its data.

        sets: `key.sub=value` overrides, values in YAML. Raises UserError (code 2) with the invalid key and the
        nearest valid one, or with the bundled recipes.
        """
        where, data = ("the recipe", dict(source)) if isinstance(source, Mapping) else _read(source)
        for assignment in sets:
            _assign(data, assignment)
        _spell_out(where, data)
        return _validate(where, data)

    @property
    def name(self) -> str:
        return self.base.name

    def dump(self) -> dict[str, Any]:
        """Every key with its value, defaults included, as plain data to store: secrets are redacted."""
        data = self.base.model_dump(mode="json")
        data["stages"] = list(data["stages"])
        for block in self.blocks:
            for name, info in type(block.settings).model_fields.items():
                if marks_of(info).private and getattr(block.settings, name):
                    data[block.name][name] = REDACTED
        redacted: dict[str, Any] = redact_data(data)
        return redacted

    def shapes(self, excluded: str = "") -> list[Shape]:
        """Settings and versions that shape the rows of each stage, in order. excluded: digest of the exclusions."""
        ours = set(STAGES.values())
        return [
            Shape(
                block.name, block.cls.version, block.implementation, block.implementation not in ours, block.settings,
                block.needs, excluded if block.cls.leaves_out else "",
            )
            for block in self.blocks
        ]  # fmt: skip

    def fingerprints(self, fresh: Mapping[str, int], excluded: str = "") -> dict[str, str]:
        """Stage → fingerprint. fresh: how often `--fresh` has named a stage; excluded: as for `shapes`."""
        return fingerprints(self.shapes(excluded), fresh)


def begin_recipe(recipe: Recipe) -> str:
    """The text of a recipe file with what differs from the defaults."""
    kept: dict[str, Any] = {"name": recipe.name, "source": _unlike_default(recipe.base.source)}
    kept |= {block.name: found for block in recipe.blocks if (found := _unlike_default(block.settings))}
    if recipe.base.stages != DEFAULT_STAGES:
        kept["stages"] = list(recipe.base.stages)
    head = "# What differs from the defaults. `interlink stages` lists every key with its default and meaning.\n"
    return head + yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _unlike_default(settings: Settings) -> dict[str, Any]:
    defaults = type(settings)().model_dump(mode="json")
    return {key: value for key, value in settings.model_dump(mode="json").items() if value != defaults[key]}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """`key: old → new` for each key of two recipes' data whose value differs; a key that one lacks is left out."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [f"{key}: {old[key]!r} → {new[key]!r}" for key in sorted(old.keys() & new.keys()) if old[key] != new[key]]


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def recipe_names() -> list[str]:
    """The names of the bundled recipes."""
    return sorted(path.stem for path in BUNDLED.glob("*.yaml"))


def _find(source: str | Path) -> Path:
    """The file of this path, or the bundled recipe of this name."""
    if Path(source).is_file():
        return Path(source)
    names = recipe_names()
    if str(source) in names:
        return BUNDLED / f"{source}.yaml"
    near = difflib.get_close_matches(Path(source).stem, names, n=1)
    hint = f"did you mean {near[0]!r}? If not, " if near else ""
    raise UserError(f"there is no recipe {source}", f"{hint}give a recipe file, or one of: {', '.join(names)}", 2)


def _read(source: str | Path) -> tuple[str, dict[str, Any]]:
    path = _find(source)
    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}", "fix the file", 2) from error
    if not isinstance(data, dict):
        raise UserError(f"{path} is not a recipe: it has no keys", "see `interlink stages` for valid keys", 2)
    # Paths in a recipe file are relative to the working directory, as with `--set`.
    return (f"recipe {source}" if path.parent == BUNDLED else str(path)), data


def _assign(data: dict[str, Any], assignment: str) -> None:
    key, equals, value = assignment.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {assignment!r} is not an assignment", "write --set key.sub=value", 2)
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = data.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UserError(f"--set {key}: {parent} is a value, not a block", "see `interlink stages`", 2)
        data = inner
    try:
        data[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {key}: {value!r} is not YAML", "quote the value", 2) from error


def _spell_out(where: str, data: dict[str, Any]) -> None:
    """Expands `filter`, which is short for `interleave.filter` and takes precedence over it."""
    if "filter" not in data:
        return
    given, block = data.pop("filter"), data.setdefault("interleave", {})
    if not isinstance(given, dict) or not isinstance(block, dict):
        raise UserError(
            f"{where}: `filter` is not a block of thresholds", "see interleave.filter in `interlink stages`", 2
        )
    data["interleave"] = {**block, "filter": {**(block.get("filter") or {}), **given}}


def _validate(where: str, data: dict[str, Any]) -> Recipe:
    entries = data.get("stages", list(DEFAULT_STAGES))
    if not isinstance(entries, list | tuple) or not entries or not all(isinstance(e, str) for e in entries):
        raise UserError(f"{where}: `stages` must be a list of stage names", f"stages: {', '.join(STAGES)}", 2)
    classes: dict[str, tuple[str, type[Stage]]] = {}
    for entry in entries:
        name, _, other = entry.partition("=")
        classes[name] = (implementation(name, other), stage_class(name, other))
    # Blocks of stages that this run leaves out are validated too.
    checked = {name: cls for name, (_, cls) in classes.items()}
    checked |= {name: stage_class(name) for name in STAGES if name in data and name not in checked}
    fields: dict[str, Any] = {
        name: (cls.settings_class, Field(default_factory=cls.settings_class)) for name, cls in checked.items()
    }
    model = create_model("Recipe", __base__=BaseRecipe, **fields)
    try:
        base = model(**data)
    except ValidationError as error:
        raise _explain(where, model, error) from error
    blocks: list[StageBlock] = []
    for name, (implementation_, cls) in classes.items():
        settings = getattr(base, name)
        before = [block.name for block in blocks]
        needs = cls.needs(settings)
        missing = [table for table in needs if table not in before]
        if missing:
            raise UserError(
                f"{where}: {name} reads {', '.join(missing)}, which no earlier stage makes",
                f"add {missing[0]} to `stages` before {name}",
                2,
            )
        _check_columns(where, name, cls.relies_on(settings), blocks)
        uses = [table for table in cls.uses(settings) if table in before and table not in needs]
        blocks.append(StageBlock(name, implementation_, cls, settings, (*needs, *uses)))
    return Recipe(base, tuple(blocks))


def _check_columns(
    where: str, name: str, relies_on: Mapping[str, tuple[str, str]], earlier: Sequence[StageBlock]
) -> None:
    """Raises UserError where a setting of stage `name` relies on a column that an earlier stage leaves null."""
    for setting, (table, column) in relies_on.items():
        for block in earlier:
            fills = block.cls.unfilled(block.settings).get(column) if block.name == table else None
            if fills:
                raise UserError(
                    f"{where}: {name}.{setting} has no effect, since {table} leaves {column} empty",
                    f"set {table}.{fills}, or leave out {name}.{setting}",
                    2,
                )


def _explain(where: str, model: type[BaseModel], error: ValidationError) -> UserError:
    """The UserError for an invalid recipe: for an unknown key, with the nearest valid one."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    dotted = ".".join(path)
    if first["type"] == "extra_forbidden":
        names = _keys(model, path[:-1])
        near = difflib.get_close_matches(path[-1], names, n=1, cutoff=0.5)
        hint = (
            f"did you mean {'.'.join([*path[:-1], near[0]])!r}?" if near else f"valid here: {', '.join(sorted(names))}"
        )
        return UserError(f"{where}: unknown key {dotted!r}", hint, 2)
    if first["type"] == "missing":
        return UserError(f"{where}: {dotted} is missing", f"set it in the recipe or with --set {dotted}=…", 2)
    return UserError(f"{where}: {dotted}: {first['msg']} (got {first['input']!r})", "see `interlink stages`", 2)


def _keys(model: Any, path: list[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation if part in getattr(model, "model_fields", {}) else None
        if not hasattr(annotation, "model_fields"):
            return []
        model = annotation
    return list(model.model_fields)
