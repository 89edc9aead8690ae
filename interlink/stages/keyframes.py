"""keyframes: a video's clips, and the frames that stand for each, from one open and one pass.

Costs about twice a full decode on one core (10 times real time at 1080p, 60 at 240p) and memory for a few frames.
Times are presentation times of the container, in its own clock: where the first frame is not at 0, `start` says so and
nothing is subtracted.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from interlink.errors import StageError
from interlink.stage import Blob, Context, Item, PerItem, Resources, Row, Settings

if TYPE_CHECKING:
    from interlink.media.choose import Chosen
    from interlink.media.decode import Decoded
    from interlink.media.look import Look
    from interlink.media.probe import Probe
    from interlink.segment.lengths import Span
    from interlink.segment.verdict import Segmenter, Verdict


class KeyframesSettings(Settings):
    segmenter: Literal["shots", "fixed"] = Field(
        "shots", description="where clips begin: at changes of the picture (shots), or every `length` seconds (fixed)"
    )
    length: float = Field(10.0, gt=0, description="seconds of a clip with the fixed segmenter")
    min_clip: float = Field(0.3, ge=0, description="seconds; what is shorter joins its neighbour")
    max_clip: float = Field(20.0, gt=0, le=3600, description="seconds; what is longer is divided")
    frames_per_clip: int = Field(3, ge=1, le=64, description="most frames kept of a clip")
    min_novelty: float = Field(
        0.015, ge=0, le=1, description="least distance (0..1) of a frame to the ones already chosen in its clip"
    )
    short_side: int = Field(256, ge=16, description="pixels of the shorter side of a frame; never scaled up")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality")
    max_seconds: float = Field(0.0, ge=0, description="videos longer than this fail as too_long; 0 = no limit")
    deadline_seconds: float = Field(60.0, gt=0, description="an item counts as stalled after this many seconds, plus …")
    deadline_per_second: float = Field(4.0, ge=0, description="… this for each second of video, where it is known")
    deadline_per_megabyte: float = Field(30.0, ge=0, description="… or this for each megabyte, where it is not")

    @model_validator(mode="after")
    def _lengths_agree(self) -> KeyframesSettings:
        if self.min_clip > self.max_clip / 2:
            raise ValueError(f"min_clip ({self.min_clip}) must be at most half of max_clip ({self.max_clip})")
        return self


class Keyframes(PerItem):
    """One row per video: its clips, each with frames as JPEG. The schema is tables.KEYFRAMES."""

    name: ClassVar[str] = "keyframes"
    version: ClassVar[int] = 1
    isolated: ClassVar[bool] = True
    settings_class: ClassVar[type[Settings]] = KeyframesSettings

    def __init__(self, settings: KeyframesSettings, context: Context) -> None:
        self.settings = settings

    @staticmethod
    def needs(settings: KeyframesSettings) -> tuple[str, ...]:
        return ("download",)

    @staticmethod
    def costly(settings: KeyframesSettings) -> bool:
        return True

    @staticmethod
    def resources(settings: KeyframesSettings) -> Resources:
        return Resources(cpus=1.0, memory_mb=600)

    def deadline(self, item: Item) -> float:
        row, settings = item.rows["download"], self.settings
        seconds = _stated_seconds(row.get("info"))
        if seconds:
            return settings.deadline_seconds + settings.deadline_per_second * seconds
        return settings.deadline_seconds + settings.deadline_per_megabyte * (row.get("size") or 0) / 1e6

    def process(self, item: Item) -> Row:
        from interlink.media.probe import describe, local_media, open_media

        with local_media(item) as path, open_media(path) as container:
            probe = describe(container, path)
            self._check(probe)
            return _Pass(self.settings, container, probe).row(item.id)

    def _check(self, probe: Probe) -> None:
        if probe.video is None:
            kinds = ", ".join(sorted({stream.kind for stream in probe.streams if not stream.cover})) or "no"
            raise StageError("no_video", f"{probe.name}: no video stream ({kinds} streams only)")
        if not probe.video.codec:
            raise StageError("unsupported", f"{probe.name}: no decoder for its video stream (unknown or encrypted)")
        limit, stated = self.settings.max_seconds, probe.stated
        if limit and stated and stated > limit:
            raise StageError("too_long", f"{probe.name}: {stated:.0f} s, the recipe allows {limit:.0f} s")


class _Pass:
    """The one pass over one open video: decode, look, segment, keep candidates, choose when a clip is final."""

    def __init__(self, settings: KeyframesSettings, container: Any, probe: Probe) -> None:
        from interlink.media.choose import Pool
        from interlink.media.decode import Frames
        from interlink.media.jpeg import JpegMaker
        from interlink.media.look import Looker
        from interlink.segment.lengths import Lengths

        assert probe.video is not None
        self.settings, self.probe, self.video = settings, probe, probe.video
        self.frames = Frames(container, probe)
        self.looker = Looker()
        self.segmenter = _segmenter(settings)
        self.lengths = Lengths(settings.min_clip, settings.max_clip)
        maker = JpegMaker(settings.short_side, settings.quality, probe.video.sar)
        # Half-second cells, but several in a short clip and no more than about a hundred in a long one.
        self.pool = Pool(self.looker, maker, cell=max(min(0.5, settings.max_clip / 8), settings.max_clip / 80))
        self.waiting: deque[tuple[Decoded, Look]] = deque()  # frames whose verdict is still to come
        self.clips: list[dict[str, Any]] = []
        self.unfilled: float | None = None  # start of a span without any candidate, which joins the next

    def row(self, item_id: str) -> Row:
        first, count = self._watch()
        if first is None:
            raise StageError("unreadable", self.frames.loss() or f"{self.probe.name}: no picture could be decoded")
        start, turned, (width, height) = first
        duration = round(self.frames.end - start, 6)
        loss = self.frames.loss()
        fields = {
            "duration": duration,
            "start": start,
            "width": width,
            "height": height,
            "fps": round(count / duration, 3),
            "codec": self.video.codec,
            "rotation": turned,
            "clips": self.clips,
        }
        return Row(item_id, fields, partial=bool(loss), message=loss)

    def _watch(self) -> tuple[tuple[float, int, tuple[int, int]] | None, int]:
        """Runs the pass. Returns ((start, rotation, displayed size) of the first frame or None, number of frames)."""
        from av.error import FFmpegError

        from interlink.media.orientation import orientation_of
        from interlink.media.probe import square_pixels

        first, count = None, 0
        try:
            for decoded in self.frames:
                frame = decoded.frame
                if first is None:
                    turn = orientation_of(frame)
                    size = turn.size(*square_pixels(frame.width, frame.height, self.video.sar))
                    first = (decoded.time, turn.rotation, size)
                count += 1
                self._check_length(decoded.time - first[0])
                look = self.looker.look(decoded.time, frame)
                self.waiting.append((decoded, look))
                self._settle(self.segmenter.feed(look))
        except FFmpegError as error:  # a decoder that cannot start, or a picture that cannot be scaled
            self.frames.stopped = str(error.strerror or error)
            if first is None:
                raise StageError("unsupported", f"{self.probe.name}: {self.video.codec}: {error.strerror}") from error
        self._settle(self.segmenter.finish())
        self._close(self.lengths.finish(self.frames.end))
        return first, count

    def _settle(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            decoded, look = self.waiting.popleft()
            self._close(self.lengths.feed(verdict.time, verdict.boundary))
            settled = verdict.settled and not decoded.damaged
            self.pool.offer(look, decoded.frame, settled, begins_shot=verdict.boundary)

    def _close(self, spans: list[Span]) -> None:
        """Chooses the frames of clips that are final. One in which no frame was examined joins its neighbour."""
        from interlink.media.choose import choose

        for start, end in spans:
            start = start if self.unfilled is None else self.unfilled
            candidates = self.pool.take(start, end, self.settings.min_clip)
            chosen = choose(candidates, self.settings.frames_per_clip, self.settings.min_novelty)
            self.unfilled = None if chosen else start
            if chosen:
                self.clips.append({"start": start, "end": end, "frames": [_frame(each) for each in chosen]})
        if self.unfilled is not None and self.clips and spans:
            self.clips[-1]["end"] = spans[-1][1]
            self.unfilled = None

    def _check_length(self, seconds: float) -> None:
        limit = self.settings.max_seconds
        if limit and seconds > limit:
            raise StageError("too_long", f"{self.probe.name}: the recipe allows {limit:.0f} s, it goes on after that")


def _segmenter(settings: KeyframesSettings) -> Segmenter:
    if settings.segmenter == "fixed":
        from interlink.segment.fixed import Fixed

        return Fixed(settings.length)
    from interlink.segment.shots import Shots

    return Shots()


def _frame(chosen: Chosen) -> dict[str, Any]:
    candidate = chosen.candidate
    return {
        "time": candidate.time,
        "width": candidate.image.width,
        "height": candidate.image.height,
        "sharpness": round(candidate.sharpness, 3),
        "novelty": round(chosen.novelty, 6),
        "image": Blob(candidate.image.data, ".jpg"),
    }


def _stated_seconds(info: Any) -> float:
    """The duration that the site told, from the download row's JSON; 0 where it told none."""
    try:
        duration = json.loads(info or "{}").get("duration")
        return float(duration) if duration else 0.0
    except (ValueError, TypeError, AttributeError):
        return 0.0
