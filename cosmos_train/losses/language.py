"""Next-token cross-entropy. Costs one softmax over the vocabulary per learned token, in fp32."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from cosmos_train.stream.batch import IGNORED


def language_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """The sum over learned tokens of -log p(token | before), and their number.

    logits (B, L, V), labels (B, L): the token at each position, IGNORED without a loss; logits at i - 1 predict i.
    """
    targets = labels[:, 1:]
    learned = targets != IGNORED
    return F.cross_entropy(logits[:, :-1][learned].float(), targets[learned], reduction="sum"), int(learned.sum())


def token_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, L - 1): the loss at each position, 0 where it is ignored."""
    return F.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), labels[:, 1:], ignore_index=IGNORED, reduction="none"
    )
