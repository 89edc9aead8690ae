"""keyframes: finds a video's clips and the frames that represent each, from one open and one pass.

Costs the decoding of the keyframes, and of the groups of pictures in which a cut may lie
(docs/explanation/watching.md); memory for two such groups and a few dozen pictures. Times are presentation times of the
container, in its own clock: if the first frame is not at 0, `start` holds its time and nothing is subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

from interlink.engines.detector import check_detector, make_detector
from interlink.errors import StageError
from interlink.fetch.facts import working_seconds
from interlink.segment.settings import make_segmenter
from interlink.segment.verdict import Segmenter, Video
from interlink.settings import Settings
from interlink.stage import Context, Item, PerItem, Resources, Row
from interlink.stages.keyframes_settings import KeyframesSettings

if TYPE_CHECKING:
    from interlink.engines.faces import Faces
    from interlink.media.decode import Decoded
    from interlink.media.look import Look
    from interlink.media.probe import Probe
    from interlink.segment.clips import Clip

OVER = 0.5  # seconds; clips begin and end at pictures, so that they may be longer than `max_clip` by a picture


class Keyframes(PerItem):
    """One row per video: its clips, each with frames as JPEG. The schema is tables.KEYFRAMES."""

    name: ClassVar[str] = "keyframes"
    version: ClassVar[int] = 6
    isolated: ClassVar[bool] = True
    settings_class: ClassVar[type[Settings]] = KeyframesSettings

    def __init__(self, settings: KeyframesSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.settings: KeyframesSettings = settings
        self.faces: Faces | None = None

    @staticmethod
    def needs(settings: KeyframesSettings) -> tuple[str, ...]:
        follows = settings.segmenter_class.needs(settings.of_segmenter)
        asks = settings.speech_weight > 0 or settings.faces != "none"
        listens = ("transcribe",) if asks and "transcribe" not in follows else ()
        return ("download", *follows, *listens)

    @staticmethod
    def unfilled(settings: KeyframesSettings) -> dict[str, str]:
        return {"clips.talking": "faces: mtcnn"} if settings.faces == "none" else {}

    @staticmethod
    def costly(settings: KeyframesSettings) -> bool:
        return True

    @classmethod
    def expected_seconds(cls, settings: KeyframesSettings, megabytes: float, local: bool) -> float:
        return 0.2 + 0.15 * megabytes

    @staticmethod
    def resources(settings: KeyframesSettings) -> Resources:
        # Twice the bytes, for pickling, and 200 MB for x264.
        files = 2 * settings.clip_megabytes + 200 if _wants_files(settings) else 0
        return Resources(cpus=1.0, memory_mb=settings.segmenter_class.memory_mb(settings.of_segmenter) + files)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        clips = [clip for row in rows if row["status"] == "ok" for clip in row["clips"]]
        return {"clips": len(clips), "frames": sum(len(clip["frames"]) for clip in clips)}

    @staticmethod
    def check(settings: KeyframesSettings, context: Context) -> None:
        settings.segmenter_class.check(settings.of_segmenter)
        check_detector(settings.faces)

    def open(self) -> None:
        self.settings.segmenter_class.prepare(self.settings.of_segmenter)
        self.faces = make_detector(self.settings.faces)

    def deadline(self, item: Item) -> float:
        row, settings = item.rows["download"], self.settings
        work = working_seconds(row, settings.deadline_per_second, settings.deadline_per_megabyte)
        return settings.deadline_seconds + work

    def process(self, item: Item) -> Row:
        from interlink.media.decode import Unusable
        from interlink.media.probe import describe, local_media, open_media

        if not item.rows["download"]["media"]:  # a pair or a page has no video
            from interlink.media.pictures import row_of_pictures

            return row_of_pictures(item, self.settings.short_side, self.settings.quality)
        screen, spoken = _Screen(), _spoken(item, self.settings)
        video = Video(item.rows, lambda: screen.picture)
        segmenter = make_segmenter(self.settings, video)  # before the file is opened: it may raise Dropped
        with local_media(item) as path:
            for full in (False, True):
                with open_media(path) as container:
                    probe = describe(container, path)
                    self._check(probe)
                    one = _Pass(self.settings, container, probe, segmenter, screen, spoken, full, self.faces)
                    try:
                        row = one.row(item.id)
                    except Unusable:
                        segmenter = make_segmenter(self.settings, video)
                        continue  # the full decode finds the fault, and keeps what can be decoded
                if _wants_files(self.settings):
                    from interlink.media.clipblobs import add_files

                    wanted = self.settings
                    limit = wanted.clip_megabytes * 2**20
                    lost = add_files(
                        path,
                        row.fields["clips"],
                        wanted.clip_files,
                        wanted.clip_audio,
                        wanted.clip_height,
                        limit,
                        one.seeks,
                    )
                    row = _with_loss(row, probe.name, lost)
                return row
        raise AssertionError("a full decode is never unusable")

    def _check(self, probe: Probe) -> None:
        if probe.video is None:
            kinds = ", ".join(sorted({stream.kind for stream in probe.streams if not stream.cover})) or "no"
            raise StageError("no_video", f"{probe.name}: no video stream ({kinds} streams only)")
        if not probe.video.codec:
            raise StageError("unsupported", f"{probe.name}: no decoder for its video stream (unknown or encrypted)")
        limit, stated = self.settings.max_seconds, probe.stated
        if limit and stated and stated > limit:
            raise StageError("too_long", f"{probe.name}: {stated:.0f} s, the recipe allows {limit:.0f} s")


@dataclass
class _Screen:
    """The decoded picture of the look that is being fed."""

    picture: Any = None


class _Pass:
    """One pass over an open video: sparse, or a full decode (`full`) where a sparse pass is not possible."""

    def __init__(
        self,
        settings: KeyframesSettings,
        container: Any,
        probe: Probe,
        segmenter: Segmenter,
        screen: _Screen,
        spoken: Sequence[tuple[float, float]] | None,
        full: bool,
        faces: Faces | None = None,
    ) -> None:
        """spoken: intervals of speech, for the choice of frames."""
        from interlink.media.choose import Pool, Speech
        from interlink.media.finish import Treatment
        from interlink.media.jpeg import JpegMaker
        from interlink.media.look import Looker
        from interlink.media.speakers import Speakers
        from interlink.segment.clips import Choice, Clips
        from interlink.segment.lengths import Lengths

        assert probe.video is not None
        self.settings, self.container, self.probe, self.video = settings, container, probe, probe.video
        self.looker = Looker()
        self.maker = JpegMaker(settings.short_side, settings.quality, probe.video.sar)
        self.segmenter, self.screen = segmenter, screen
        longest, lengths = settings.max_clip, Lengths(settings.min_clip, settings.max_clip)
        if segmenter.lengths is not None:  # clips of given lengths
            longest = max([longest, *(min(end, probe.stated or 3600.0) - start for start, end in segmenter.lengths)])
            lengths = Lengths(settings.min_clip, inf)
        # Half-second cells, but several in a short clip and no more than about a hundred in a long one.
        cell = max(min(0.5, longest / 8), longest / 80)
        self.speech = Speech(spoken, settings.speech_weight)
        how, count = settings.choice, settings.frames_per_clip
        self.choice = Choice(how, count, settings.min_novelty, settings.min_clip, self.speech)
        self.clips = Clips(self.segmenter, lengths, Pool(cell), self.choice)
        self.full = full or settings.decode == "full" or self.segmenter.spacing == 0
        self.start: float | None = None  # time of the first picture, seconds
        self.treatment = Treatment()
        self.seeks = True  # whether each time occurs once
        self.speakers = Speakers(faces, self.speech, self.looker)

    def row(self, item_id: str) -> Row:
        """The row. Raises Unusable where the sparse pass cannot continue."""
        from interlink.media.decode import Unusable
        from interlink.media.rows import clip_row, span_rows

        end, count, loss = self._watch_all() if self.full else self._watch_sparsely()
        if self.start is None:
            if not self.full:
                raise Unusable("no picture")
            raise StageError("unreadable", loss or f"{self.probe.name}: no picture could be decoded")
        self.clips.finish(end)
        clips, loss = self._bounded(self._filled(), loss)
        duration = round(end - self.start, 6)
        fields = {
            "duration": duration,
            "start": self.start,
            "width": self.size[0],
            "height": self.size[1],
            "fps": round(count / duration, 3),
            "codec": self.video.codec,
            "rotation": self.rotation,
            "decoded": "all" if self.full else "sparse",
            "black": span_rows(self.clips.facts.black),
            "frozen": span_rows(self.clips.facts.frozen),
            "picture": self.treatment.column(),
            "clips": [clip_row(clip) for clip in clips],
        }
        return Row(item_id, fields, partial=bool(loss), message=loss)

    def _watch_sparsely(self) -> tuple[float, int, str]:
        """Feeds the pictures that the plan decodes. Returns (end, number of pictures, what could not be read)."""
        from interlink.media.packets import Packets
        from interlink.media.sparse import Sparse
        from interlink.segment.evidence import Evidence

        packets = Packets(self.container, self.probe)
        sparse = Sparse(packets, self.looker, Evidence(self.segmenter.spacing, cuts=self.segmenter.cuts))
        self.clips.times, self.treatment = sparse.times, sparse.treatment
        for decoded, look in sparse:
            self._begin(decoded)
            self._check_length(sparse.times[-1] if sparse.times else decoded.time)
            self._feed(decoded, look)
        return packets.end, packets.count, packets.loss()

    def _watch_all(self) -> tuple[float, int, str]:
        """Feeds every picture. Returns (end, number of pictures, what could not be read)."""
        from av.error import FFmpegError

        from interlink.media.decode import Frames

        frames, count = Frames(self.container, self.probe), 0
        self.treatment = frames.treatment
        try:
            for decoded in frames:
                self._begin(decoded)
                self._check_length(decoded.time)
                count += 1
                self.clips.times.append(decoded.time)
                self._feed(decoded, self.looker.look(decoded.time, decoded.frame))
        except FFmpegError as error:  # a decoder that cannot start, or a picture that cannot be scaled
            frames.stopped = str(error.strerror or error)
            if self.start is None:
                raise StageError("unsupported", f"{self.probe.name}: {self.video.codec}: {error.strerror}") from error
        self.seeks = frames.restarts.at is None
        return frames.end, count, frames.loss()

    def _begin(self, decoded: Decoded) -> None:
        """Reads the start time and the orientation from the first picture."""
        from interlink.media.orientation import orientation_of
        from interlink.media.probe import square_pixels

        if self.start is None:
            frame, self.start = decoded.frame, decoded.time
            turn = orientation_of(frame)
            self.rotation = turn.rotation
            self.size = turn.size(*square_pixels(frame.width, frame.height, self.video.sar))

    def _feed(self, decoded: Decoded, look: Look) -> None:
        from interlink.media.choose import Still

        self.screen.picture = decoded.frame
        still = Still(decoded.frame, look, self.looker, self.maker)
        self.clips.feed(still, sound=not decoded.damaged, speaker=self.speakers.at(decoded, self.size))

    def _filled(self) -> list[Clip]:
        """The clips, with their wanted pictures read in a second pass. A clip without pictures joins its neighbour."""
        from interlink.media.choose import Candidate, Chosen, Still
        from interlink.media.exact import pictures
        from interlink.media.look import distance
        from interlink.segment.merge import merged

        wanted = {time: clip for clip in self.clips.done for time in clip.wanted}
        found: dict[float, list[Chosen]] = {}
        for time, frame in pictures(self.container, self.video.index, sorted(wanted), self.seeks) if wanted else ():
            look = self.looker.look(time, frame)
            still = Still(frame, look, self.looker, self.maker)
            still.jpeg()
            before = found.setdefault(wanted[time].start, [])
            novelty = min((distance(look.luma, each.candidate.thumbnail) for each in before), default=1.0)
            candidate = Candidate(time, 0, True, still.sharpness(), look.luma, still)
            if candidate.black and self.settings.choice == "best":
                continue
            before.append(Chosen(candidate, novelty, self.speech.at(time)))
        clips: list[Clip] = []
        orphan: float | None = None
        for clip in self.clips.done:
            seen = clip.sharpness is not None or clip.start in found
            clip.chosen = found.get(clip.start, clip.chosen)
            clip.start, orphan = (clip.start if orphan is None else orphan), None
            if clip.chosen or seen:  # a clip that shows nothing, or a transition, has no frames
                clips.append(clip)
            elif clips:
                clips[-1].end = clip.end
            else:
                orphan = clip.start
        if not self.segmenter.cuts or self.segmenter.lengths is not None or self.choice.how != "best":
            return clips
        return merged(clips, self.settings.merge_below, self.settings.max_clip, self.choice.of_both)

    def _bounded(self, clips: list[Clip], loss: str) -> tuple[list[Clip], str]:
        """Ends a clip after `max_clip` if its last picture lasts longer (a pause of an hour), and says so."""
        left, most = 0.0, self.settings.max_clip
        for clip in clips:
            over = clip.end - clip.start - most
            if self.segmenter.lengths is None and over > OVER + 0.05 * most:
                clip.end, left = round(clip.start + most, 6), left + over
        if not left:
            return clips, loss
        rest = f"{left:.1f} s without a new picture are in no clip (keyframes.max_clip is {most:g} s)"
        return clips, f"{loss}; {rest}" if loss else f"{self.probe.name}: {rest}"

    def _check_length(self, time: float) -> None:
        limit = self.settings.max_seconds
        if limit and self.start is not None and time - self.start > limit:
            raise StageError("too_long", f"{self.probe.name}: the recipe allows {limit:.0f} s, the video is longer")


def _spoken(item: Item, settings: KeyframesSettings) -> list[tuple[float, float]] | None:
    """Intervals of sentences, in order; None where the recipe does not use the transcript."""
    if "transcribe" not in Keyframes.needs(settings):
        return None
    return sorted((one["start"], one["end"]) for one in item.rows["transcribe"]["sentences"])


def _with_loss(row: Row, name: str, lost: str) -> Row:
    """The row, partial if some of the clips' sound could not be read."""
    if not lost:
        return row
    return replace(row, partial=True, message="; ".join(filter(None, [row.message, f"{name}: {lost}"])))


def _wants_files(settings: KeyframesSettings) -> bool:
    return settings.clip_files != "none" or settings.clip_audio != "none"
