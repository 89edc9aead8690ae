"""Vectors of pictures by an image model of open_clip, such as CLIP. Costs 0.1 s per picture on a core (ViT-B/32)."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from interlink.errors import UserError
from interlink.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EmbedderSettings(Settings):
    """An image model of open_clip."""

    model: str = Field("", description="name of a model in open_clip (ViT-B-32); empty = none")
    pretrained: str = Field("", description="weights: a tag of open_clip (openai), or a local file")


def check_embedder(settings: EmbedderSettings) -> None:
    """Raises UserError where open_clip is missing, or the settings name no weights or a missing file."""
    if find_spec("open_clip") is None:
        raise UserError("an embedder needs open_clip", "pip install 'interlink[clip]'", 2)
    if not settings.pretrained:
        raise UserError(f"the embedder {settings.model} has no weights", "set its `pretrained`", 2)
    weights = Path(settings.pretrained)
    if weights.suffix and not weights.is_file():
        raise UserError(f"{weights} does not exist", "set it to a file of weights, or a tag of open_clip", 2)


class Embedder:
    """The image side of a model, on the CPU, in evaluation mode."""

    def __init__(self, settings: EmbedderSettings) -> None:
        """Raises UserError where open_clip is not installed, or does not have the model or weights."""
        from interlink.engines.guard import ensure_torchvision

        ensure_torchvision()
        check_embedder(settings)
        import open_clip

        try:
            model, _, self._prepare = open_clip.create_model_and_transforms(
                settings.model, pretrained=settings.pretrained, weights_only=True
            )
        except (RuntimeError, OSError, ValueError) as error:
            hint = "see open_clip.list_pretrained(); without a network, use a local file"
            raise UserError(f"{settings.model} with {settings.pretrained}: {error}", hint, 2) from error
        self._model: Any = model.eval()

    def embed(self, frame: Any) -> NDArray[np.float32]:
        """(D,) vector of one decoded picture (PyAV), as stored."""
        import torch

        with torch.inference_mode():
            vector = self._model.encode_image(self._prepare(frame.to_image())[None])[0]
        features: NDArray[np.float32] = vector.float().numpy()
        return features


@lru_cache(maxsize=1)
def embedder(settings: EmbedderSettings) -> Embedder:
    """The embedder of these settings, loaded once per process."""
    return Embedder(settings)
