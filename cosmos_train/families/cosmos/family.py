"""COSMOS as a family. Light: heavy imports happen inside the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cosmos_train.errors import UserError
from cosmos_train.families.base import Evaluation, Family, Numbers, Size, StepContext, Trained
from cosmos_train.families.cosmos import KIND, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from cosmos_train.families.cosmos.distill import Views
    from cosmos_train.families.cosmos.flops import CosmosFlopCount, Rows
    from cosmos_train.families.cosmos.model import Cosmos
    from cosmos_train.families.cosmos.momentum import Teacher
    from cosmos_train.families.cosmos.objective import Taught
    from cosmos_train.losses.settings import ObjectiveSettings
    from cosmos_train.models.pretrained import Vocabulary
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.stream import Data
    from cosmos_train.stream.tokenizer import Tokenizer
    from cosmos_train.stream.views.batch import ViewBatch

_UNDECAYED = ("bn", "ln", "bias", "logit_scale")
_HALVES = ("student", "teacher")


class CosmosFamily(Family):
    kind, name, form = KIND, NAME, "views"
    losses = ("clip", "distill")
    needs = ("vision", "language")
    expert_places = ("vision", "text")
    evaluation = Evaluation(
        tasks=frozenset(("retrieval", "classify", "compose", "segment")),
        embedder="cosmos_train.evaluate.loading:load_cosmos_embedder",
        probe="cosmos_train.evaluate.view_probe:make_probe",
    )
    instead = "a COSMOS is scored by cosmos_train retrieve, or evaluate --task (winoground, imagenet-classify, …)"
    library = "open_clip"
    hub_task = "zero-shot-image-classification"
    use = "Comparing pictures with texts: retrieval, zero-shot classification and segmentation, in research."
    limits = (
        "Scores of a pair depend on the wording; classes that its data lack are guessed. It is no face recognition."
    )

    def check(self, recipe: Recipe) -> None:
        super().check(recipe)
        if recipe.train.ema_decay:
            raise UserError("a COSMOS has a moving average already, its teacher", "leave train.ema_decay at 0", 2)

    def pretrained_tokenizer(self, recipe: Recipe) -> Tokenizer | None:
        """None: lengths of its samples are never needed."""
        return None

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer:
        from cosmos_train.stream.tokenizer import Tokenizer

        if recipe.model.language.name == "clip":
            return Tokenizer.clip()
        if recipe.model.language.name:
            raise UserError(
                f"a COSMOS cannot use the language model {recipe.model.language.name}",
                "set model.language.name to clip (CLIP's tokenizer), or leave it empty to train one on the shards",
                2,
            )
        return Tokenizer.train(data.texts(), recipe.model.language.vocabulary)

    def build(self, recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> Cosmos:
        """It has no pretrained parts: `weights` has no effect."""
        from cosmos_train.families.cosmos.model import build_cosmos

        return build_cosmos(recipe, vocabulary)

    def compute(
        self, model: Cosmos, batch: ViewBatch, settings: ObjectiveSettings, taught: Taught | None = None, **_: Any
    ) -> tuple[Views, Tensor]:
        from cosmos_train.families.cosmos.objective import compute

        return compute(model, batch, settings, taught)

    def step(
        self, forward: Callable[..., Any], batches: Sequence[ViewBatch], recipe: Recipe, context: StepContext
    ) -> dict[str, Tensor]:
        from cosmos_train.families.cosmos.objective import accumulate

        return accumulate(forward, batches, recipe.objective, context)

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """As released: matrices, including positions, token embeddings and projections; no norms, biases, scales."""
        return parameter.ndim >= 2 and not any(part in name for part in _UNDECAYED)

    def step_callback(self, model: Cosmos, recipe: Recipe) -> Teacher:
        from cosmos_train.families.cosmos.momentum import Teacher

        return Teacher(model, recipe.objective.teacher, recipe.train.steps)

    def cautions(self, recipe: Recipe, world: int, samples: int) -> list[str]:
        from cosmos_train.families.accumulation import without_negatives

        if not recipe.objective.clip_weight:
            return []
        return without_negatives(recipe, world, samples)

    def remarks(self, recipe: Recipe, losses: Numbers) -> list[str]:
        from cosmos_train.families.accumulation import NO_NEGATIVES

        return [NO_NEGATIVES] if recipe.objective.clip_weight and losses.get("clip") == 0 else []

    def numbers(self, model: Cosmos) -> Numbers:
        from cosmos_train.models.sharded import full_tensor

        student = model.student
        scales = {"logit_scale": student.logit_scale, "distill_logit_scale": student.distill_logit_scale}
        found = {name: float(full_tensor(scale.detach()).exp()) for name, scale in scales.items()}
        return found | super().numbers(student)

    def flop_count(self, model: Cosmos, recipe: Recipe) -> CosmosFlopCount:
        from cosmos_train.families.cosmos.flops import CosmosFlopCount

        return CosmosFlopCount(model, recipe)

    def work(self, batch: ViewBatch, recipe: Recipe) -> tuple[Rows, Rows]:
        from cosmos_train.families.cosmos.flops import rows_of

        distilled = bool(recipe.objective.distill_weight)
        return rows_of(batch, False, distilled), rows_of(batch, True, distilled)

    def plan(self, recipe: Recipe) -> Cosmos:
        import torch

        from cosmos_train.models.pretrained import PlannedVocabulary

        with torch.device("meta"):
            return self.build(recipe, PlannedVocabulary(recipe.model.language.vocabulary))

    def size(self, recipe: Recipe) -> Size:
        from cosmos_train.families.cosmos.flops import longest
        from cosmos_train.models.flops import count_parameters

        model = self.plan(recipe)
        costs = self.flop_count(model, recipe).of(longest(recipe))
        return Size(count_parameters(model, self.part_of), {f"({part})": cost for part, cost in costs.items()})

    def part_of(self, name: str) -> str:
        half, _, rest = name.partition(".")
        return f"{half}, {'vision' if rest.startswith('visual.') else 'rest'}" if half in _HALVES else half

    def export(self, out: Path, trained: Trained, model: Cosmos, part: str) -> None:
        from cosmos_train.families.cosmos.export import write

        write(out, trained, model, part)

    def recognises(self, path: Path) -> bool:
        """A file as released, or a folder that open_clip reads."""
        from cosmos_train.families.cosmos.recognised import CONFIG

        return path.is_file() or (path / CONFIG).is_file()

    def load_file(self, model: Cosmos, path: Path, recipe: Recipe) -> None:
        from cosmos_train.families.cosmos.released import start

        if path.is_dir():
            raise self.cannot(f"begin with the folder {path}", "give a run, a checkpoint, or a file as released")
        if recipe.model.experts.count:
            raise UserError(
                f"{path} is dense, the recipe has experts", "start without experts, then run cosmos_train upcycle", 2
            )
        start(model, path)

    def load_released(self, path: Path) -> tuple[Trained, Cosmos]:
        from cosmos_train.families.cosmos.recognised import load

        return load(path)

    def drawn_outputs(self, model: Cosmos) -> list[Tensor]:
        from cosmos_train.families.drawn import Drawn

        draw, student = Drawn(), model.student
        images = student.images(model.normalised(draw.pictures(student.visual.size)))
        words = draw.tokens(student.context, student.token_embedding.num_embeddings)
        words[:, -1] = student.end
        texts = student.texts(words)
        return [images.pooled, images.tokens, texts.pooled, texts.tokens]
