"""Conversations about documents, shared by the formats `llava…` and `messages…`: questions with media, and answers.

A turn is a clip with text: a question with its pictures (or its video file), and the text as the answer. Clips without
text have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from interlink.release.settings import ReleaseSettings
from interlink.release.source import Picture, Sample, clip_text, spaced
from interlink.release.target import Target
from interlink.shards.document import Clip

FIRST = "What happens in this part of the video?"
NEXT = "And what happens next?"
IMAGE = "<image>"
VIDEO = "<video>"


@dataclass(frozen=True)
class Turn:
    """A question about one clip, and its answer. media: the number of pictures or videos that the question shows."""

    number: int
    clip: Clip
    question: str
    answer: str
    media: int

    def place(self) -> dict[str, Any]:
        """The clip of the answer, for the field `clips`."""
        return {"clip": self.number, "start": self.clip.start, "end": self.clip.end, "images": self.media}

    def asked(self, mark: str) -> str:
        """The question with a placeholder for each picture or video."""
        return mark * self.media + ("\n" if self.media else "") + self.question

    def answered(self) -> str:
        """The answer. Readers count the placeholders of images, video and audio, so it must not contain them."""
        return re.sub(r"<(image|video|audio)>", r"\1", self.answer)


@dataclass(frozen=True)
class Conversation:
    """Some turns about one document. pictures: of all turns, in order, with their times."""

    key: str
    turns: tuple[Turn, ...]
    pictures: tuple[tuple[Picture, float], ...] = ()

    @property
    def times(self) -> list[float]:
        return [time for _, time in self.pictures]


def about_document(sample: Sample, settings: ReleaseSettings) -> list[Conversation]:
    """One conversation with all pictures of all clips with text; none if no clip has text."""
    turns: list[Turn] = []
    shown: list[tuple[Picture, float]] = []
    for number, (clip, pictures) in enumerate(zip(sample.document.clips, sample.pictures_of_clips(), strict=True)):
        if answer := clip_text(clip, settings.texts):
            turns.append(Turn(number, clip, NEXT if turns else FIRST, answer, len(pictures)))
            shown += pictures
    return [Conversation(sample.key, tuple(turns), tuple(shown))] if turns else []


def about_clips(sample: Sample, settings: ReleaseSettings) -> list[Conversation]:
    """One conversation for each clip with text and a picture: its middle picture."""
    found = []
    for number, (clip, pictures) in enumerate(zip(sample.document.clips, sample.pictures_of_clips(), strict=True)):
        answer = clip_text(clip, settings.texts)
        if answer and pictures:
            turn = Turn(number, clip, FIRST, answer, 1)
            found.append(Conversation(f"{sample.key}-{number:03d}", (turn,), tuple(spaced(pictures, 1))))
    return found


def about_videos(sample: Sample, settings: ReleaseSettings) -> list[tuple[Conversation, str, bytes]]:
    """(conversation, name and bytes of its video) for each clip with text and a video file."""
    found = []
    for video in sample.videos():
        if answer := clip_text(video.clip, settings.texts):
            turn = Turn(video.number, video.clip, FIRST, answer, 1)
            found.append((Conversation(f"{sample.key}-{video.number:03d}", (turn,)), video.file.name, video.data))
    return found


def write_pictures(target: Target, folder: str, sample: Sample, pictures: Sequence[tuple[Picture, float]]) -> list[str]:
    """Writes pictures to `<folder>/<document>/<name>`. Returns their paths relative to `folder`."""
    paths = [f"{sample.key}/{picture.name}" for picture, _ in pictures]
    for path, (picture, _) in zip(paths, pictures, strict=True):
        target.write(f"{folder}/{path}", picture.data, one_of_many=True)
    return paths


class Lines:
    """One file of JSON entries for each split, `name(split)`: an array, or JSON lines."""

    def __init__(self, target: Target, name: Callable[[str], str], array: bool) -> None:
        self._target, self._name, self._array = target, name, array
        self._files: dict[str, TextIO] = {}

    def add(self, split: str, entry: dict[str, Any]) -> None:
        before = ",\n"
        if split not in self._files:
            self._files[split] = self._target.begin(self._name(split)).open("w", encoding="utf-8", newline="\n")
            before = "[\n"
        text = json.dumps(entry, ensure_ascii=False)
        self._files[split].write(before + text if self._array else text + "\n")

    def close(self) -> list[str]:
        """Finishes the files. Returns the splits that have one."""
        for split, file in self._files.items():
            file.write("\n]\n" if self._array else "")
            file.close()
            self._target.finish(self._name(split))
        return list(self._files)
