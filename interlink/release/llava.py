"""llava: conversations in LLaVA's JSON with an `images` folder: what instruction tuning code reads.

One conversation a document: for each clip with text a question that carries its pictures (`<image>` once for each) and
the text as answer. Pictures of clips without text are left out. Costs a file for each picture.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, TextIO

from interlink.release.settings import ReleaseSettings
from interlink.release.source import Sample, clip_text
from interlink.release.target import Target

FIRST = "What happens in this part of the video?"
NEXT = "And what happens next?"
MARK = "<image>"


class Llava:
    """`llava/<split>.json` and `llava/images/<document>/<name>`; image paths are relative to `llava/images`."""

    name: ClassVar[str] = "llava"
    about: ClassVar[str] = "conversations in LLaVA's JSON, with a folder of images"

    def __init__(self, target: Target, settings: ReleaseSettings) -> None:
        self._target, self._settings = target, settings
        self._files: dict[str, TextIO] = {}
        self.records: dict[str, int] = {}
        self.globs: dict[str, str] = {}

    def add(self, sample: Sample) -> None:
        told = self._conversation(sample)
        if told is None:
            return
        if sample.split not in self._files:
            path = self._target.begin(f"llava/{sample.split}.json")
            self._files[sample.split] = path.open("w", encoding="utf-8", newline="\n")
        comma = ",\n" if self.records.get(sample.split) else "[\n"
        self._files[sample.split].write(comma + json.dumps(told, ensure_ascii=False))
        self.records[sample.split] = self.records.get(sample.split, 0) + 1

    def close(self) -> None:
        for split, file in self._files.items():
            file.write("\n]\n")
            file.close()
            self._target.finish(f"llava/{split}.json")

    def _conversation(self, sample: Sample) -> dict[str, Any] | None:
        turns: list[dict[str, str]] = []
        images: list[str] = []
        times: list[float] = []
        clips: list[dict[str, Any]] = []
        for number, (clip, pictures) in enumerate(zip(sample.document.clips, sample.pictures_of_clips(), strict=True)):
            answer = clip_text(clip, self._settings.texts)
            if not answer:
                continue
            for picture, time in pictures:
                path = f"{sample.key}/{picture.name}"
                self._target.write(f"llava/images/{path}", picture.data, one_of_many=True)
                images.append(path)
                times.append(time)
            question = MARK * len(pictures) + ("\n" if pictures else "") + (NEXT if turns else FIRST)
            turns.append({"from": "human", "value": question})
            # A reader counts the marks: one that is part of a text must not be taken for a picture.
            turns.append({"from": "gpt", "value": answer.replace(MARK, "image")})
            clips.append({"clip": number, "start": clip.start, "end": clip.end, "images": len(pictures)})
        if not turns:
            return None
        told: dict[str, Any] = {"id": sample.key}
        if images:
            told["image"] = images[0] if len(images) == 1 else images
        return {**told, "conversations": turns, "times": times, "clips": clips}
