"""Ablations: variants of a recipe or chain, several seeds each. The command resumes where it was interrupted.

Each run has its own folder and is trained once: its numbers are in result.json, written last. Stages that runs have in
common are trained once: shared by the variants of a seed, and by all seeds if the stage sets its own seed. Costs the
runs, one after another. Two commands on one folder at the same time would train the same run twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from cosmos_train.errors import UserError
from cosmos_train.evaluate.metrics.ranking import Estimate, mean
from cosmos_train.experiments import chain as chains
from cosmos_train.experiments.chain import Planned, write_whole
from cosmos_train.recipe import Recipe
from cosmos_train.settings import Settings

_RESULT = "result.json"
_CLEAR = 2.0  # a difference of fewer standard errors counts as none

Numbers = dict[str, float]
Say = Callable[[str], None]


class Variant(Settings):
    recipe: str = Field(default="", description="recipe or chain to use instead of the file's")
    set: list[str] = Field(default=[], description="`key=value` settings of this variant")
    paper: str = Field(default="", description="the paper's result, for the table")


class Ablations(Settings):
    """The file for `cosmos_train ablate`."""

    recipe: str = Field(description="the recipe to vary: a YAML file, or the name of a bundled recipe or chain")
    set: list[str] = Field(default=[], description="`key=value` settings of all runs, applied before a variant's own")
    seeds: list[int] = Field(
        default=[0, 1, 2, 3, 4], min_length=1, description="seeds; every variant runs once with each"
    )
    measures: dict[str, str] = Field(
        min_length=1, description="columns of the table: name in metrics.jsonl -> heading; the last value is used"
    )
    baseline: str = Field(description="the variant to compare the others with")
    expect: dict[str, dict[str, str | list[str]]] = Field(
        default={},
        description="numbers of a variant's runs that must be above another number, or above each of several: "
        "{variant: {probe/a: [probe/b, probe/c]}}",
    )
    variants: dict[str, Variant] = Field(min_length=1, description="by name, which is also the name of a folder")

    @model_validator(mode="after")
    def _named(self) -> Ablations:
        if self.baseline not in self.variants:
            raise ValueError(f"`baseline` is not a variant; there are: {', '.join(self.variants)}")
        for name in self.expect:
            if name not in self.variants:
                raise ValueError(
                    f"`expect` names {name}, which is not a variant; there are: {', '.join(self.variants)}"
                )
        for name in self.variants:
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
                raise ValueError(f"a variant's name must be a folder name of letters, digits, -, _ and .: {name!r}")
        return self


@dataclass(frozen=True)
class Run:
    """recipe: of the last stage; its metrics are compared."""

    variant: str
    seed: int
    folder: Path
    stages: list[Planned]

    @property
    def recipe(self) -> Recipe:
        assert self.stages[-1].recipe is not None  # `runs` refuses chains that end with an untrained stage
        return self.stages[-1].recipe


@dataclass(frozen=True)
class Cell:
    """A measure of one variant. difference: to the baseline's mean, with the error of both; None for the baseline."""

    score: Estimate
    difference: Estimate | None

    @property
    def verdict(self) -> str:
        """The difference with its sign, or that there is none."""
        if self.difference is None:
            return ""
        value, error = self.difference.value, self.difference.error
        if not error < float("inf"):
            return "one run"
        return "no difference" if abs(value) < _CLEAR * error else f"{value:+.3f}"


@dataclass(frozen=True)
class Line:
    """A row of the table: a variant, the number of its finished runs, and its cells by measure."""

    variant: str
    done: int
    wanted: int
    cells: dict[str, Cell]
    paper: str


@dataclass(frozen=True)
class Expected:
    """A measure, the measure it must exceed, and the difference, paired by run, of one variant."""

    variant: str
    measure: str
    above: str
    score: Estimate
    other: Estimate
    difference: Estimate

    @property
    def holds(self) -> bool:
        """By two standard errors; for a single run, any positive difference."""
        value, error = self.difference.value, self.difference.error
        return value > (_CLEAR * error if error < float("inf") else 0.0)

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "does not hold"
        return f"{self.variant}: {self.measure} {_pair(self.score)} above {self.above} {_pair(self.other)}: {verdict}"


def load(path: Path, settings: Sequence[str] = ()) -> Ablations:
    """Loads the file and adds `key=value` settings after its own `set`. Raises UserError (code 2)."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = Ablations.model_validate(values)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} cannot be read: {error}", "give a YAML file such as pipelines/ablations.yaml", 2
        ) from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UserError(f"{path}: {wrong}", "see pipelines/ablations.yaml for the format", 2) from None
    return found.model_copy(update={"set": [*found.set, *settings]})


def runs(ablations: Ablations, out: Path) -> list[Run]:
    """All runs, seed by seed, so that an interrupted table compares all variants. UserError for a bad setting."""
    found = []
    known: dict[str, Path] = {}  # folders of stages by identity: equal stages are trained once
    for seed in ablations.seeds:
        for name, variant in ablations.variants.items():
            folder, source = out / name / f"seed-{seed}", variant.recipe or ablations.recipe
            own = [*ablations.set, *variant.set, f"seed={seed}"]
            if path := chains.find(source):
                stages = chains.plan(chains.load(path), folder, own, known)
                if stages[-1].recipe is None:
                    raise UserError(
                        f"{source} ends with a stage that is not trained",
                        "end it with a recipe: there is nothing to compare",
                        2,
                    )
            else:
                stages = [chains.single(source, [*own, f"name={name}"], folder)]
            found.append(Run(name, seed, folder, stages))
    return found


def ablate(ablations: Ablations, out: Path, say: Say, only: Sequence[str] = ()) -> list[Line]:
    """Trains the unfinished runs, writes the table after each run (OUT/table.md), and returns it.

    only: these variants; results of the others stay in the table. A failed run is reported and skipped; the next call
    tries it again. Raises UserError if OUT holds runs with other settings.
    """
    wanted = runs(ablations, out)
    unknown = sorted(set(only) - set(ablations.variants))
    if unknown:
        raise UserError(f"there is no variant {unknown[0]}", f"there are: {', '.join(ablations.variants)}", 2)
    for run in wanted:
        for stage in run.stages:
            chains.finished(stage)  # raises if a folder has other settings
    todo = [run for run in wanted if not (run.folder / _RESULT).is_file() and (not only or run.variant in only)]
    say(f"{len(wanted)} runs, {len(wanted) - len(todo)} done or not selected")
    for number, run in enumerate(todo):
        say(f"run {number + 1} of {len(todo)}: {run.variant}, seed {run.seed}")
        try:
            numbers = _train(run, say)
        except UserError as error:
            say(f"  failed: {error.what}")
            continue
        if numbers is None:
            say("  stopped; run the same command to resume")
            break
        shown = ", ".join(
            f"{heading} {numbers.get(name, float('nan')):.3f}" for name, heading in ablations.measures.items()
        )
        say(f"  {shown}, {numbers['chain_seconds']:.0f} s")
        write_whole(out / "table.md", markdown(table(ablations, out), ablations))
    lines = table(ablations, out)
    write_whole(out / "table.md", markdown(lines, ablations))
    _draw(ablations, out, wanted)
    return lines


def _draw(ablations: Ablations, out: Path, wanted: Sequence[Run]) -> None:
    """Curves of all measures logged during training, of the finished runs: OUT/curves.png."""
    from cosmos_train.experiments import plot

    done = [run for run in wanted if (run.folder / _RESULT).is_file()]
    found = {
        name: [run.stages[-1].folder for run in done if run.variant == name and _has_curves(run)]
        for name in ablations.variants
    }
    with suppress(UserError):  # no run logged any of the measures
        plot.compare(found, ablations.measures, out / "curves.png")


def _has_curves(run: Run) -> bool:
    return (run.stages[-1].folder / "metrics.jsonl").is_file()


def table(ablations: Ablations, out: Path) -> list[Line]:
    """The table of the finished runs."""
    known = {name: _known(ablations, out, name) for name in ablations.variants}
    lines = []
    for name, variant in ablations.variants.items():
        cells = {}
        for measure in ablations.measures:
            own = _values(known[name], measure)
            if not own:
                continue
            base = _values(known[ablations.baseline], measure)
            score, difference = mean(own), None
            if name != ablations.baseline and base:
                other = mean(base)
                difference = Estimate(score.value - other.value, (score.error**2 + other.error**2) ** 0.5)
            cells[measure] = Cell(score, difference)
        lines.append(Line(name, len(known[name]), len(ablations.seeds), cells, variant.paper))
    return lines


def expectations(ablations: Ablations, out: Path) -> list[Expected]:
    """Checks `expect` on the finished runs; skips variants without any."""
    found = []
    for name, pairs in ablations.expect.items():
        known = _known(ablations, out, name)
        for measure, above in ((one, other) for one, others in pairs.items() for other in _listed(others)):
            both = [(one["numbers"].get(measure), one["numbers"].get(above)) for one in known]
            there = [(float(a), float(b)) for a, b in both if a is not None and b is not None]
            if there:
                own, other = ([pair[side] for pair in there] for side in (0, 1))
                difference = mean([a - b for a, b in there])
                found.append(Expected(name, measure, above, mean(own), mean(other), difference))
    return found


def _listed(names: str | list[str]) -> list[str]:
    return [names] if isinstance(names, str) else names


def markdown(lines: Sequence[Line], ablations: Ablations) -> str:
    """The table in Markdown, for documentation."""
    headings = [part for heading in ablations.measures.values() for part in (heading, f"against {ablations.baseline}")]
    rows = [["variant", "runs", *headings, "the paper"]]
    rows.append(["---"] * len(rows[0]))
    for line in lines:
        cells = []
        for measure in ablations.measures:
            cell = line.cells.get(measure)
            cells += ["", ""] if cell is None else [_pair(cell.score), cell.verdict]
        rows.append([line.variant, f"{line.done} of {line.wanted}", *cells, line.paper])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _known(ablations: Ablations, out: Path, variant: str) -> list[dict[str, Any]]:
    """The results of a variant's finished runs."""
    paths = (out / variant / f"seed-{seed}" / _RESULT for seed in ablations.seeds)
    return [json.loads(path.read_text()) for path in paths if path.is_file()]


def _pair(score: Estimate) -> str:
    return f"{score.value:.3f} ± {score.error:.3f}" if score.error < float("inf") else f"{score.value:.3f}"


def _values(found: Sequence[dict[str, Any]], measure: str) -> list[float]:
    return [float(one["numbers"][measure]) for one in found if one["numbers"].get(measure) is not None]


def _train(run: Run, say: Say) -> Numbers | None:
    """Trains a run. Returns its numbers, or None if a signal stopped it."""

    def report(text: str) -> None:
        if len(run.stages) > 1:
            say(f"  {text}")

    kept = chains.run(run.stages, report, chains.train_here)
    if kept is not None:
        run.folder.mkdir(parents=True, exist_ok=True)
        result = {"variant": run.variant, "seed": run.seed, "numbers": kept}
        write_whole(run.folder / _RESULT, json.dumps(result, indent=1))
    return kept
