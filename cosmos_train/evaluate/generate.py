"""Greedy captions. Costs one forward pass of the whole text per token: right for captions, not for essays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from cosmos_train.errors import UserError
from cosmos_train.models.cosmo import CosMo, Media
from cosmos_train.recipe import ImageSettings
from cosmos_train.stream.decode import crop, decode
from cosmos_train.stream.tokenizer import Tokenizer


@torch.inference_mode()
def caption(model: CosMo, tokenizer: Tokenizer, media: Media, max_tokens: int) -> list[str]:
    """The most likely text, token by token, of the first clip of each of B samples."""
    device = media.tokens.device
    samples = len(media.tokens)
    tokens = torch.tensor([[tokenizer.begin, tokenizer.visual]], device=device).expand(samples, -1)
    ended = torch.zeros(samples, dtype=torch.bool, device=device)
    enders = torch.tensor([tokenizer.end_of_chunk, tokenizer.end], device=device)
    for _ in range(max_tokens):
        logits, _ = model(tokens, media.tokens[:, :1])
        following = logits[:, -1].argmax(-1)
        ended |= torch.isin(following, enders)
        tokens = torch.cat([tokens, following.masked_fill(ended, tokenizer.pad)[:, None]], 1)
        if bool(ended.all()):
            break
    return [tokenizer.decode([i for i in row if i != tokenizer.pad]) for row in tokens[:, 2:].tolist()]


def frames_of(images: Sequence[bytes], settings: ImageSettings) -> torch.Tensor:
    """JPEGs of one clip as the model sees them, (F, 3, H, W) uint8. Raises ValueError on bytes that are no JPEG."""
    return torch.from_numpy(crop([decode(image, settings) for image in images], settings, None))


def caption_files(checkpoint: Path, paths: Sequence[Path], max_tokens: int) -> str:
    """The caption of one clip whose frames are `paths`, taken a second apart. UserError for files that are no JPEG."""
    from cosmos_train.trainer import device_of, load_model

    loaded, model = load_model(checkpoint)
    device = device_of(loaded.recipe)
    images = []
    for path in paths:
        try:
            images.append(path.read_bytes())
            frames_of(images[-1:], loaded.recipe.data.image)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: {error}", "give JPEG files") from error
    frames = frames_of(images, loaded.recipe.data.image).to(device)
    mask = torch.ones(1, 1, len(frames), dtype=torch.bool, device=device)
    times = torch.arange(len(frames), dtype=torch.float32, device=device)[None, None]
    return caption(model, loaded.tokenizer, model.encode_media(frames, mask, times), max_tokens)[0]
