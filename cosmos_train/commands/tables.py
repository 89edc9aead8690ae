"""Tables for the terminal: size and cost of a recipe's model (from its shapes), scores of a checkpoint on shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cosmos_train.families.registry import family_of
from cosmos_train.recipe import Recipe

if TYPE_CHECKING:
    from cosmos_train.evaluate.scores import Scores


def sizes(recipe: Recipe) -> Table:
    """Parameters of each part (millions, learnable and total), operations of one long sample (G)."""
    found = family_of(recipe).size(recipe)
    title = found.title or recipe.name
    table = Table("part", "learnable, M", "total, M", "forward, GFLOP", "backward, GFLOP", title=title, box=None)
    for part in dict.fromkeys([*found.parts, *found.costs]):
        held, cost = found.parts.get(part), found.costs.get(part)
        table.add_row(
            part,
            *((f"{held.learnable / 1e6:.2f}", f"{held.total / 1e6:.2f}") if held else ("", "")),
            *((f"{cost.forward / 1e9:.2f}", f"{cost.backward / 1e9:.2f}") if cost else ("", "")),
        )
    held_by_all, costs = found.parts.values(), found.costs.values()
    table.add_row(
        "all",
        f"{sum(held.learnable for held in held_by_all) / 1e6:.2f}",
        f"{sum(held.total for held in held_by_all) / 1e6:.2f}",
        f"{sum(cost.forward for cost in costs) / 1e9:.2f}" if costs else "",
        f"{sum(cost.backward for cost in costs) / 1e9:.2f}" if costs else "",
    )
    return table


def print_scores(scores: Scores, console: Console) -> None:
    """Scores of `evaluate` on shards: retrieval, and how much the language model gains from frames."""
    found, language = scores.retrieval, scores.language
    table = Table("on held-out shards", "score", "± s.e.", "without its frames", box=None)
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
