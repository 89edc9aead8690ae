"""Tables to print: what a recipe's model holds and costs (from its shapes alone), how a checkpoint scored on shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from cosmos_train.families.cosmo.flops import Ledger, Operations, Work
from cosmos_train.families.cosmo.parts import Planned, count, plan
from cosmos_train.recipe import Recipe

if TYPE_CHECKING:
    from cosmos_train.evaluate.scores import Scores

_HALVES = ("student", "teacher")
_OF = {"head": "embeddings and head"}  # where the ledger and the count have different names for a part


def one_sample(recipe: Recipe) -> Work:
    """A sample as long as the recipe lets it be (of its last source), without padding."""
    _, data = recipe.data.named()[-1]
    clips, frames, tokens = data.clips_per_sample, data.clips_per_sample * data.frames_per_clip, data.max_tokens
    texts = 1 if recipe.objective.pairs == "first" else clips
    text = tokens // clips
    return Work(
        frames=frames,
        clips=clips,
        slots=frames,
        media=clips,
        tokens=tokens,
        token_pairs=tokens**2,
        sight=tokens * clips,
        texts=texts,
        text_tokens=texts * text,
        text_pairs=texts * text**2,
    )


def sizes(recipe: Recipe) -> Table:
    """Parameters of each part (millions, learnable and in all), operations of one long sample (G)."""
    if recipe.model.kind != "cosmo":
        return _sizes_of_others(recipe)
    model = plan(recipe)
    parts, work = count(model), one_sample(recipe)
    costs = {_OF.get(name, name): cost for name, cost in Ledger(model, recipe.objective).of(work).items()}
    title = f"{recipe.name}; a sample of {work.tokens} tokens, {work.clips} clips, {work.frames} frames"
    table = Table("part", "learn, M", "all, M", "forward, GFLOP", "backward, GFLOP", title=title, box=None)
    for part, held in parts.items():
        cost = costs.get(part)
        table.add_row(
            part,
            f"{held.learnable / 1e6:.2f}",
            f"{held.total / 1e6:.2f}",
            f"{cost.forward / 1e9:.2f}" if cost else "",
            f"{cost.backward / 1e9:.2f}" if cost else "",
        )
    table.add_row(
        "all",
        f"{sum(held.learnable for held in parts.values()) / 1e6:.2f}",
        f"{sum(held.total for held in parts.values()) / 1e6:.2f}",
        f"{sum(cost.forward for cost in costs.values()) / 1e9:.2f}",
        f"{sum(cost.backward for cost in costs.values()) / 1e9:.2f}",
    )
    return table


def print_scores(scores: Scores, console: Console) -> None:
    """What `evaluate` found on shards: retrieval, and what frames are worth to the language model."""
    found, language = scores.retrieval, scores.language
    table = Table("on material not seen", "score", "± s.e.", "without its frames", box=None)
    table.add_row(
        f"R@1, frames to text, of {found.candidates} ({found.draws} draws)",
        f"{found.recall:.3f}",
        f"{found.error:.3f}",
        f"{found.shuffled:.3f} shuffled, {found.chance:.3f} chance ({found.recall / found.chance:.1f}x)",
    )
    table.add_row(
        f"language loss, nats per token ({language.samples} samples)",
        f"{language.own_frames:.3f}",
        f"{language.error:.3f}",
        f"{language.shuffled_frames:.3f} shuffled ({language.shuffled_frames - language.own_frames:+.3f})",
    )
    console.print(f"{scores.checkpoint}, step {scores.step}, {scores.clips} clips", soft_wrap=True, highlight=False)
    console.print(table)


def _sizes_of_others(recipe: Recipe) -> Table:
    """Of a COSMOS or a CuMo: parameters by part of its module, operations of the longest sample by part of its work."""
    model, costs = _planned_cosmos(recipe) if recipe.model.kind == "cosmos" else _planned_cumo(recipe)
    table = Table("part", "learn, M", "all, M", "forward, GFLOP", "backward, GFLOP", title=recipe.name, box=None)
    held: dict[str, list[int]] = {}
    for name, parameter in model.named_parameters():
        first, _, rest = name.partition(".")
        part = f"{first}, {'vision' if rest.startswith('visual.') else 'rest'}" if first in _HALVES else first
        entry = held.setdefault(part, [0, 0])
        entry[0] += parameter.numel() * parameter.requires_grad
        entry[1] += parameter.numel()
    for part, (learnable, total) in held.items():
        table.add_row(part, f"{learnable / 1e6:.2f}", f"{total / 1e6:.2f}", "", "")
    for part, cost in costs.items():
        table.add_row(f"({part})", "", "", f"{cost.forward / 1e9:.2f}", f"{cost.backward / 1e9:.2f}")
    sums = [sum(numbers) for numbers in zip(*held.values(), strict=True)]
    forward, backward = (sum(getattr(cost, way) for cost in costs.values()) for way in ("forward", "backward"))
    table.add_row(
        "all", f"{sums[0] / 1e6:.2f}", f"{sums[1] / 1e6:.2f}", f"{forward / 1e9:.2f}", f"{backward / 1e9:.2f}"
    )
    return table


def _planned_cosmos(recipe: Recipe) -> tuple[nn.Module, dict[str, Operations]]:
    from cosmos_train.families.cosmos.family import CosmosLedger, Rows
    from cosmos_train.families.cosmos.model import build_cosmos

    with torch.device("meta"):
        model = build_cosmos(recipe, Planned(recipe.model.language.vocabulary))
    views, length = recipe.data.views, recipe.data.max_tokens
    texts, taught = views.global_views + views.local_views, views.global_views
    longest = Rows(1, texts * length, texts * length**2, taught * length, taught * length**2)
    return model, CosmosLedger(model, recipe).of(longest)


def _planned_cumo(recipe: Recipe) -> tuple[nn.Module, dict[str, Operations]]:
    from cosmos_train.families.cumo.family import CuMoLedger, Talked
    from cosmos_train.families.cumo.model import build_cumo

    language = recipe.model.language
    words = int(language.config.get("vocab_size", language.vocabulary))
    with torch.device("meta"):
        model = build_cumo(recipe, Planned(words + 2 if language.name else words), weights=False)
    length = recipe.data.max_tokens
    return model, CuMoLedger(model).of(Talked(1, length, length**2))
