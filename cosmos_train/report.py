"""Tables to print: what a recipe's model holds and costs (from its shapes alone), how a checkpoint scored on shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from cosmos_train.flops import Ledger, Work
from cosmos_train.models.parts import count, plan
from cosmos_train.recipe import Recipe

if TYPE_CHECKING:
    from cosmos_train.evaluate.scores import Scores

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
