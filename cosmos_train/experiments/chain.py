"""Chains: recipes that start from the results of earlier ones. The command resumes where it was interrupted.

A chain's stages are folders below OUT: runs, and (for a stage that upcycles) a checkpoint. A stage is done once its
`done.json` is written, and then never repeated. Later stages read its tower as an exported open_clip file. Light until
a stage runs. Costs its stages, one after another.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.registry import family_of
from cosmos_train.models.settings import ExpertSettings
from cosmos_train.recipe import CHAINS, Recipe
from cosmos_train.settings import Settings

DONE = "done.json"
_WEIGHTS = "open_clip_model.safetensors"

Say = Callable[[str], None]
Numbers = dict[str, float]


class Stage(Settings):
    """A stage of a chain: a run of a recipe, or the conversion of a model's networks to experts."""

    recipe: str = Field(default="", description="the recipe to train: a bundled recipe's name, or a YAML file")
    set: list[str] = Field(default=[], description="`key=value` settings of its recipe")
    start_from: str = Field(default="", description="an earlier stage that gives the initial weights")
    vision_of: str = Field(
        default="", description="an earlier stage, a COSMOS, that gives the image tower, model.vision"
    )
    part: Literal["teacher", "student"] = Field(
        default="teacher", description="the half that gives the tower, with vision_of"
    )
    upcycle: str = Field(default="", description="instead of a recipe: an earlier stage to convert to experts")
    experts: ExpertSettings = Field(default=ExpertSettings(), description="number and places of experts, with upcycle")

    @model_validator(mode="after")
    def _one_kind(self) -> Stage:
        if bool(self.recipe) == bool(self.upcycle):
            raise ValueError("a stage needs either `recipe` or `upcycle`")
        if self.upcycle and (self.set or self.start_from or self.vision_of):
            raise ValueError("a stage with `upcycle` takes only `experts` in addition")
        if self.upcycle and not self.experts.count:
            raise ValueError("a stage with `upcycle` needs experts.count")
        return self

    @property
    def needs(self) -> list[str]:
        """The earlier stages that it uses."""
        return [name for name in (self.start_from, self.vision_of, self.upcycle) if name]


class Chain(Settings):
    """The file of a chain: a recipe with `stages`."""

    name: str = Field(description="name of the chain")
    stages: dict[str, Stage] = Field(min_length=1, description="in order, by name, which is also the name of a folder")

    @model_validator(mode="after")
    def _in_order(self) -> Chain:
        before: list[str] = []
        for name, stage in self.stages.items():
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"a stage's name must be a folder name of letters, digits, - and _: {name!r}")
            for needed in stage.needs:
                if needed not in before:
                    raise ValueError(f"{name} needs {needed or 'nothing'}, which is not an earlier stage")
            before.append(name)
        return self


@dataclass(frozen=True)
class Planned:
    """A stage with its folder and (if it trains) its full recipe. identity: a hash of its settings and sources."""

    name: str
    stage: Stage
    folder: Path
    recipe: Recipe | None
    identity: str


def find(source: str) -> Path | None:
    """The file that `source` names, if it is a chain; None for a recipe, or if there is no such file."""
    path = Path(source) if Path(source).is_file() else CHAINS / f"{source}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None  # `recipe.load` reports the error
    return path if isinstance(values, dict) and "stages" in values else None


def load(path: Path) -> Chain:
    """Loads a chain. Raises UserError (code 2) if the file is not one."""
    try:
        return Chain.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UserError(
            f"{path}: {wrong}", "see cosmos_train/recipes/chains/tiny_cosmos_full.yaml for an example", 2
        ) from None


def plan(chain: Chain, out: Path, settings: Sequence[str] = (), known: dict[str, Path] | None = None) -> list[Planned]:
    """The stages with all their settings. Raises UserError (code 2) for a bad one.

    settings: `key=value` for all stages that train, or `STAGE:key=value` for one. known: folders of stages by identity;
    a stage that is in it is used from there, new ones are added.
    """
    own = _sorted(chain, settings)
    found: dict[str, Planned] = {}
    for name, stage in chain.stages.items():
        sources = [found[needed] for needed in stage.needs]
        recipe = None
        if stage.recipe:
            given = [*stage.set, *own[""], *own[name], f"name={chain.name}-{name}"]
            if stage.start_from:
                given.append(f"train.start_from={found[stage.start_from].folder}")
            if stage.vision_of:
                given.append(f"model.vision.pretrained={_tower(found[stage.vision_of], stage.part)}")
            try:
                recipe = recipes.load(stage.recipe, given)
                family_of(recipe)
            except UserError as error:
                raise UserError(f"stage {name}: {error.what}", error.do, error.code) from None
        identity = _identity(stage, recipe, sources)
        folder = (known if known is not None else {}).setdefault(identity, out / name)
        found[name] = Planned(name, stage, folder, recipe, identity)
    return list(found.values())


def single(source: str, settings: Sequence[str], folder: Path) -> Planned:
    """A recipe as a chain of one stage. Raises UserError (code 2) for a bad setting."""
    stage, recipe = Stage(recipe=source), recipes.load(source, settings)
    family_of(recipe)
    return Planned(recipe.name, stage, folder, recipe, _identity(stage, recipe, []))


def run(stages: Sequence[Planned], say: Say, train: Callable[[Planned], bool]) -> Numbers | None:
    """Runs the unfinished stages. Returns the numbers of the last stage, or None if a signal stopped one.

    train(stage): trains a stage, or resumes it; False if it was stopped. Raises UserError before any stage runs if
    shards of any stage are missing, and if a folder holds a run with other settings.
    """
    todo = [stage for stage in stages if not finished(stage)]
    for stage in todo:
        _shards(stage)
    for number, stage in enumerate(stages):
        if stage not in todo:
            say(f"stage {number + 1} of {len(stages)}, {stage.name}: done before")
            continue
        say(f"stage {number + 1} of {len(stages)}, {stage.name}")
        wall, cpu = time.perf_counter(), _cpu()
        stage.folder.mkdir(parents=True, exist_ok=True)
        before = _spent(stage.folder)
        if stage.recipe is None:
            _upcycle(stage, stages, say)
        else:
            write_whole(stage.folder / "recipe.yaml", recipes.dump(stage.recipe))
            _export(stage, stages)
            went = train(stage)
            spent = [time.perf_counter() - wall + before[0], _cpu() - cpu + before[1]]
            if not went:
                write_whole(stage.folder / "spent.json", json.dumps(spent))
                return None
        spent = [time.perf_counter() - wall + before[0], _cpu() - cpu + before[1]]
        kept = _logged(stage.folder) | {"seconds": spent[0], "cpu_seconds": spent[1]}
        write_whole(stage.folder / DONE, json.dumps({"identity": stage.identity, "numbers": kept}, indent=1))
    last = _done(stages[-1].folder)["numbers"]
    total = {
        f"chain_{name}": sum(float(_done(one.folder)["numbers"][name]) for one in stages)
        for name in ("seconds", "cpu_seconds")
    }
    return {**last, **total}


def finished(stage: Planned) -> bool:
    """Whether a stage is done. Raises UserError if its folder holds one with other settings."""
    path = stage.folder / "recipe.yaml"
    there = recipes.load(str(path)) if path.is_file() else None
    other = there is not None and _content(stage.stage, there) != _content(stage.stage, stage.recipe)
    done = _done(stage.folder) if (stage.folder / DONE).is_file() else None
    if other or (done is not None and done.get("identity") != stage.identity):
        raise UserError(
            f"{stage.folder} holds a run with other settings",
            "give another --out, or remove that folder (for a chain, also those of later stages)",
        )
    return done is not None


def train_here(stage: Planned) -> bool:
    """Trains one stage in this process, with messages in log.txt of its folder. Returns whether it reached its last
    step."""
    from rich.console import Console

    from cosmos_train.train.trainer import train

    assert stage.recipe is not None
    with (stage.folder / "log.txt").open("a", encoding="utf-8", buffering=1) as log:
        return not train(stage.recipe, stage.folder, resume=True, console=Console(file=log, width=200)).stopped


def train_in(processes: int) -> Callable[[Planned], bool]:
    """Trains one stage in `processes` processes on this node."""

    def train(stage: Planned) -> bool:
        from cosmos_train.train import launch

        recipe = stage.folder / "recipe.yaml"
        launch.launch(
            ["run", str(recipe), "--out", str(stage.folder), "--resume"], processes, launch.Nodes(), 0, 30
        )  # raises if it was stopped
        return True

    return train


def _sorted(chain: Chain, settings: Sequence[str]) -> dict[str, list[str]]:
    """The settings by stage, "" for those of all."""
    found: dict[str, list[str]] = {"": [], **{name: [] for name in chain.stages}}
    for setting in settings:
        name, colon, _ = setting.partition("=")[0].partition(":")
        if not colon:
            found[""].append(setting)
        elif name in chain.stages and chain.stages[name].recipe:
            found[name].append(setting.partition(":")[2])
        else:
            raise UserError(
                f"--set {setting}: {name} is not a stage that trains",
                f"there are: {', '.join(one for one, stage in chain.stages.items() if stage.recipe)}",
                2,
            )
    return found


def _identity(stage: Stage, recipe: Recipe | None, sources: Sequence[Planned]) -> str:
    about = {"sources": [one.identity for one in sources], "stage": _content(stage, recipe)}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _content(stage: Stage, recipe: Recipe | None) -> dict[str, Any]:
    """The settings that define a stage, without names and paths of its own and its sources'."""
    if recipe is None:
        return stage.experts.model_dump(mode="json")
    found = recipe.model_dump(mode="json") | {"name": ""}
    if stage.start_from:
        found["train"]["start_from"] = ""
    if stage.vision_of:
        found["model"]["vision"]["pretrained"] = stage.part
    return found


def _shards(stage: Planned) -> None:
    """Raises UserError, naming the stage, if its shards are missing."""
    if stage.recipe is None:
        return
    from cosmos_train.stream.stream import open_data

    try:
        open_data(stage.recipe.data)
    except UserError as error:
        raise UserError(
            f"stage {stage.name}: {error.what}", f"{error.do}; for this stage only: --set {stage.name}:data.shards=…"
        ) from None


def _tower(stage: Planned, part: str) -> Path:
    return stage.folder / f"tower-{part}" / _WEIGHTS


def _export(stage: Planned, stages: Sequence[Planned]) -> None:
    """Exports the tower that a stage takes from another, unless it exists."""
    source = next((one for one in stages if one.name == stage.stage.vision_of), None)
    if source is None:
        return
    from cosmos_train.train.export import export

    folder = _tower(source, stage.stage.part).parent
    if (folder / "open_clip_config.json").is_file():
        return
    if folder.exists():
        shutil.rmtree(folder)  # an interrupted export
    export(source.folder, folder, part=stage.stage.part)


def _upcycle(stage: Planned, stages: Sequence[Planned], say: Say) -> None:
    from cosmos_train.train.upcycle import upcycle

    source = next(one for one in stages if one.name == stage.stage.upcycle)
    for part in stage.folder.iterdir():  # left by an interrupted one
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    found = upcycle(source.folder, stage.folder, stage.stage.experts)
    largest = max(found.differences.values())
    say(
        f"  {found.blocks} blocks of {stage.stage.experts.count} experts, {found.dense / 1e6:.2f} M parameters -> "
        f"{found.sparse / 1e6:.2f} M; outputs differ by at most {largest:.1e}"
    )


def _logged(folder: Path) -> Numbers:
    """The last value of every number that a run logged."""
    numbers: dict[str, Any] = {}
    path = folder / "metrics.jsonl"
    for line in path.read_text().splitlines() if path.is_file() else ():
        numbers |= json.loads(line)
    return {name: float(value) for name, value in numbers.items() if isinstance(value, int | float)}


def _done(folder: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads((folder / DONE).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / DONE} cannot be read: {error}", "remove that folder to repeat its stage") from error
    return found


def _cpu() -> float:
    """CPU seconds of this process and its finished children."""
    return sum(os.times()[:4])


def _spent(folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a stopped stage so far."""
    path = folder / "spent.json"
    if not path.is_file():
        return 0.0, 0.0
    wall, cpu = json.loads(path.read_text())
    return float(wall), float(cpu)


def write_whole(path: Path, text: str) -> None:
    """Replaces a file by `text`. After a kill the file is either the old or the new one."""
    whole = path.with_name(f".{path.name}.new")
    whole.write_text(text, encoding="utf-8")
    whole.replace(path)
