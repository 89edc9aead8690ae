"""Access to `cosmos_train`, imported on first use. No other module of this package imports the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlink.engines.present import importing, require_packages

_WHO, _INSTALL = "the checkpoint engine", "pip install 'interlink[train]'"


def check() -> None:
    """Raises UserError where the trainer or its dependencies are missing. Costs milliseconds."""
    require_packages(_WHO, ("torch", "transformers", "open_clip", "cosmos_train"), _INSTALL)


def load(folder: Path) -> tuple[Any, Any]:
    """(description, model) of an exported CosMo. Raises UserError where it is not one, or a package is missing."""
    with importing(_WHO, _INSTALL):
        import torch  # noqa: F401 - gives a clearer error than the trainer's import

        from cosmos_train.families.cosmo import export

    return export.load(folder)


def frames_of(images: Sequence[bytes], settings: Any) -> Any:
    """(F, 3, H, W) uint8 of JPEGs. Raises OSError or ValueError where one is not a picture."""
    from cosmos_train.evaluate import generate

    return generate.frames_of(images, settings)


def caption(model: Any, tokenizer: Any, media: Any, max_tokens: int, beams: int) -> list[str]:
    """A caption for each clip of encoded media."""
    from cosmos_train.evaluate import generate

    return generate.caption(model, tokenizer, media, max_tokens, beams)


def fit(model: Any, tokenizer: Any, media: Any, texts: Sequence[str]) -> list[float]:
    """The fit of each text and its clip: a cosine."""
    from cosmos_train.evaluate import generate

    return generate.fit(model, tokenizer, media, texts)
