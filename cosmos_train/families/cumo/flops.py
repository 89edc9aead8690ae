"""The cost of a batch of conversations: floating-point operations of each part of CuMo, from its weights' shapes."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_train.families.cumo.model import CuMo
from cosmos_train.models.flops import Operations, in_use, mlp, per_pair, per_token, transformer
from cosmos_train.models.language import find_stack
from cosmos_train.recipe import Recipe
from cosmos_train.stream.talk.batch import TalkBatch


@dataclass(frozen=True)
class Talked:
    """Pictures, tokens, and pairs of tokens that may attend to each other."""

    frames: int
    tokens: int
    pairs: int


def work_of(batch: TalkBatch) -> tuple[Talked, Talked]:
    """The work in a batch: without padding, and with it."""
    lengths = batch.token_mask.sum(1)
    rows, width = batch.tokens.shape
    frames = len(batch.frames)
    return (
        Talked(frames, int(lengths.sum()), int(lengths.square().sum())),
        Talked(frames, rows * width, rows * width**2),
    )


def longest(recipe: Recipe) -> Talked:
    """One picture, and as many tokens as the recipe allows."""
    length = recipe.data.max_tokens
    return Talked(1, length, length**2)


class CuMoFlopCount:
    """Operations by part, from the shapes of the weights; for experts, of those a token uses."""

    def __init__(self, model: CuMo) -> None:
        tower, config = model.vision, model.lm.config
        patches = model.image_tokens
        self._frame = sum(
            scale**2 * (transformer(tower.transformer, patches + 1) + 2 * tower.conv1.weight.numel() * patches)
            for scale in model.scales
        )
        self._connector = patches * mlp(model.connector)
        layers = find_stack(model.lm).layers
        self._token = sum(per_token(layer, config) + in_use(layer) for layer in layers)
        self._pair = per_pair(config) * len(layers)
        self._head = 2 * model.lm.get_output_embeddings().weight.numel()
        self._vision_learns = not model.vision_frozen
        self._lm_learns = next(model.lm.parameters()).requires_grad

    def of(self, work: Talked) -> dict[str, Operations]:
        vision, connector = work.frames * self._frame, work.frames * self._connector
        weights, attention = work.tokens * (self._token + self._head), work.pairs * self._pair
        return {
            "vision": Operations(vision, 2 * vision * self._vision_learns),
            "connector": Operations(connector, connector * (1 + self._vision_learns)),
            "language": Operations(weights + attention, weights * (1 + self._lm_learns) + 2 * attention),
        }
