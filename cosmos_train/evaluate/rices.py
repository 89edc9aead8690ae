"""RICES: demonstrations by similarity (Alayrac et al. 2022, after Yang et al. 2021). Costs encoding the query set."""

from __future__ import annotations

import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.readers.folder import Example
from cosmos_train.evaluate.subject import Gallery, Seen


class LikeDemonstrations:
    """The examples of the query set with the nearest media by embedding; the nearest comes last, next to the
    question."""

    def __init__(self, query_set: list[Example], gallery: Gallery, batch_size: int) -> None:
        """Raises UserError if none of the query set can be read. Inside `subject.asked()`."""
        self.gallery = gallery
        self.examples: list[Example] = []
        vectors: list[Tensor] = []
        for first in range(0, len(query_set), batch_size):
            batch = query_set[first : first + batch_size]
            for example, seen in zip(batch, gallery.see(batch), strict=True):
                if isinstance(seen, Seen):
                    self.examples.append(example)
                    vectors.append(seen.vector.float().cpu())
        if not vectors:
            raise UserError(
                "none of the training examples' media can be read",
                "check the media of the training split: demonstrations come from it",
            )
        self.vectors = torch.stack(vectors)

    def choose(self, example: Example, count: int) -> list[Example]:
        """None for an example with unreadable media, which is left out. Never one with the same media."""
        if not count:
            return []
        (seen,) = self.gallery.see([example])
        if isinstance(seen, Unreadable):
            return []
        likeness = self.vectors @ seen.vector.float().cpu()
        nearest = likeness.argsort(descending=True, stable=True).tolist()
        others = (self.examples[number] for number in nearest if self.examples[number].media != example.media)
        chosen = [one for one, _ in zip(others, range(count), strict=False)]
        return chosen[::-1]
