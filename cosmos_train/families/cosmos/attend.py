"""Draws the attention of a COSMOS: both cross-attention poolers for a picture and a caption, as one PNG.

Patch-wise: where the caption looks in the picture; token-wise: which words the picture attends to. Mean over heads,
scaled to 0 to 1 per picture and per caption, as in the paper. Costs one forward pass of both towers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosmos_train.errors import UserError
from cosmos_train.families.cosmos.model import Cosmos, Student
from cosmos_train.stream.settings import ImageSettings
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.stream.views.batch import PADDING, tokenize_caption

_SIDE, _MARGIN, _LINE = 336, 12, 22  # of the drawing, pixels


@dataclass(frozen=True)
class AttentionMaps:
    """picture (3, S, S) uint8 as the tower saw it; patches (h, w) and the caption's tokens with their weights, 0 to 1;
    similarity: the cosine of picture and caption."""

    picture: NDArray[np.uint8]
    patches: NDArray[np.float32]
    tokens: tuple[str, ...]
    weights: NDArray[np.float32]
    similarity: float


@torch.no_grad()
def look(
    model: Cosmos, tokenizer: Tokenizer, picture: NDArray[np.uint8], caption: str, part: str = "student"
) -> AttentionMaps:
    """picture: (3, S, S), of the tower's input size."""
    student: Student = model.teacher if part == "teacher" else model.student
    ids = tokenize_caption(caption, tokenizer, student.context)
    tokens = torch.full((1, student.context), PADDING, dtype=torch.long)
    tokens[0, : len(ids)] = torch.tensor(ids)
    images = student.images(model.normalised(torch.from_numpy(picture.copy())[None]))
    texts = student.texts(tokens)
    seen: Any = student.visual.attn_cross_pool
    read: Any = student.text_attn_cross_pool
    patches = seen.weights(texts.pooled[:, None], images.tokens)[0, 0]
    words = read.weights(images.pooled[:, None], texts.tokens)[0, 0, 1 : len(ids) - 1]
    side = student.visual.size // student.visual.patch
    return AttentionMaps(
        picture,
        _stretched(patches.reshape(side, side).numpy()),
        tuple(tokenizer.backend.decode([number]).strip() for number in ids[1:-1]),
        _stretched(words.numpy()),
        float(torch.nn.functional.cosine_similarity(images.pooled, texts.pooled)),
    )


def attend(
    model: Cosmos, tokenizer: Tokenizer, image: Path, caption: str, out: Path, part: str = "student"
) -> AttentionMaps:
    """Writes the drawing to the PNG `out`. UserError for a file that is not a picture, or an empty caption."""
    from cosmos_train.stream.decode import decode
    from cosmos_train.stream.talk.corpus import squared

    if not caption.strip():
        raise UserError("the caption is empty", 'for example: "a red cup"', 2)
    size = model.student.visual.size
    try:
        frame = decode(image.read_bytes(), ImageSettings(size=size))
    except (OSError, ValueError) as error:
        raise UserError(f"{image}: {error}", "give a JPEG, PNG or WebP", 2) from error
    found = look(model, tokenizer, squared(frame, size, False), caption, part)
    try:
        draw(found, out)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error}", "give another --out") from error
    return found


def draw(found: AttentionMaps, out: Path) -> None:
    """The picture, the picture with its heat map, and the words, each on a background as warm as its weight."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    picture = Image.fromarray(found.picture.transpose(1, 2, 0)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    heat = Image.fromarray(np.uint8(255 * found.patches)).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    warm = _colours(np.asarray(heat)[..., None] / np.float32(255))
    mixed = Image.blend(picture, Image.fromarray(warm.astype(np.uint8)), 0.6)
    places, bottom = _laid_out(found.tokens, font)
    sheet = Image.new("RGB", (2 * _SIDE + 3 * _MARGIN, _SIDE + 2 * _MARGIN + bottom + _MARGIN), "white")
    sheet.paste(picture, (_MARGIN, _MARGIN))
    sheet.paste(mixed, (2 * _MARGIN + _SIDE, _MARGIN))
    pen = ImageDraw.Draw(sheet)
    for (left, top, width), token, weight in zip(places, found.tokens, found.weights, strict=True):
        ground = tuple(int(level) for level in 255 - (255 - _colours(np.array([1.0], np.float32))) * float(weight))
        top += _SIDE + 2 * _MARGIN
        pen.rectangle((left, top, left + width, top + _LINE - 4), fill=ground)
        pen.text((left + 3, top + 1), token, fill="black", font=font)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, "PNG")


def _laid_out(tokens: tuple[str, ...], font: Any) -> tuple[list[tuple[int, int, int]], int]:
    """Left, top and width of each token in lines, and the total height."""
    left, top = _MARGIN, 0
    places = []
    for token in tokens:
        width = int(font.getlength(token)) + 6
        if left + width > 2 * _SIDE + 2 * _MARGIN and left > _MARGIN:
            left, top = _MARGIN, top + _LINE
        places.append((left, top, width))
        left += width + 3
    return places, top + _LINE


def _colours(share: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Blue to red by way of yellow: (…, 1) in 0 to 1 to (…, 3)."""
    stops = np.array([[40, 60, 160], [90, 180, 200], [250, 220, 80], [220, 40, 30]], np.float32)
    at = np.linspace(0, 1, len(stops))
    return np.concatenate([np.interp(share, at, stops[:, colour]) for colour in range(3)], -1)


def _stretched(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales to 0 (least) to 1 (largest)."""
    if not weights.size:
        return weights
    low, high = float(weights.min()), float(weights.max())
    return ((weights - low) / max(high - low, 1e-12)).astype(np.float32)
