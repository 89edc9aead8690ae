"""The orders in which frames and texts can be told, but for assignment. Microseconds a clip; nothing is drawn.

clip              for each clip its frames, then its texts: Howto-Interlink7M (COSMO, s3)
temporal          frames, speech and on-screen text merged by time: the Multimodal Textbook
sentence          each sentence after the frames that are shown until it ends
step              the frames of all clips of a step, then their texts
next_utterance    each utterance before the frames that are shown with it, so that frames and words foretell the next
                  (MV-GPT)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from interlink.interleave.evidence import Line, ToldClip
from interlink.interleave.pieces import Piece, Shown, Told
from interlink.interleave.policy import Policy
from interlink.interleave.settings import InterleaveSettings
from interlink.shards.document import Role, join
from interlink.text.sentences import split
from interlink.text.words import content_words, words

_OPENS_STEP = re.compile(
    r"(?:and |so |okay |ok |now |alright |all right )*"
    r"(?:first|firstly|second|secondly|third|thirdly|next|then|after that|finally|lastly|last|step (?:\d+|\w+)|"
    r"to (?:start|begin|finish)|the (?:next|last|first|second|third) (?:thing|step))\b"
)


class ClipPolicy(Policy):
    """For each clip its frames, then its texts whole."""

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            pieces += shown(place, clip)
            pieces += told_whole(place, clip)
        return pieces


class TemporalPolicy(Policy):
    """Everything at its time, within a clip: its caption or narration as it begins, frames, lines on screen, speech."""

    _order: ClassVar[dict[str, int]] = {"narration": 0, "caption": 1, "ocr": 3, "speech": 4}  # 2: a frame

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            timed: list[tuple[float, int, int, Piece]] = [
                (frame.time, 2, n, Shown(place, n)) for n, frame in enumerate(clip.frames)
            ]
            for role in clip.told:
                for n, line in enumerate(clip.lines(role)):
                    timed.append((line.start, self._order[role], n, _told(place, role, line)))
            pieces += [piece for *_, piece in sorted(timed, key=lambda entry: entry[:3])]
        return pieces


class SentencePolicy(Policy):
    """Texts cut into sentences; before each the frames that are shown until it ends, at last the frames left."""

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            told = sentences(place, clip)
            frames = shown(place, clip)
            done = 0
            for number, sentence in enumerate(told):
                last = number == len(told) - 1
                while done < len(frames) and (last or clip.frames[done].time < sentence.end):
                    pieces.append(frames[done])
                    done += 1
                pieces.append(sentence)
            pieces += frames[done:]
        return pieces


class StepPolicy(Policy):
    """Clips of one step of the task together: all their frames, then all their texts.

    A step begins where the speech says so (first, next, after that, …), where a clip's words have too little to do with
    those of the clip before, and where the step would be too long.
    """

    reads: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, settings: InterleaveSettings) -> None:
        self._settings = settings.step

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for step in self.steps(clips):
            for place in step:
                pieces += shown(place, clips[place])
            for place in step:
                pieces += told_whole(place, clips[place])
        return pieces

    def steps(self, clips: Sequence[ToldClip]) -> list[list[int]]:
        """The places of the clips of each step."""
        found: list[list[int]] = []
        for place, clip in enumerate(clips):
            if found and len(found[-1]) < self._settings.most_clips and self._goes_on(clips[place - 1], clip):
                found[-1].append(place)
            else:
                found.append([place])
        return found

    def _goes_on(self, before: ToldClip, clip: ToldClip) -> bool:
        if clip.speech and _OPENS_STEP.match(" ".join(words(clip.speech[0].text))):
            return False
        a, b = (set(content_words(_all_text(one))) for one in (before, clip))
        if not a or not b:
            return True  # nothing says that another step begins
        return len(a & b) / min(len(a), len(b)) >= self._settings.overlap


class NextUtterancePolicy(Policy):
    """Speech only: each sentence, then the frames that are shown from its start to the next one's."""

    roles: ClassVar[frozenset[str]] = frozenset(("speech",))

    def arrange(self, clips: Sequence[ToldClip], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            timed: list[tuple[float, int, int, Piece]] = [
                (frame.time, 1, n, Shown(place, n)) for n, frame in enumerate(clip.frames)
            ]
            timed += [(line.start, 0, n, _told(place, "speech", line)) for n, line in enumerate(_spoken(clip))]
            pieces += [piece for *_, piece in sorted(timed, key=lambda entry: entry[:3])]
        return pieces


def shown(place: int, clip: ToldClip) -> list[Piece]:
    """All frames of a clip."""
    return [Shown(place, number) for number in range(len(clip.frames))]


def told_whole(place: int, clip: ToldClip) -> list[Piece]:
    """The texts of a clip, one piece a role."""
    pieces: list[Piece] = []
    for role in clip.told:
        lines = clip.lines(role)
        if len(lines) == 1:
            pieces.append(_told(place, role, lines[0]))
            continue
        text = " ".join(line.text for line in lines)
        pieces.append(Told(place, role, text, lines[0].start, max(line.end for line in lines)))
    return pieces


def sentences(place: int, clip: ToldClip) -> list[Told]:
    """The texts of a clip as sentences with times, in order of time; those of a caption share the clip evenly."""
    timed: list[tuple[float, int, int, Told]] = []
    for rank, role in enumerate(clip.told):
        for line in clip.lines(role):
            # Speech and lines on screen come as they were said and read.
            parts = split(line.text) if role in ("narration", "caption") else [line.text]
            length = (line.end - line.start) / len(parts)
            for number, part in enumerate(parts):
                start = line.start + number * length
                one = Told(place, role, part, start, max(start, min(line.end, start + length)))
                timed.append((start, rank, len(timed), one))
    return [one for *_, one in sorted(timed, key=lambda entry: entry[:3])]


def _spoken(clip: ToldClip) -> tuple[Line, ...]:
    return clip.speech if "speech" in clip.told else ()


def _told(place: int, role: Role, line: Line) -> Told:
    return Told(place, role, line.text, line.start, line.end)


def _all_text(clip: ToldClip) -> str:
    return join(line.text for role in clip.told for line in clip.lines(role))
