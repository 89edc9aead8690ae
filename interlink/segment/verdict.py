"""What a segmenter is: it sees looks at the video's pictures once, in order, and says where clips begin.

Not every picture is looked at: a segmenter states how far apart the looks may lie, and nothing more is decoded for it.
Verdicts may come some looks late (a detector looks ahead), always in order of time, one per look. Bounded memory.
Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from interlink.media.look import Look
    from interlink.settings import Settings


@dataclass(frozen=True)
class Verdict:
    """boundary: a clip begins here. settled: not in or next to a transition, so fit to stand for its clip.

    A boundary that lies between two looks (a planned time) is a verdict of its own with that time, before the verdict
    of the later look; the clip then begins with the first picture at or after it.
    """

    time: float  # seconds
    boundary: bool
    settled: bool


@dataclass(frozen=True)
class Video:
    """What a segmenter may know of a video before its first picture.

    rows: table name -> the item's row, of the tables that it needs. picture: gives the decoded picture (PyAV) whose
    look is being fed, for a model that needs more than the look.
    """

    rows: Mapping[str, Mapping[str, Any]]
    picture: Callable[[], Any]


class Segmenter:
    """Finds where clips begin in one video, in one pass. Derive from it and say what differs from the defaults.

    settings: one of ours is given the recipe's block `keyframes`; a third-party one the mapping `options`, or an
    instance of its `settings_class` made from them. The static methods are asked before a segmenter is made, so its
    module imports heavy packages only in `prepare`.

    spacing: most seconds from one look to the next: 0 = every picture, inf = whatever is decoded anyway (about one
    picture per group of pictures). cuts: groups of pictures in which a cut may lie are decoded for it. lengths: start
    and end of clips whose lengths are given, so that `max_clip` divides none; None: they are not given. reads: the
    fields of the block that it reads, of those that belong to one segmenter.
    """

    settings_class: ClassVar[type[Settings] | None] = None
    reads: ClassVar[tuple[str, ...]] = ()
    cuts: bool = False
    spacing: float = float("inf")
    lengths: Sequence[tuple[float, float]] | None = None

    @classmethod
    def of(cls, settings: Any, video: Video) -> Segmenter:
        """The segmenter of one video. Raises Dropped where such a video cannot be divided."""
        raise NotImplementedError(f"{cls.__name__} must define of")

    @staticmethod
    def needs(settings: Any) -> tuple[str, ...]:
        """Tables that it reads: `transcribe`, `annotations`."""
        return ()

    @staticmethod
    def memory_mb(settings: Any) -> int:
        """Memory of a worker, in MB."""
        return 600

    @staticmethod
    def check(settings: Any) -> None:
        """Raises UserError where a package or a model is missing: before a build begins, in milliseconds."""

    @staticmethod
    def prepare(settings: Any) -> None:
        """Loads what it needs, once a process, on one thread."""

    def feed(self, look: Look) -> list[Verdict]:
        """Takes the next look; returns the verdicts that are ready now."""
        raise NotImplementedError(f"{type(self).__name__} must define feed")

    def finish(self) -> list[Verdict]:
        """The verdicts still owed after the last look."""
        return []
