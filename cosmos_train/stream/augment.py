"""CosMo's released augmentation of pictures, by torchvision's own transforms, with random numbers of the sample.

Its stream differs from ours in how much it changes a picture: a crop of 8 to 100 % of the area, mirrored at 0.5, then
AutoAugment. Costs 3 ms per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cosmos_train.models.backends import prepare


def released(frames: Sequence[NDArray[np.uint8]], size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """(F, 3, size, size): the frames (H, W, 3) of one clip, all changed alike.

    torchvision draws from torch's global state, which is set for each frame and restored afterwards.
    """
    seed = int(random.integers(2**63))
    transform = _transform(size)
    found = np.empty((len(frames), size, size, 3), np.uint8)
    with torch.random.fork_rng(devices=[]):
        for number, frame in enumerate(frames):
            torch.manual_seed(seed)
            found[number] = np.asarray(transform(Image.fromarray(frame)), np.uint8)
    return found.transpose(0, 3, 1, 2)


@lru_cache(4)
def _transform(size: int) -> Any:
    prepare()
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.AutoAugment(transforms.AutoAugmentPolicy.IMAGENET),
        ]
    )
