"""Chooses the source of each global batch, and compares planned with realised exposure.

Every batch has one data type (CosMo's rule). A round robin takes the sources in turn; a weighted mixture takes the one
furthest behind its share, so that no source is ever a whole batch ahead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["samples", "tokens", "images"]


@dataclass(frozen=True)
class Part:
    """Statistics of a source before training. Per batch: on average, over all ranks. units: samples per epoch."""

    name: str
    weight: float
    units: int
    per_batch: dict[str, float]  # samples, tokens, images


@dataclass(frozen=True)
class Mixture:
    """The shares of batches of the sources, and the length of an epoch in batches."""

    parts: tuple[Part, ...]
    shares: tuple[float, ...]
    epoch_batches: float

    @classmethod
    def plan(
        cls,
        parts: Sequence[Part],
        kind: Literal["round_robin", "weighted"],
        unit: Unit,
        epoch: Literal["min", "max", "weighted"],
    ) -> Mixture:
        """unit: what the weights are shares of: with long samples, fewer batches make up a share of the tokens."""
        raw = [1.0 if kind == "round_robin" else part.weight / part.per_batch[unit] for part in parts]
        shares = tuple(one / sum(raw) for one in raw)
        whole = [part.units / (part.per_batch["samples"] * share) for part, share in zip(parts, shares, strict=True)]
        if epoch == "weighted":
            mean = sum(part.per_batch["samples"] * share for part, share in zip(parts, shares, strict=True))
            length = sum(part.units for part in parts) / mean
        else:
            length = min(whole) if epoch == "min" else max(whole)
        return cls(tuple(parts), shares, length)

    def next(self, given: Sequence[int]) -> int:
        """The source of the next batch, from the number of batches of each so far; ties go to the first."""
        total = sum(given) + 1
        behind = [share * total - count for share, count in zip(self.shares, given, strict=True)]
        # Rounded, so that equal shares alternate in spite of rounding errors of their sums.
        return max(range(len(behind)), key=lambda source: (round(behind[source], 9), -source))


@dataclass
class Counts:
    """What one source has contributed so far."""

    samples: int = 0
    tokens: int = 0
    images: int = 0


@dataclass
class Exposure:
    """Planned against realised. samples: of all ranks, from the start; tokens, images: this rank's, in this process."""

    mixture: Mixture
    unit: Unit
    counts: list[Counts] = field(default_factory=list)

    def rows(self) -> list[dict[str, float | str]]:
        """Per source: its planned and realised share of the batches' `unit`, samples, tokens, images, passes."""
        parts, shares = self.mixture.parts, self.mixture.shares
        planned = [share * part.per_batch[self.unit] for share, part in zip(shares, parts, strict=True)]
        realised = [float(getattr(count, self.unit)) for count in self.counts]
        return [
            {
                "source": part.name,
                "planned": plan / sum(planned),
                "realised": real / (sum(realised) or 1.0),
                "samples": float(count.samples),
                "tokens": float(count.tokens),
                "images": float(count.images),
                "passes": count.samples / part.units,
            }
            for part, plan, real, count in zip(parts, planned, realised, self.counts, strict=True)
        ]
