"""llava: conversations in LLaVA's JSON with an `images` folder, for instruction tuning.

One conversation per document: for each clip with text a question with its pictures (`<image>` once for each) and the
text as the answer. For trainers that take one picture, one conversation per clip with its middle picture. Pictures of
clips without text are left out. Costs one file per picture.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar, TextIO

from interlink.release.formats import Format
from interlink.release.settings import ReleaseSettings
from interlink.release.source import Picture, Sample, clip_text, spaced
from interlink.release.target import Target
from interlink.shards.document import Clip

FIRST = "What happens in this part of the video?"
NEXT = "And what happens next?"
MARK = "<image>"


class Llava(Format):
    """`llava/<split>.json` and `llava/images/<document>/<name>`; image paths are relative to `llava/images`."""

    name: ClassVar[str] = "llava"
    about: ClassVar[str] = "conversations in LLaVA's JSON, with a folder of images"

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        super().__init__(target, settings)
        self._files: dict[str, TextIO] = {}

    def add(self, sample: Sample) -> None:
        clips = [
            (number, clip, answer, pictures)
            for number, (clip, pictures) in enumerate(
                zip(sample.document.clips, sample.pictures_of_clips(), strict=True)
            )
            if (answer := clip_text(clip, self.settings.texts))
        ]
        if self.settings.conversation == "document":
            if clips:
                self._add_conversation(sample, sample.key, clips)
            return
        for number, clip, answer, pictures in clips:
            if pictures:
                self._add_conversation(
                    sample, f"{sample.key}-{number:03d}", [(number, clip, answer, spaced(pictures, 1))]
                )

    def close(self) -> None:
        for split, file in self._files.items():
            file.write("\n]\n")
            file.close()
            self.target.finish(f"llava/{split}.json")

    def _add_conversation(
        self, sample: Sample, key: str, clips: Sequence[tuple[int, Clip, str, list[tuple[Picture, float]]]]
    ) -> None:
        """One conversation about these clips: (number, clip, answer, pictures with times)."""
        turns: list[dict[str, str]] = []
        images: list[str] = []
        times: list[float] = []
        for _, _, answer, pictures in clips:
            for picture, time in pictures:
                path = f"{sample.key}/{picture.name}"
                self.target.write(f"llava/images/{path}", picture.data, one_of_many=True)
                images.append(path)
                times.append(time)
            question = MARK * len(pictures) + ("\n" if pictures else "") + (NEXT if turns else FIRST)
            turns.append({"from": "human", "value": question})
            # Readers count the placeholders of images, video and audio, so a text must not contain them.
            turns.append({"from": "gpt", "value": re.sub(r"<(image|video|audio)>", r"\1", answer)})
        entry: dict[str, Any] = {"id": key}
        if images:
            entry["image"] = images[0] if len(images) == 1 else images
        entry |= {"conversations": turns, "times": times}
        entry["clips"] = [
            {"clip": number, "start": clip.start, "end": clip.end, "images": len(pictures)}
            for number, clip, _, pictures in clips
        ]
        if sample.split not in self._files:
            file = self.target.begin(f"llava/{sample.split}.json")
            self._files[sample.split] = file.open("w", encoding="utf-8", newline="\n")
        comma = ",\n" if self.records.get(sample.split) else "[\n"
        self._files[sample.split].write(comma + json.dumps(entry, ensure_ascii=False))
        self.count(sample.split)
