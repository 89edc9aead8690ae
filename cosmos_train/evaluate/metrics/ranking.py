"""Scores of rankings, each with a standard error: ROC-AUC (DeLong 1988), and recall at K among many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A score between 0 and 1 and its standard error (nan for a single observation)."""

    value: float
    error: float


def mean(values: Sequence[float] | Vector) -> Estimate:
    """The mean of independent observations. Raises ValueError if there are none."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        raise ValueError("nothing was scored")
    error = float(found.std(ddof=1) / len(found) ** 0.5) if len(found) > 1 else float("nan")
    return Estimate(float(found.mean()), error)


def mean_of_groups(values: NDArray[Any], groups: NDArray[Any]) -> Estimate:
    """The mean over groups of their means, so that all groups weigh the same; the error is a stratified sample's."""
    means = [mean(values[groups == one].astype(np.float64)) for one in np.unique(groups)]
    value = float(np.mean([one.value for one in means]))
    return Estimate(value, float(np.sqrt(sum(one.error**2 for one in means)) / len(means)))


def roc_auc(scores: Sequence[float], positive: Sequence[bool]) -> Estimate:
    """How often a positive scores above a negative; a tie is half. The error is DeLong's, over both samples.

    Raises ValueError unless there are positives and negatives.
    """
    found, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    high, low = found[truth], found[~truth]
    if not len(high) or not len(low):
        raise ValueError("ROC-AUC needs examples of both classes")
    above = _share_below(low, high)  # per positive: the share of negatives below it
    below = 1 - _share_below(high, low)  # per negative: the share of positives above it
    variance = sum(float(part.var(ddof=1)) / len(part) if len(part) > 1 else float("nan") for part in (above, below))
    return Estimate(float(above.mean()), variance**0.5)


def _share_below(others: Vector, values: Vector) -> Vector:
    """For each value the share of `others` below it, ties half."""
    ordered = np.sort(others)
    left = np.searchsorted(ordered, values, "left")
    right = np.searchsorted(ordered, values, "right")
    share: Vector = (left + right) / (2 * len(ordered))
    return share


def ranks(queries: NDArray[np.float32], items: NDArray[np.float32], right: Sequence[set[int]]) -> NDArray[np.int64]:
    """The rank, from 0, of each query's best right item by inner product. Ties count against the query.

    queries (Q, E), items (I, E); right: for each query the numbers of its items. Memory is 1024 I at a time.
    """
    found = np.empty(len(queries), dtype=np.int64)
    for first in range(0, len(queries), 1024):
        for row, similarity in enumerate(queries[first : first + 1024] @ items.T, first):
            own = np.fromiter(right[row], dtype=np.int64)
            best = similarity[own].max()
            found[row] = int((similarity >= best).sum()) - int((similarity[own] >= best).sum())
    return found


def recall_at(ranked: NDArray[np.int64], k: int) -> Estimate:
    """The share of queries with their item among the first k."""
    return mean((ranked < k).astype(np.float64))
