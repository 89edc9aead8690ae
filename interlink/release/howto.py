"""howto: the TSV files of Howto-Interlink7M.

`clips` is a JSON list of {"clip": "H:MM:SS - H:MM:SS", "clip_id", "caption"}, quoted like pandas does. The video has
two columns: first `video`, as in the hosted files, last `path`, which CosMo's loader reads. Times are whole seconds, as
published, since the video's first picture (rounded, a clip is never empty); other formats have exact times. Text only:
costs almost nothing.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, TextIO

from interlink.ids import keyed_hash
from interlink.release.about import FIELDS
from interlink.release.formats import Format
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, clip_text
from interlink.release.target import Target

LEAST = 2  # least clips of a document in the sampled variant: the number that CosMo's recipe uses at once


class Howto(Format):
    """`<name>_subset_w_<all|sampled>_clips_<train|val>.tsv`: one row per document, without clips that have no text."""

    name: ClassVar[str] = "howto"
    about: ClassVar[str] = "the TSV files of Howto-Interlink7M (`video`, `clips`, `path`): all clips, and sampled clips"
    loses: ClassVar[frozenset[str]] = frozenset(FIELDS)
    loader: ClassVar[str] = '`load_dataset("csv", data_files="howto/*_all_clips_train.tsv", sep="\\t")`'

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._files: dict[str, TextIO] = {}
        self._video, self._before = "", 0

    def add(self, sample: Sample) -> None:
        before, zero = self._clips_before(sample), sample.document.source.start or 0.0
        clips = [
            (
                number,
                {
                    "clip": clip_times(clip.start - zero, clip.end - zero),
                    "clip_id": str(before + number),
                    "caption": text,
                },
            )
            for number, clip in enumerate(sample.document.clips)
            if (text := clip_text(clip, self.settings.texts))
        ]
        if not clips:
            return
        kept = sampled([number for number, _ in clips], sample.key, self.settings)
        self._row("all", sample, [clip for _, clip in clips])
        self._row("sampled", sample, [clip for number, clip in clips if number in kept])

    def close(self) -> None:
        for path, file in self._files.items():
            file.close()
            self.target.finish(path)

    def _clips_before(self, sample: Sample) -> int:
        """Number of clips in the video's previous documents: clip ids count through a video, not a document."""
        video = sample.document.source.video_id
        before = self._before if video == self._video else 0
        self._video, self._before = video, before + len(sample.document.clips)
        return before

    def _row(self, variant: str, sample: Sample, clips: list[dict[str, Any]]) -> None:
        path = f"howto/{self.settings.name}_subset_w_{variant}_clips_{sample.split}.tsv"
        if path not in self._files:
            self._files[path] = self.target.begin(path).open("w", encoding="utf-8", newline="\n")
            self._files[path].write("video\tclips\tpath\n")
            if variant == "all":
                self.globs[sample.split] = path
        source = sample.document.source
        name = quoted(source.path or f"{source.video_id}.mp4")
        self._files[path].write(f"{name}\t{quoted(json.dumps(clips, ensure_ascii=False))}\t{name}\n")
        count = f"{variant}_{sample.split}"
        self.count(count)


def sampled(numbers: list[int], key: str, settings: ReleaseSettings) -> set[int]:
    """The clips of the sampled variant: those with the lowest keyed hashes, at least two if there are two."""
    wanted = max(LEAST, round(len(numbers) * settings.sampled_share))
    return set(sorted(numbers, key=lambda n: keyed_hash(settings.seed, f"clip:{key}:{n}"))[:wanted])


def quoted(cell: str) -> str:
    """A cell as pandas writes it: quoted, with inner quotes doubled, if it has a quote, a tab or a line break."""
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in '\t\n\r"') else cell


def clip_times(start: float, end: float) -> str:
    """`0:00:05 - 0:01:10`, to the nearest second; at least one second long."""
    first = max(0, round(start))
    return f"{_clock(first)} - {_clock(max(first + 1, round(end)))}"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
