"""Turns looks into finished clips: verdicts of a segmenter, lengths, candidate frames, chosen frames, facts.

One pass in order of time. Memory: the pictures that wait for a verdict and the candidates of open clips, both bounded
in bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from interlink.media.choose import HELD_BYTES, Chosen, Pool, Speech, Still, choose
from interlink.media.facts import Facts
from interlink.segment.lengths import Lengths, Span
from interlink.segment.verdict import Segmenter, Verdict

THIN = 0.5  # seconds between the pictures that are kept (encoded) when too many wait for a verdict


@dataclass(frozen=True)
class Choice:
    """How frames are chosen. `middle` and `uniform` choose times, which a second pass over the file reads."""

    how: Literal["best", "middle", "uniform"]
    count: int
    min_novelty: float
    min_shot: float  # seconds
    speech: Speech = field(default_factory=lambda: Speech())

    def of_both(self, before: Clip, after: Clip) -> list[Chosen]:
        """The best frames of two clips that become one, from those chosen for each."""
        candidates = [one.candidate for one in (*before.chosen, *after.chosen)]
        return choose(candidates, self.count, self.min_novelty, self.speech)


@dataclass
class Clip:
    """A finished clip. sharpness, light: medians over the candidate frames.

    wanted: times of pictures that must still be read, for `middle` or `uniform`, or because no picture of the clip was
    looked at.
    """

    start: float
    end: float
    chosen: list[Chosen]
    wanted: list[float]
    motion: float | None
    talking: float | None
    sharpness: float | None
    light: float | None


@dataclass
class _Waiting:
    still: Still | None
    time: float
    sound: bool
    speaker: bool | None


@dataclass
class Clips:
    """Feed it every look. `times`: those of all pictures, looked at or not; add them before the look of the latest."""

    segmenter: Segmenter
    lengths: Lengths
    pool: Pool
    choice: Choice
    times: deque[float] = field(default_factory=deque)
    done: list[Clip] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()  # pictures without a verdict yet
        self._held = 0  # bytes of those pictures
        self._thinned = -1e18
        self._due: float | None = None  # a boundary that begins a clip at the next picture at or after it
        self._began = False
        self._past: deque[float] = deque()  # times of the pictures of open clips

    def feed(self, still: Still, sound: bool, speaker: bool | None = None) -> None:
        """Takes the next picture. sound: whether it is undamaged. speaker: as in `Facts.feed`."""
        self._waiting.append(_Waiting(still, still.look.time, sound, speaker))
        self._held += still.size
        self._settle(self.segmenter.feed(still.look))
        self._thin()

    def finish(self, end: float) -> None:
        """Finishes the video at `end` seconds."""
        self._settle(self.segmenter.finish())
        self._pass(float("inf"))
        self.facts.finish(end)
        self._close(self.lengths.finish(end))

    def _settle(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self._pass(verdict.time)
            if verdict.boundary:
                self._due = verdict.time
            if not self._waiting or self._waiting[0].time != verdict.time:
                continue  # planned between two looks
            waiting = self._waiting.popleft()
            self._pass(verdict.time, including=True)
            begins, self._began = self._began, False
            still = waiting.still
            if still is not None:
                self._held -= still.size
                self.facts.feed(still.look, begins, waiting.speaker)
                self.pool.offer(still, verdict.settled, begins_shot=begins, damaged=not waiting.sound)

    def _pass(self, until: float, including: bool = False) -> None:
        """Assigns the pictures before `until` to their clips."""
        plain: list[float] = []
        while self.times and (self.times[0] < until or (including and self.times[0] == until)):
            time = self.times.popleft()
            if self._due is None or time < self._due:
                plain.append(time)
                continue
            self._count(plain)
            plain = []
            self._due, self._began = None, True
            spans = self.lengths.feed(time, True)
            if spans:
                self._close(spans)
            self._past.append(time)
        self._count(plain)

    def _count(self, times: list[float]) -> None:
        """Assigns pictures to the open clip."""
        self._past.extend(times)
        spans = self.lengths.pass_over(times)
        if spans:
            self._close(spans)

    def _thin(self) -> None:
        """Releases decoded pictures that wait for a segmenter with a long look-ahead."""
        for waiting in self._waiting:
            if self._held <= HELD_BYTES:
                return
            if waiting.still is None or not waiting.still.size:
                continue
            self._held -= waiting.still.size
            if waiting.time - self._thinned >= THIN:
                waiting.still.jpeg()
                self._thinned = waiting.time
            else:
                waiting.still = None

    def _close(self, spans: list[Span]) -> None:
        """Chooses the frames of clips that are final."""
        for start, end in spans:
            candidates = self.pool.take(start, end, self.choice.min_shot)
            # Where times are wanted, one frame is kept in case none of them can be read.
            count = self.choice.count if self.choice.how == "best" else 1
            chosen = choose(candidates, count, self.choice.min_novelty, self.choice.speech)
            for each in chosen:
                each.candidate.still.jpeg()  # releases the decoded picture
            motion, talking = self.facts.motion(start, end), self.facts.talking(start, end)
            sharpness = _median([candidate.sharpness for candidate in candidates])
            light = _median([candidate.light for candidate in candidates])
            wanted = self._wanted(start, end, bool(candidates))
            self.done.append(Clip(start, end, chosen, wanted, motion, talking, sharpness, light))

    def _wanted(self, start: float, end: float, filled: bool) -> list[float]:
        """The pictures nearest the middles of even parts of the clip, one part per wanted frame.

        `middle`, and a clip in which no picture was looked at, have one part.
        """
        inside = []
        while self._past and self._past[0] < end:
            inside.append(self._past.popleft())
        if not inside or (filled and self.choice.how == "best"):
            return []
        parts = self.choice.count if self.choice.how == "uniform" else 1
        length = (end - start) / parts
        targets = [start + length * (part + 0.5) for part in range(parts)]
        return sorted({min(inside, key=lambda time: abs(time - target)) for target in targets})


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
