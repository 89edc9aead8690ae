"""The base class of segmenters: a segmenter takes looks at the video's pictures once, in order, and finds clip starts.

Not every picture is looked at: a segmenter states how far apart the looks may be, and nothing more is decoded for it.
It may return verdicts some looks late (a detector looks ahead), but in order of time, one per look, and with bounded
memory. Imports nothing heavy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from interlink.media.look import Look
    from interlink.settings import Settings


@dataclass(frozen=True)
class Verdict:
    """boundary: a clip begins here. settled: not in or next to a transition, so fit to represent its clip.

    A boundary between two looks (a planned time) is a separate verdict with that time, before the verdict of the later
    look; the clip then begins with the first picture at or after it.
    """

    time: float  # seconds
    boundary: bool
    settled: bool


@dataclass(frozen=True)
class Video:
    """What a segmenter knows of a video before its first picture.

    rows: table name -> the item's row, for the tables it needs. picture: returns the decoded picture (PyAV) of the look
    that is being fed, for a model that needs more than the look.
    """

    rows: Mapping[str, Mapping[str, Any]]
    picture: Callable[[], Any]


class Segmenter(ABC):
    """Finds where clips begin in one video, in one pass. Derive from it and override the defaults.

    settings: a built-in segmenter gets the recipe's block `keyframes`; a third-party one the mapping `options`, or an
    instance of its `settings_class` made from them. The static methods are called before a segmenter is made, so its
    module must import heavy packages only in `prepare`.

    spacing: most seconds from one look to the next: 0 = every picture, inf = whatever is decoded anyway (about one
    picture per group of pictures). cuts: whether groups of pictures that may contain a cut are decoded. lengths: start
    and end of clips of given lengths, to which `max_clip` does not apply; None: no given lengths. reads: the fields of
    the block that it reads, of those that belong to one segmenter.
    """

    settings_class: ClassVar[type[Settings] | None] = None
    reads: ClassVar[tuple[str, ...]] = ()
    cuts: bool = False
    spacing: float = float("inf")
    lengths: Sequence[tuple[float, float]] | None = None

    @classmethod
    def of(cls, settings: Any, video: Video) -> Segmenter:
        """Makes the segmenter of one video, by default without settings. Raises Dropped where such a video cannot be
        divided."""
        return cls()

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
        """Raises UserError where a package or a model is missing. Called before a build begins; takes milliseconds."""

    @staticmethod
    def prepare(settings: Any) -> None:
        """Loads models, once per process, on one thread."""

    @abstractmethod
    def feed(self, look: Look) -> list[Verdict]:
        """Takes the next look; returns the verdicts that are ready now."""

    def finish(self) -> list[Verdict]:
        """The remaining verdicts after the last look."""
        return []
