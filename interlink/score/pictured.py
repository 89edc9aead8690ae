"""Shared code of the safety checkers for pictures: labels that mean harm, and a clip's verdict from its frames'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from interlink.errors import StageError, UserError
from interlink.score.safety import Judgeable, Verdict

LEAST = 0.01  # smaller values are not reported as a find
Judged = Verdict | StageError  # of one frame


def by_clip(clips: Sequence[Judgeable], judge: Callable[[Iterable[bytes]], Iterator[Judged]]) -> list[Verdict]:
    """A verdict per clip: the highest of its frames, with the frame's number (0: the first).

    judge: gives the verdicts of all frames, in order. Raises the StageError of a frame that could not be judged.
    """
    judged = judge(frame for frames, _ in clips for frame in frames)
    found = []
    for frames, _ in clips:
        highest: Verdict = (0.0, "")
        for number, _ in enumerate(frames):
            one = next(judged)
            if isinstance(one, StageError):
                raise one
            if one[0] > highest[0]:
                highest = (one[0], f"{one[1]} in frame {number}" if one[0] >= LEAST else "")
        found.append(highest)
    return found


def harmful(wanted: Sequence[str], labels: Mapping[int, str], model: str, where: str) -> dict[int, str]:
    """The labels that mean harm, by their index in the model's output. Raises UserError for an unknown label.

    where: the block of the recipe that names them.
    """
    unknown = [name for name in wanted if name not in labels.values()]
    if unknown or not wanted:
        problem = f"{model} has no label {unknown[0]!r}" if unknown else f"{where}.unsafe_labels is empty"
        raise UserError(problem, f"set {where}.unsafe_labels to some of: {', '.join(labels.values())}", 2)
    return {place: label for place, label in labels.items() if label in wanted}
