"""The model card of an export: README.md as the Hugging Face Hub shows it.

A family writes what the model is and how to load it; this module adds data, training, evaluations, use, limits and
licence. It names no folder of this machine. Costs one small read for each source of data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cosmos_train.evaluate.stored import read, run_of
from cosmos_train.families.base import Family, Trained
from cosmos_train.recipe import Recipe
from interlink.markdown import escaped, hub_licence, table

_LIMITS = (
    "It knows what its data show: their languages, people, places and errors. Nobody has read all of its data or "
    "checked its outputs for harm or bias."
)
_RELEASE, _MANIFEST, _LOCK = "RELEASE.json", "MANIFEST.json", "recipe.lock.json"


@dataclass(frozen=True)
class Data:
    """A source of training data, as its own files describe it. documents: 0 if unknown; licences: name -> documents."""

    source: str
    name: str
    documents: int = 0
    licences: dict[str, int] = field(default_factory=dict)


def complete(text: str, trained: Trained, family: Family, licence: str = "") -> str:
    """The whole card. text: the family's part, whose first line is the title; licence: of the weights, if stated."""
    data = [one for source, shards in _sources(trained.recipe) for one in _described(source, shards)]
    parts = [
        _front_matter(trained.recipe, family, licence),
        text.strip(),
        _data(data, trained),
        _training(trained.recipe, trained.step),
        _evaluations(evaluations(trained.folder, trained.step)),
        f"## Intended use\n\n{family.use}",
        f"## Limits\n\n{family.limits} {_LIMITS}",
        _licence(licence, data, started_from(trained.recipe)),
    ]
    return "\n\n".join(parts) + "\n"


def evaluations(folder: Path, step: int) -> list[dict[str, Any]]:
    """The results at a step that are stored with a checkpoint's run, each with its task; none for other weights."""
    run = run_of(str(folder))
    return [one for one in read(run)[0] if one["step"] == step] if run else []


def started_from(recipe: Recipe) -> list[str]:
    """The weights that training began with: names of models, or the last part of a path."""
    found = [value for key, value in _flat(recipe.model.model_dump()) if key in ("name", "pretrained")]
    return list(dict.fromkeys(_public(value) for value in (*found, recipe.train.start_from) if value))


def _flat(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif isinstance(value, str):
            yield key, value


def _public(name: str) -> str:
    """A name without the folders of this machine."""
    is_path = name.startswith(("/", "~", ".")) or "://" in name or Path(name).exists()
    return name.rstrip("/").rpartition("/")[2] if is_path else name


def _sources(recipe: Recipe) -> Iterator[tuple[str, Sequence[str]]]:
    for name, own in recipe.data.named():
        shards = [own.shards] if isinstance(own.shards, str) else own.shards
        yield name, [path for path in shards if path]


def _described(source: str, shards: Sequence[str]) -> Iterator[Data]:
    for path in shards:
        folder = Path(path.partition("{")[0].partition("*")[0]).expanduser()
        above = [folder, *folder.parents[:3]] if "://" not in path else []
        yield next((found for one in above if (found := _about(source, one))), Data(source, _public(path)))


def _about(source: str, folder: Path) -> Data | None:
    """What a release or a build says of itself."""
    try:
        if (folder / _RELEASE).is_file():
            said = json.loads((folder / _RELEASE).read_bytes())
            documents = sum(said["documents"].values())
            return Data(source, str(said["settings"]["name"]), documents, dict(said["licences"]))
        if (folder / _LOCK).is_file():
            lock = json.loads((folder / _LOCK).read_bytes())
            manifest = json.loads((folder / lock["shards"] / _MANIFEST).read_bytes())
            return Data(source, str(manifest["recipe"]), int(manifest["totals"]["samples"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def _front_matter(recipe: Recipe, family: Family, licence: str) -> str:
    content = {
        "library_name": family.library,
        **({"pipeline_tag": family.hub_task} if family.hub_task else {}),
        **hub_licence(licence),
        "tags": ["interlink", family.kind],
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _data(data: Sequence[Data], trained: Trained) -> str:
    lines = ["## Training data"]
    if data:
        rows = [
            (escaped(one.source), escaped(one.name), f"{one.documents:,}" if one.documents else "not known",
             ", ".join(f"{escaped(name)} {count:,}" for name, count in one.licences.items()) or "not known")
            for one in data
        ]  # fmt: skip
        lines.append(table(("source", "data", "documents", "licences of the documents"), rows))
    else:
        lines.append("Not recorded with these weights.")
    if trained.shards:
        lines.append(f"Signature of the shards: `{trained.shards[:16]}`.")
    return "\n\n".join(lines)


def _training(recipe: Recipe, step: int) -> str:
    train, optimiser = recipe.train, recipe.optimiser
    began = ", ".join(f"`{name}`" for name in started_from(recipe)) or "random weights"
    batch = train.batch_size * train.accumulation
    return (
        f"## Training\n\n{step:,} of {train.steps:,} steps of {batch:,} samples with the recipe "
        f"`{escaped(recipe.name)}`; learning rate {optimiser.lr:g}, weight decay {optimiser.weight_decay:g}, "
        f"seed {recipe.seed}. It began with {began}."
    )


def _evaluations(results: Sequence[dict[str, Any]]) -> str:
    if not results:
        return (
            "## Evaluation\n\nNo evaluation of these weights is stored with the run. Measure them before use: "
            "`cosmos_train evaluate --help`."
        )
    rows = [
        (escaped(str(one["task"])), escaped(str(one.get("split") or "")), _number(one.get("shots")),
         escaped(str(one["measure"])), _number(one.get("score")), _number(one.get("error")),
         _number(one.get("chance")), _number(one.get("examples")))
        for one in results
    ]  # fmt: skip
    head = ("task", "split", "shots", "measure", "score", "± s.e.", "chance", "examples")
    return f"## Evaluation\n\n{table(head, rows)}"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else escaped(str(value))


def _licence(licence: str, data: Sequence[Data], began: Sequence[str]) -> str:
    lines = [
        "## Licence",
        f"The weights are under {escaped(licence)}." if licence else "No licence is stated for the weights.",
    ]
    if began:
        lines.append(f"The terms of what training began with hold too: {', '.join(f'`{name}`' for name in began)}.")
    if data:
        lines.append("So may those of the training data.")
    return " ".join([f"{lines[0]}\n\n{lines[1]}", *lines[2:]])
