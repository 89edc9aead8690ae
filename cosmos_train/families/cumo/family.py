"""CuMo as a family. Light: heavy imports happen inside the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cosmos_train.families.base import Evaluation, Family, Size, StepContext, Trained
from cosmos_train.families.cumo import KIND, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from cosmos_train.families.cumo.flops import CuMoFlopCount, Talked
    from cosmos_train.families.cumo.model import CuMo
    from cosmos_train.families.cumo.objective import Outputs
    from cosmos_train.losses.settings import ObjectiveSettings
    from cosmos_train.models.pretrained import Vocabulary
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.talk.batch import TalkBatch


class CuMoFamily(Family):
    kind, name, form = KIND, NAME, "talk"
    losses = ("language", "balance", "router_z")
    needs = ("vision", "language")
    expert_places = ("vision", "connector")
    evaluation = Evaluation(
        tasks=frozenset(("caption", "question", "choice", "judged")),
        videos=False,  # it reads one picture
        answers="cosmos_train.evaluate.talk:answer",
        probe="cosmos_train.evaluate.talk_probe:make_probe",
    )
    instead = "a CuMo is scored by cosmos_train evaluate --task (vqav2, scienceqa, …)"
    hub_task = "image-text-to-text"
    use = "Answering questions about pictures, in research on mixtures of experts."
    limits = "Answers can be wrong and sound certain. It has had no training in refusing harmful requests."

    def build(self, recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> CuMo:
        from cosmos_train.families.cumo.model import build_cumo

        return build_cumo(recipe, vocabulary, weights)

    def compute(self, model: CuMo, batch: TalkBatch, settings: ObjectiveSettings, *_: Any, **__: Any) -> Outputs:
        from cosmos_train.families.cumo.objective import compute

        return compute(model, batch, settings)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[TalkBatch], recipe: Recipe, context: StepContext
    ) -> dict[str, Tensor]:
        from cosmos_train.families.cumo.objective import accumulate

        return accumulate(forward, batches, recipe.objective, context)

    def learned_tokens(self, batch: TalkBatch) -> int:
        from cosmos_train.families.cumo.objective import learned_tokens

        return learned_tokens(batch)

    def flop_count(self, model: CuMo, recipe: Recipe) -> CuMoFlopCount:
        from cosmos_train.families.cumo.flops import CuMoFlopCount

        return CuMoFlopCount(model)

    def work(self, batch: TalkBatch, recipe: Recipe) -> tuple[Talked, Talked]:
        from cosmos_train.families.cumo.flops import work_of

        return work_of(batch)

    def size(self, recipe: Recipe) -> Size:
        from cosmos_train.families.cumo.flops import longest
        from cosmos_train.models.flops import count_parameters

        model = self.plan(recipe)
        costs = self.flop_count(model, recipe).of(longest(recipe))
        return Size(count_parameters(model, self.part_of), {f"({part})": cost for part, cost in costs.items()})

    def export(self, out: Path, trained: Trained, model: CuMo, part: str) -> None:
        from cosmos_train.families.cumo.export import write

        write(out, trained, model)

    def load_exported(self, folder: Path) -> tuple[Trained, CuMo]:
        from cosmos_train.families.cumo.export import load

        return load(folder)

    def recognises(self, path: Path) -> bool:
        """A file or folder of weights as released."""
        from cosmos_train.families.cumo.released import recognises

        return recognises(path)

    def load_file(self, model: CuMo, path: Path, recipe: Recipe) -> None:
        from cosmos_train.families.cumo.released import start

        start(model, path)

    def drawn_outputs(self, model: CuMo) -> list[Tensor]:
        import torch

        from cosmos_train.families.drawn import Drawn

        draw = Drawn()
        words = draw.tokens(model.image_tokens + 8, int(model.lm.get_input_embeddings().num_embeddings))
        words[words == model.visual_token] = 5
        words[:, 1 : 1 + model.image_tokens] = model.visual_token
        pictures = draw.pictures(model.picture_size)
        return [model(pictures, words, torch.ones_like(words, dtype=torch.bool))]
