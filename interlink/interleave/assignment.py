"""The policy assignment: places every frame next to the sentence it shows, as Multimodal C4 does.

Frames and sentences are matched by linear assignment on their similarities, with CosMo's noise and threshold (COSMO
s4.3). Costs about 2 ms for a document of 24 frames and 24 sentences. Needs the vectors of `score` with an image–text
engine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from interlink.errors import UserError
from interlink.interleave.evidence import ClipEvidence
from interlink.interleave.pieces import FramePiece, Piece, TextPiece
from interlink.interleave.policies import sentences
from interlink.interleave.policy import ALL_ROLES, Policy
from interlink.interleave.settings import InterleaveSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AssignmentPolicy(Policy):
    """The sentences of all texts in order, each after the frame that is assigned to it, if there is one.

    A frame is left out when no sentence is assigned to it (there are more frames than sentences), when its similarity
    is below the threshold, or when keeping it would break the order of time. Of pairs that cross, those with the
    greatest total similarity stay.
    """

    roles: ClassVar[frozenset[str]] = ALL_ROLES - {"ocr"}  # lines on screen have no vectors
    needs: ClassVar[tuple[str, ...]] = ("score",)
    reads: ClassVar[tuple[str, ...]] = ("assignment",)

    def __init__(self, settings: InterleaveSettings) -> None:
        self._settings = settings.assignment

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        """Raises UserError where the frames or sentences have no vectors."""
        frames = [FramePiece(place, n) for place, clip in enumerate(clips) for n in range(len(clip.frames))]
        sentence_pieces = [one for place, clip in enumerate(clips) for one in sentences(place, clip)]
        pairs = self._pairs(clips, frames, sentence_pieces, seed) if frames and sentence_pieces else []
        before = {sentence: frames[frame] for frame, sentence in pairs}
        pieces: list[Piece] = []
        for number, sentence in enumerate(sentence_pieces):
            if number in before:
                pieces.append(before[number])
            pieces.append(sentence)
        return pieces

    def _pairs(
        self,
        clips: Sequence[ClipEvidence],
        frames: Sequence[FramePiece],
        sentence_pieces: Sequence[TextPiece],
        seed: str,
    ) -> list[tuple[int, int]]:
        """The (frame, sentence) pairs that stay."""
        matrix = similarities(clips, frames, sentence_pieces)
        noisy = matrix + noise(matrix.shape, seed, self._settings.noise, self._settings.noise_limit)
        pairs = [(a, b) for a, b in assign(noisy) if matrix[a, b] >= self._settings.threshold]
        return in_order(pairs, [float(matrix[a, b]) for a, b in pairs])


def similarities(
    clips: Sequence[ClipEvidence], frames: Sequence[FramePiece], sentence_pieces: Sequence[TextPiece]
) -> NDArray[np.float64]:
    """(frames, sentences) cosine similarities of the vectors in the score table."""
    import numpy as np

    pictures = [clips[f.clip].vectors.get(("frame", clips[f.clip].frames[f.frame].number), b"") for f in frames]
    counts: dict[tuple[int, str], int] = {}
    texts = []
    for sentence in sentence_pieces:
        clip, role = clips[sentence.clip], sentence.role
        place = counts.get((sentence.clip, role), 0)
        counts[sentence.clip, role] = place + 1
        number = clip.lines(role)[place].number if role == "speech" else place
        scored = "speech" if role == "caption" and clip.spoken else role  # its sentences are those of the speech
        texts.append(clip.vectors.get((scored, number), b""))
    if not all(pictures) or not all(texts):
        raise UserError(
            "the assignment policy needs a vector for every frame and sentence",
            "set score.engine to an image–text model, score.vectors=true, and build score again",
        )

    def unit(vectors: list[bytes]) -> NDArray[np.float64]:
        rows = np.stack([np.frombuffer(vector, np.float16) for vector in vectors]).astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        divided: NDArray[np.float64] = rows / np.maximum(lengths, 1e-12)
        return divided

    found: NDArray[np.float64] = unit(pictures) @ unit(texts).T
    return found


def noise(shape: tuple[int, ...], seed: str, deviation: float, limit: float) -> NDArray[np.float64]:
    """(rows, columns) of Gaussian noise, clipped to ± limit; the same seed gives the same noise."""
    import numpy as np

    if not deviation:
        return np.zeros(shape)
    draw = random.Random(f"assignment:{seed}")
    return np.array(
        [[max(-limit, min(limit, draw.gauss(0.0, deviation))) for _ in range(shape[1])] for _ in range(shape[0])]
    )


def assign(similarity: NDArray[np.float64]) -> list[tuple[int, int]]:
    """(row, column) pairs, sorted, that cover the shorter side of the matrix with the greatest total.

    Shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(n² m): equal in total to
    scipy.optimize.linear_sum_assignment.
    """
    import numpy as np

    if similarity.shape[0] > similarity.shape[1]:
        return sorted((row, column) for column, row in assign(similarity.T))
    cost = -similarity
    rows, columns = cost.shape
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)  # potentials; column 0 holds the row being assigned
    row_at = np.zeros(columns + 1, dtype=np.int64)  # 1-based row assigned to each column; 0: none
    for row in range(1, rows + 1):
        row_at[0] = row
        at = 0
        least = np.full(columns + 1, np.inf)
        came_from = np.zeros(columns + 1, dtype=np.int64)
        seen = np.zeros(columns + 1, dtype=bool)
        while row_at[at]:
            seen[at] = True
            current = row_at[at]
            reduced = cost[current - 1] - of_row[current] - of_column[1:]
            better = ~seen[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            came_from[1:][better] = at
            options = np.where(seen[1:], np.inf, least[1:])
            nearest = int(options.argmin()) + 1
            step = options[nearest - 1]
            of_row[row_at[seen]] += step
            of_column[seen] -= step
            least[~seen] -= step
            at = nearest
        while at:
            before = int(came_from[at])
            row_at[at] = row_at[before]
            at = before
    return sorted((int(row_at[column]) - 1, column - 1) for column in range(1, columns + 1) if row_at[column])


def in_order(pairs: Sequence[tuple[int, int]], weights: Sequence[float]) -> list[tuple[int, int]]:
    """The pairs that do not cross, with the greatest total weight; O(n²). pairs: sorted by their first number.

    Negative weights count as 0, so that a pair that crosses no other always stays.
    """
    best: list[tuple[float, int, tuple[tuple[int, int], ...]]] = []
    for number, (pair, weight) in enumerate(zip(pairs, weights, strict=True)):
        options = [best[other] for other in range(number) if pairs[other][0] < pair[0] and pairs[other][1] < pair[1]]
        total, count, chain = max(options, key=lambda entry: entry[:2], default=(0.0, 0, ()))
        best.append((total + max(weight, 0.0), count + 1, (*chain, pair)))
    return list(max(best, key=lambda entry: entry[:2], default=(0.0, 0, ()))[2])
