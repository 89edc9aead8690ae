"""`evaluate --probe` of a CosMo: scores of captions of held-out clips slot by slot, with errors, and some captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cosmos_train.evaluate.functions import Shown
from cosmos_train.evaluate.probe import Probe, ProbeScores
from cosmos_train.evaluate.slots import SAMPLE_WORLD, load_slots
from cosmos_train.evaluate.stored import Score
from cosmos_train.evaluate.subject import load_subject


def report(path: Path, settings: Sequence[str], slots: Path | None, clips: int, candidates: int, draws: int) -> Shown:
    """The probe of the shards in `settings` (`data.shards=…`). Raises UserError."""
    table = load_slots(slots or SAMPLE_WORLD)
    subject = load_subject(path, list(settings))
    probe = Probe(subject.recipe.data, subject.tokenizer, table, clips)
    scores = probe.ask(subject, candidates=candidates, draws=draws)
    return Shown(
        asdict(scores), lambda console: print_probe(scores, console), measures(scores), subject.checkpoint, subject.step
    )


def measures(scores: ProbeScores) -> list[Score]:
    """As the run's evaluations keep them."""
    ranked = scores.retrieval
    return [
        *(
            Score(f"captions right in {name}", one.right, one.error, one.chance, one.shuffled, examples=scores.asked)
            for name, one in scores.slots.items()
        ),
        Score(
            f"R@1, frames to text, of {ranked.candidates}", ranked.recall, ranked.error, ranked.chance, ranked.shuffled,
            examples=scores.asked,
        ),
    ]  # fmt: skip


def print_probe(scores: ProbeScores, console: Console) -> None:
    table = Table("captions right in", "score", "± s.e.", "frames shuffled", "± s.e.", "chance", box=None)
    for name, one in scores.slots.items():
        table.add_row(
            name, f"{one.right:.3f}", f"{one.error:.3f}", f"{one.shuffled:.3f}", f"{one.shuffled_error:.3f}",
            f"{one.chance:.3f}",
        )  # fmt: skip
    found = scores.retrieval
    numbers = (found.recall, found.error, found.shuffled, found.shuffled_error, found.chance)
    table.add_row(
        f"R@1, frames to text, of {found.candidates} ({found.draws} draws)", *(f"{number:.3f}" for number in numbers)
    )
    console.print(table)
    console.print(
        f"{scores.asked} clips asked, {scores.open} skipped because their text leaves a slot open", highlight=False
    )
    for truth, said in scores.examples:
        console.print(f"  {truth}  →  {said}", highlight=False, markup=False, soft_wrap=True)
