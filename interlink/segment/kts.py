"""Kernel temporal segmentation: divides the video into spans of similar pictures.

Source: Potapov, Douze, Harchaoui, Schmid, "Category-Specific Video Summarization", ECCV 2014, section 3: least
within-segment scatter for a number of change points, and a penalty on that number (equation 4). Settings as in VLog.
Costs O(m W^2) for m change points in a window of W samples, vectorised: about 0.1 s for 1,000 samples.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from interlink.engines.embedder import check_embedder, embedder
from interlink.media.look import Look, difference
from interlink.segment.features import features_of
from interlink.segment.verdict import Segmenter, Verdict, Video

if TYPE_CHECKING:
    from interlink.segment.settings import SegmentSettings

Floats = NDArray[np.float64]
Floating = NDArray[np.floating[Any]]

BLOCK = 64  # ends of segments per step; a block of the scatter table stays in the processor's cache
STILL = 0.02  # scatter per sample below which a video counts as still: its changes are noise


@dataclass(frozen=True)
class Division:
    """points: numbers of the samples at which a new segment begins, rising. costs: of 0, 1, 2 … change points."""

    points: tuple[int, ...]
    costs: Floats


def kernel_of(features: Floating) -> Floating:
    """(T, T) linear kernel of (T, D) features, each scaled to length 1 (one of length 0 stays).

    Computed in the features' number type. The length is 1 less one part in 100,000 of the original's, as in VLog.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True) + features.dtype.type(1e-5)
    scaled = features / lengths
    return np.asarray(scaled @ scaled.T)


def scatters(kernel: Floating) -> Floats:
    """(T, T): element [j, i] is the scatter of samples i … j: the sum of their squared distances to their mean in the
    kernel's space. Infinite where i > j. The sums over the kernel are kept in its own type."""
    count = len(kernel)
    diagonal = np.concatenate([[0.0], np.cumsum(np.diag(kernel), dtype=np.float64)])
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = np.cumsum(np.cumsum(kernel, 0), 1)
    corners = np.diag(sums)
    length = np.maximum(np.arange(count)[:, None] - np.arange(count)[None, :] + 1, 1)
    inside = corners[1:, None] + corners[None, :-1] - sums[1:, :-1] - sums[:-1, 1:].T
    found = diagonal[1:, None] - diagonal[None, :-1] - inside / length
    found[np.triu_indices(count, 1)] = np.inf
    return np.asarray(found)


def scatter(kernel: Floating) -> float:
    """The scatter of all samples."""
    return float(np.trace(kernel, dtype=np.float64) - kernel.sum(dtype=np.float64) / len(kernel))


def divide(kernel: Floating, most: int, vmax: float) -> Division:
    """The best division of T samples by at most `most` change points.

    kernel: (T, T). The cost of m change points is scatter / T + vmax m / 2T (log(T / m) + 1); the least cost wins; with
    equal costs, the fewest points. vmax weighs the penalty against the scatter per sample, which for features of length
    1 lies between 0 and 1: a vmax far above it forbids every cut.
    """
    count = len(kernel)
    most = max(0, min(most, count - 1))
    table = scatters(kernel)
    best = np.full((most + 1, count + 1), np.inf)  # [m, l]: least scatter of the first l samples with m change points
    best[0, 1:] = table[:, 0]
    for points in range(1, most + 1):
        _lower(table, best[points - 1], best[points], points)
    numbers = np.arange(1, most + 1)
    penalties = np.concatenate([[0.0], vmax * numbers / (2.0 * count) * (np.log(count / numbers) + 1)])
    costs = best[:, count] / count + penalties
    found: list[int] = []
    end = count
    for points in range(int(np.argmin(costs)), 0, -1):
        end = points + int(np.argmin(table[end - 1, points:end] + best[points - 1, points:end]))
        found.append(end)
    return Division(tuple(reversed(found)), costs)


def _lower(table: Floats, before: Floats, after: Floats, points: int) -> None:
    """One step of the dynamic programme: after[l] = min over t of table[l - 1, t] + before[t], points <= t < l."""
    count = len(table)
    for start in range(points, count, BLOCK):
        stop = min(start + BLOCK, count)
        after[start + 1 : stop + 1] = (table[start:stop, points:stop] + before[points:stop]).min(axis=1)


class Kts(Segmenter):
    """Kernel temporal segmentation as a segmenter: one sample every `beta` seconds, windows of `window` samples.

    alpha: least average number of samples per segment: T samples have at most T // alpha - 1 change points, so a video
    shorter than 2 alpha beta seconds is one segment. vmax: weight of the penalty on change points; `relative`
    multiplies it by the window's own scatter per sample.

    Why relative: features of length 1 differ little within a video, so a cut saves little scatter (0.03 to 0.3 per
    sample, for CLIP's features and for the histograms here). The paper's penalty is an absolute number and outweighs
    it: with vmax = 1 most videos stay whole; with vmax = 0 every video gets the most change points possible. Relative
    to the scatter, the penalty means the same for every video and every kind of features.

    A video of up to `window` samples is divided at once, as in the paper. In a longer one the change points of a
    window's first three quarters are final, and the next window begins at the last of them.
    A change point lies between two samples; if there are looks between them, at the largest change.
    """

    reads: ClassVar[tuple[str, ...]] = ("kts",)

    @classmethod
    def of(cls, settings: SegmentSettings, video: Video) -> Kts:
        kts = settings.kts
        if not kts.embedder.model:
            return cls(kts.alpha, kts.beta, kts.vmax, kts.relative, kts.window)
        model = embedder(kts.embedder)
        return cls(kts.alpha, kts.beta, kts.vmax, kts.relative, kts.window, lambda _: model.embed(video.picture()))

    @staticmethod
    def memory_mb(settings: SegmentSettings) -> int:
        return 1800 if settings.kts.embedder.model else 600

    @staticmethod
    def check(settings: SegmentSettings) -> None:
        if settings.kts.embedder.model:
            check_embedder(settings.kts.embedder)

    @staticmethod
    def prepare(settings: SegmentSettings) -> None:
        if settings.kts.embedder.model:
            embedder(settings.kts.embedder)

    def __init__(
        self,
        alpha: int,
        beta: float,
        vmax: float,
        relative: bool,
        window: int,
        features: Callable[[Look], Floating] = features_of,
    ) -> None:
        self.spacing = beta
        self._alpha, self._vmax, self._relative, self._window = alpha, vmax, relative, window
        self._features = features
        self._start: float | None = None
        self._cell = -1
        self._last: Look | None = None
        self._looks: deque[tuple[float, float, bool]] = deque()  # time, change from the previous look, is a sample
        self._samples: list[Floating] = []  # features of the samples among them
        self._opens = False  # whether the first of them begins a segment

    def feed(self, look: Look) -> list[Verdict]:
        if self._start is None:
            self._start = look.time
        cell = int((look.time - self._start + 1e-6) // self.spacing)
        sample = cell > self._cell
        self._cell = max(cell, self._cell)
        self._looks.append((look.time, difference(self._last, look) if self._last else 0.0, sample))
        self._last = look
        if sample:
            self._samples.append(self._features(look))
        if len(self._samples) <= self._window:
            return []
        points = [point for point in self._points() if point <= self._window * 3 // 4]
        return self._hand_out(points, until=points[-1] if points else self._window // 2)

    def finish(self) -> list[Verdict]:
        return self._hand_out(self._points(), until=len(self._samples))

    def _points(self) -> list[int]:
        if not self._samples:
            return []
        kernel = kernel_of(np.stack(self._samples))
        count = len(kernel)
        vmax = self._vmax * (max(scatter(kernel) / count, STILL) if self._relative else 1.0)
        return list(divide(kernel, count // self._alpha - 1, vmax).points)

    def _hand_out(self, points: list[int], until: int) -> list[Verdict]:
        """Verdicts of the looks before sample `until`, or before the boundary where that begins a segment."""
        samples = [number for number, (_, _, sample) in enumerate(self._looks) if sample]
        spans = [range(samples[point - 1] + 1, samples[point] + 1) for point in points]
        begins = [max(span, key=lambda number: self._looks[number][1]) for span in spans]
        ends_in_boundary = bool(points) and points[-1] == until
        end = begins[-1] if ends_in_boundary else samples[until] if until < len(samples) else len(self._looks)
        starts = {0, *begins} if self._opens else set(begins)
        verdicts = [Verdict(self._looks.popleft()[0], number in starts, settled=True) for number in range(end)]
        self._opens = ends_in_boundary
        del self._samples[:until]
        return verdicts
