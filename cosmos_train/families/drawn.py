"""Inputs drawn with a fixed seed, to compare two models."""

from __future__ import annotations

import torch
from torch import Tensor


class Drawn:
    """Two samples of each kind of input, the same in every run."""

    def __init__(self) -> None:
        self._draw = torch.Generator().manual_seed(0)

    def pictures(self, size: int) -> Tensor:
        """(2, 3, S, S) uint8."""
        return torch.randint(0, 256, (2, 3, size, size), generator=self._draw, dtype=torch.uint8)

    def tokens(self, length: int, vocabulary: int) -> Tensor:
        """(2, L) ids without the first five, which are often special."""
        return torch.randint(5, vocabulary, (2, length), generator=self._draw)
