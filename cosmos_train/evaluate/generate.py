"""Captions of clips. Costs the prompt once and one token's pass per token and beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from cosmos_train.errors import UserError
from cosmos_train.evaluate.beams import beam_search
from cosmos_train.evaluate.decoder import begin
from cosmos_train.families.cosmo.model import CosMo, Media
from cosmos_train.stream.decode import crop, decode
from cosmos_train.stream.settings import ImageSettings
from cosmos_train.stream.tokenizer import Tokenizer


def ends(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Tokens that end a text."""
    return tuple({tokenizer.end_of_chunk, tokenizer.end})


def never_said(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Special tokens that are not text. (In some tokenizers the begin token is also the end token.)"""
    return tuple({tokenizer.visual, tokenizer.begin, tokenizer.pad} - set(ends(tokenizer)))


@torch.no_grad()
def caption(
    model: CosMo, tokenizer: Tokenizer, media: Media, max_tokens: int, beams: int = 1, length_penalty: float = 0.0
) -> list[str]:
    """The text of the first clip of each of B samples: by greedy decoding, or the best of a beam search."""
    prompts = [[tokenizer.begin, tokenizer.visual]] * len(media.tokens)
    context = begin(model, prompts, list(media.tokens[:, :1]), tokenizer.pad)
    found = beam_search(context, beams, length_penalty, max_tokens, ends(tokenizer), never_said(tokenizer))
    return [tokenizer.decode(ids) for ids in found]


@torch.no_grad()
def fit(model: CosMo, tokenizer: Tokenizer, media: Media, texts: Sequence[str]) -> list[float]:
    """How well clip and text match according to the model, for B samples of one clip: cosines, -1 to 1.

    Measured in its contrastive space: close to the value of training pairs if the clip resembles training and the text
    is right. Costs one pass of the language model's first half.
    """
    ids = [[tokenizer.begin, tokenizer.visual, *tokenizer.encode(text), tokenizer.end_of_chunk] for text in texts]
    tokens = torch.full((len(ids), max(map(len, ids))), tokenizer.pad)
    mask = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, own in enumerate(ids):
        tokens[row, : len(own)] = torch.tensor(own)
        mask[row, : len(own)] = True
    device = media.query.device
    found = model.media_embedding(media.query) * model.encode_text(tokens.to(device), mask.to(device))
    cosines: list[float] = found.sum(-1).float().tolist()
    return cosines


def frames_of(images: Sequence[bytes], settings: ImageSettings) -> torch.Tensor:
    """Decodes JPEGs of one clip for the model, (F, 3, H, W) uint8. Raises ValueError for bytes that are not JPEG."""
    return torch.from_numpy(crop([decode(image, settings) for image in images], settings, None))


def caption_files(checkpoint: Path, paths: Sequence[Path], max_tokens: int, beams: int = 1) -> str:
    """The caption of one clip of frames `paths`, one second apart. UserError for files that are not JPEG."""
    from cosmos_train.train.parallel import device_of
    from cosmos_train.train.starting import load_model

    trained, model = load_model(checkpoint)
    device = device_of(trained.recipe)
    images = []
    for path in paths:
        try:
            images.append(path.read_bytes())
            frames_of(images[-1:], trained.recipe.data.image)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}", "give JPEG files") from error
    frames = frames_of(images, trained.recipe.data.image).to(device)
    mask = torch.ones(1, 1, len(frames), dtype=torch.bool, device=device)
    times = torch.arange(len(frames), dtype=torch.float32, device=device)[None, None]
    return caption(model, trained.tokenizer, model.encode_media(frames, mask, times), max_tokens, beams)[0]
