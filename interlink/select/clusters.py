"""Deterministic k-means on unit vectors: the initial centres are the first distinct vectors, which a keyed hash has
already shuffled. Costs rounds × vectors × clusters × dimension; memory: the vectors and one block of distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDS = 20
BLOCK = 8192  # vectors per block of distances in memory


def k_means(vectors: NDArray[np.float64], clusters: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(N,) cluster of each of the (N, D) vectors, and (N,) distance to its centre. Fewer clusters if vectors repeat."""
    import numpy as np

    distinct = np.unique(vectors, axis=0, return_index=True)[1]
    centres = vectors[np.sort(distinct)[:clusters]].copy()
    labels, distances = _nearest(vectors, centres)
    for _ in range(ROUNDS):
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, vectors)
        counts = np.bincount(labels, minlength=len(centres))
        # A centre without vectors stays where it is.
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        before = labels
        labels, distances = _nearest(vectors, centres)
        if (labels == before).all():
            break
    return labels, distances


def _nearest(
    vectors: NDArray[np.float64], centres: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    import numpy as np

    labels = np.empty(len(vectors), np.int64)
    distances = np.empty(len(vectors))
    lengths = (centres**2).sum(axis=1)
    for begin in range(0, len(vectors), BLOCK):
        block = vectors[begin : begin + BLOCK]
        squared = (block**2).sum(axis=1)[:, None] - 2 * block @ centres.T + lengths
        labels[begin : begin + BLOCK] = squared.argmin(axis=1)
        distances[begin : begin + BLOCK] = np.sqrt(np.maximum(squared.min(axis=1), 0))
    return labels, distances
