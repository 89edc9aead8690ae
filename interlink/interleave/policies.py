"""The orders of frames and texts, except assignment. Costs microseconds per clip; nothing is random.

clip              for each clip its frames, then its texts: Howto-Interlink7M (COSMO, s3)
temporal          frames, speech and on-screen text merged by time: the Multimodal Textbook
sentence          each sentence after the frames that are shown until it ends
step              the frames of all clips of a step, then their texts
next_utterance    each utterance before the frames shown with it, so that frames and words predict the next one
                  (MV-GPT)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from interlink.interleave.clock import divided, span_of
from interlink.interleave.evidence import ClipEvidence, Line
from interlink.interleave.pieces import FramePiece, Piece, TextPiece
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
    """For each clip its frames, then each of its texts as one piece."""

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            pieces += all_frames(place, clip)
            pieces += whole_texts(place, clip)
        return pieces


class TemporalPolicy(Policy):
    """Frames, lines on screen and speech by time within a clip, after its narration and caption.

    A caption that is the speech goes by time as well, sentence by sentence.
    """

    _order: ClassVar[dict[str, int]] = {"narration": 0, "caption": 1, "ocr": 3, "speech": 4}  # 2: a frame

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            timed: list[tuple[float, int, int, Piece]] = [
                (frame.time, 2, n, FramePiece(place, n)) for n, frame in enumerate(clip.frames)
            ]
            for role in clip.roles:
                for line in clip.lines(role):
                    texts = _parts(place, clip, role, line) if line.spoken else [_text_piece(place, role, line)]
                    timed += [(text.start, self._order[role], len(timed), text) for text in texts]
            pieces += [piece for *_, piece in sorted(timed, key=lambda entry: entry[:3])]
        return pieces


class SentencePolicy(Policy):
    """Texts as sentences: before each one the frames shown until it ends, before the last one all that remain."""

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            texts = sentences(place, clip)
            frames = all_frames(place, clip)
            done = 0
            for number, sentence in enumerate(texts):
                last = number == len(texts) - 1
                while done < len(frames) and (last or clip.frames[done].time < sentence.end):
                    pieces.append(frames[done])
                    done += 1
                pieces.append(sentence)
            pieces += frames[done:]
        return pieces


class StepPolicy(Policy):
    """The clips of one step of the task together: all their frames, then all their texts.

    A step begins where the speech says so (first, next, after that, …), where a clip's words overlap too little with
    those of the previous clip, and where the step would be too long.
    """

    reads: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(self, settings: InterleaveSettings) -> None:
        self._settings = settings.step

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for step in self.steps(clips):
            for place in step:
                pieces += all_frames(place, clips[place])
            for place in step:
                pieces += whole_texts(place, clips[place])
        return pieces

    def steps(self, clips: Sequence[ClipEvidence]) -> list[list[int]]:
        """The indices of each step's clips."""
        found: list[list[int]] = []
        for place, clip in enumerate(clips):
            if found and len(found[-1]) < self._settings.most_clips and self._continues(clips[place - 1], clip):
                found[-1].append(place)
            else:
                found.append([place])
        return found

    def _continues(self, before: ClipEvidence, clip: ClipEvidence) -> bool:
        if clip.speech and _OPENS_STEP.match(" ".join(words(clip.speech[0].text))):
            return False
        a, b = (set(content_words(_all_text(one))) for one in (before, clip))
        if not a or not b:
            return True  # nothing indicates a new step
        return len(a & b) / min(len(a), len(b)) >= self._settings.overlap


class NextUtterancePolicy(Policy):
    """Speech only: each sentence, then the frames shown from its start to the start of the next one."""

    roles: ClassVar[frozenset[str]] = frozenset(("speech",))

    def arrange(self, clips: Sequence[ClipEvidence], seed: str) -> list[Piece]:
        pieces: list[Piece] = []
        for place, clip in enumerate(clips):
            timed: list[tuple[float, int, int, Piece]] = [
                (frame.time, 1, n, FramePiece(place, n)) for n, frame in enumerate(clip.frames)
            ]
            timed += [(line.start, 0, n, _text_piece(place, "speech", line)) for n, line in enumerate(_speech(clip))]
            pieces += [piece for *_, piece in sorted(timed, key=lambda entry: entry[:3])]
        return pieces


def all_frames(place: int, clip: ClipEvidence) -> list[Piece]:
    """All frames of a clip."""
    return [FramePiece(place, number) for number in range(len(clip.frames))]


def whole_texts(place: int, clip: ClipEvidence) -> list[Piece]:
    """The texts of a clip, one piece per role."""
    pieces: list[Piece] = []
    for role in clip.roles:
        lines = clip.lines(role)
        if len(lines) == 1:
            pieces.append(_whole(place, clip, role, lines[0]))
            continue
        text = " ".join(line.text for line in lines)
        pieces.append(TextPiece(place, role, text, lines[0].start, max(line.end for line in lines)))
    return pieces


def sentences(place: int, clip: ClipEvidence) -> list[TextPiece]:
    """The texts of a clip as sentences, in order of time."""
    timed: list[tuple[float, int, int, TextPiece]] = []
    for rank, role in enumerate(clip.roles):
        for line in clip.lines(role):
            timed += [(one.start, rank, len(timed), one) for one in _parts(place, clip, role, line)]
    return [one for *_, one in sorted(timed, key=lambda entry: entry[:3])]


def _parts(place: int, clip: ClipEvidence, role: Role, line: Line) -> list[TextPiece]:
    """The sentences of a text. A caption that is speech has the sentences of the speech, with their times; those of
    other captions divide the clip's time evenly. Speech comes as sentences already, each line on screen is one text."""
    if line.spoken:
        own = divided(line.text, line.spoken)
        return [TextPiece(place, role, part, *_within(clip, start, end)) for part, start, end in own]
    parts = split(line.text) if role in ("narration", "caption") else [line.text]
    length = (line.end - line.start) / len(parts)
    found = []
    for number, part in enumerate(parts):
        start = line.start + number * length
        found.append(TextPiece(place, role, part, start, max(start, min(line.end, start + length))))
    return found


def _whole(place: int, clip: ClipEvidence, role: Role, line: Line) -> TextPiece:
    """A text of one line, with the times of its words where it is speech whose words have times."""
    if not any(word.exact for word in line.spoken):
        return _text_piece(place, role, line)
    return TextPiece(place, role, line.text, *_within(clip, *span_of(line.text, line.spoken)))


def _within(clip: ClipEvidence, start: float, end: float) -> tuple[float, float]:
    """Times cut to the clip, so that texts stay in the order of time."""
    start = min(max(start, clip.start), clip.end)
    return start, max(start, min(end, clip.end))


def _speech(clip: ClipEvidence) -> tuple[Line, ...]:
    return clip.speech if "speech" in clip.roles else ()


def _text_piece(place: int, role: Role, line: Line) -> TextPiece:
    return TextPiece(place, role, line.text, line.start, line.end)


def _all_text(clip: ClipEvidence) -> str:
    return join(line.text for role in clip.roles for line in clip.lines(role))
