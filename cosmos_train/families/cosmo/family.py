"""CosMo as a family. Light: heavy imports happen inside the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cosmos_train.families.base import Evaluation, Family, Numbers, Size, StepContext, Trained
from cosmos_train.families.cosmo import KIND, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from cosmos_train.families.cosmo.flops import CosMoFlopCount, Work
    from cosmos_train.families.cosmo.model import CosMo
    from cosmos_train.families.cosmo.objective import Outputs
    from cosmos_train.losses.settings import ObjectiveSettings
    from cosmos_train.models.pretrained import Vocabulary
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.batch import Batch

_PARTS = {"head": "embeddings and head"}  # name of a part in operations -> its name in parameters


class CosMoFamily(Family):
    kind, name, form = KIND, NAME, "clips"
    losses = ("language", "contrastive")
    needs = ("vision", "language")
    expert_places = ("vision",)
    evaluation = Evaluation(
        tasks=frozenset(("caption", "question", "meme", "retrieval", "classify", "compose")),
        own_words=False,  # its few-shot prompts word the questions
        embedder="cosmos_train.evaluate.loading:load_cosmo_embedder",
        answers="cosmos_train.evaluate.fewshot:answer",
        probe="cosmos_train.evaluate.probe:make_probe",
        probe_report="cosmos_train.evaluate.probe_report:report",
    )
    instead = "a CosMo is scored by cosmos_train evaluate"
    hub_task = "image-text-to-text"
    use = "Captions, continuations and embeddings of interleaved frames and text, for research on instructional video."
    limits = "It continues text and follows no instructions; what it says of a frame can be wrong."

    def build(self, recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> CosMo:
        from cosmos_train.families.cosmo.model import build_cosmo

        return build_cosmo(recipe, vocabulary, weights)

    def compute(
        self, model: CosMo, batch: Batch, settings: ObjectiveSettings, language: bool = True, **_: Any
    ) -> Outputs:
        from cosmos_train.families.cosmo.objective import compute

        return compute(model, batch, settings, language)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[Batch], recipe: Recipe, context: StepContext
    ) -> dict[str, Tensor]:
        from cosmos_train.families.cosmo.accumulate import accumulate

        found = accumulate(forward, batches, recipe.objective, context)
        losses = {"loss": found.total, "language": found.language, "contrastive": found.contrastive}
        return losses if found.routing is None else losses | {"routing": found.routing}

    def learned_tokens(self, batch: Batch) -> int:
        from cosmos_train.families.cosmo.objective import learned_tokens

        return learned_tokens(batch)

    def cautions(self, recipe: Recipe, world: int, samples: int) -> list[str]:
        from cosmos_train.families.accumulation import without_negatives

        if not recipe.objective.contrastive_weight:
            return []
        clips = recipe.data.clips_per_sample if recipe.objective.pairs == "every" else 1
        return without_negatives(recipe, world, samples, clips)

    def remarks(self, recipe: Recipe, losses: Numbers) -> list[str]:
        from cosmos_train.families.accumulation import NO_NEGATIVES

        return [NO_NEGATIVES] if recipe.objective.contrastive_weight and losses.get("contrastive") == 0 else []

    def numbers(self, model: CosMo) -> Numbers:
        from cosmos_train.models.decay import is_gate
        from cosmos_train.models.sharded import full_tensor

        gates = [abs(float(full_tensor(p.detach()).tanh())) for name, p in model.named_parameters() if is_gate(name)]
        found = {
            "logit_scale": float(full_tensor(model.log_scale.detach()).exp()),
            "mean_gate": sum(gates) / max(1, len(gates)),
        }
        return found | super().numbers(model)

    def flop_count(self, model: CosMo, recipe: Recipe) -> CosMoFlopCount:
        from cosmos_train.families.cosmo.flops import CosMoFlopCount

        return CosMoFlopCount(model, recipe.objective)

    def work(self, batch: Batch, recipe: Recipe) -> tuple[Work, Work]:
        from cosmos_train.families.cosmo.flops import padded, useful

        return useful(batch, recipe.objective), padded(batch, recipe.objective)

    def size(self, recipe: Recipe) -> Size:
        from cosmos_train.families.cosmo.flops import longest
        from cosmos_train.families.cosmo.parts import count

        model, work = self.plan(recipe), longest(recipe)
        costs = {_PARTS.get(name, name): cost for name, cost in self.flop_count(model, recipe).of(work).items()}
        title = f"{recipe.name}; a sample of {work.tokens} tokens, {work.clips} clips, {work.frames} frames"
        return Size(count(model), costs, title)

    def export(self, out: Path, trained: Trained, model: CosMo, part: str) -> None:
        from cosmos_train.families.cosmo.export import write

        write(out, trained, model)

    def load_exported(self, folder: Path) -> tuple[Trained, CosMo]:
        from cosmos_train.families.cosmo.export import load

        return load(folder)

    def recognises(self, path: Path) -> bool:
        """A file or folder of weights as released."""
        from cosmos_train.families.cosmo.released import recognises

        return recognises(path)

    def load_file(self, model: CosMo, path: Path, recipe: Recipe) -> None:
        from cosmos_train.families.cosmo.released import start

        start(model, path)

    def drawn_outputs(self, model: CosMo) -> list[Tensor]:
        import torch

        from cosmos_train.families.drawn import Drawn

        draw = Drawn()
        media = model.encode_media(
            draw.pictures(model.vision.size),
            torch.ones(2, 1, 1, dtype=torch.bool),
            torch.zeros(2, 1, 1).to(model.log_scale.dtype),
        )
        words = draw.tokens(8, int(model.language.lm.get_input_embeddings().num_embeddings))
        words[:, 1] = model.visual_token
        logits, states = model(words, media.tokens)
        return [media.query, logits, states]
