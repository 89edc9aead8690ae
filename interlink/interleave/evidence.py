"""Gathers what the tables hold on each clip: its frames, its texts with times, its scores."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from interlink.engines.regions import regions_of_clips
from interlink.engines.speech import sentences_of_clips
from interlink.interleave.clock import Spoken, spoken_words
from interlink.interleave.settings import InterleaveSettings
from interlink.shards.document import Role, count_tokens, join
from interlink.text.personal import scrub
from interlink.text.sentences import within

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Line:
    """A text; start, end: seconds. number: its index among the sentences of its clip and role in the score table.

    spoken: the words of a text that is speech in several sentences; empty for others.
    """

    text: str
    start: float
    end: float
    number: int = 0
    spoken: tuple[Spoken, ...] = ()


@dataclass(frozen=True)
class FrameAt:
    """A frame. number: its index in keyframes.clips[clip].frames; time: seconds."""

    number: int
    time: float


@dataclass(frozen=True)
class ClipEvidence:
    """What is known of a clip. number: its index in the keyframes table; start, end: seconds.

    caption, speech: empty where there is none; narration, ocr, regions, scores: None where the build has no such table.
    roles: the texts that become text segments of the document, in the order in which a clip lists them. spoken: the
    words of the caption where it is the clip's speech; else empty.
    """

    number: int
    start: float
    end: float
    frames: tuple[FrameAt, ...]
    caption: str
    speech: tuple[Line, ...]
    narration: str | None = None
    ocr: tuple[Line, ...] | None = None
    regions: tuple[Mapping[str, Any], ...] | None = None  # in the format of documents
    flag: str = ""  # of the narration
    caption_flag: str = ""
    roles: tuple[Role, ...] = ()
    spoken: tuple[Spoken, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)  # sharpness, light, motion of the keyframes table
    scores: Mapping[str, Any] | None = None  # its entry in the score table
    vectors: Mapping[tuple[str, int], bytes] = field(default_factory=dict)  # (role or "frame", number) -> float16

    @property
    def speech_text(self) -> str:
        """The speech as one text."""
        return " ".join(line.text for line in self.speech)

    def lines(self, role: Role) -> tuple[Line, ...]:
        """The texts of a role: a caption or narration is one; speech has one per sentence, ocr one per line."""
        if role == "speech":
            return self.speech
        if role == "ocr":
            return self.ocr or ()
        if role == "caption":
            return (Line(self.caption, self.start, self.end, spoken=self.spoken),) if self.caption else ()
        return (Line(self.narration, self.start, self.end),) if self.narration else ()

    def tokens(self) -> int:
        """Tokens of all texts in `roles`."""
        return sum(count_tokens(line.text) for role in self.roles for line in self.lines(role))


def gather(rows: Rows, settings: InterleaveSettings, roles: frozenset[str], vectors: bool) -> list[ClipEvidence]:
    """The clips of one video, in order. roles: the texts the policy places; vectors: whether to load those of score."""
    clips = rows["keyframes"]["clips"]
    language = rows["transcribe"].get("language") or ""
    clean = partial(_scrubbed, language) if settings.scrub else join
    captions = {row["clip"]: clean([row["caption"] or ""]) for row in rows["caption"]["clips"]}
    flags = {row["clip"]: row.get("flag") or "" for row in rows["caption"]["clips"]}
    narrations = {row["clip"]: row for row in rows["narrate"]["clips"]} if "narrate" in rows else None
    said = sentences_of_clips(clips, rows["transcribe"]["sentences"])  # as the caption stage assigned them
    shift = _shift(rows, settings)
    speech = sentences_of_clips(clips, _shifted(rows, shift)) if shift else said
    screen = _screen(rows["ocr"], clips, clean) if "ocr" in rows else None
    scores = {row["clip"]: row for row in rows["score"]["clips"]} if "score" in rows else None
    parts = regions_of_clips(clips, rows["regions"], clean) if "regions" in rows else None
    kept = _vectors(rows["score"]) if vectors else {}
    found = []
    for number, clip in enumerate(clips):
        frames = sorted(enumerate(frame["time"] for frame in clip["frames"]), key=lambda pair: (pair[1], pair[0]))
        narrated = narrations.get(number) if narrations is not None else None
        caption, lines = captions.get(number, ""), _lines(clip, speech[number], clean)
        is_speech = bool(caption) and caption == clean([sentence["text"] for sentence in said[number]])
        narration = None if narrations is None else clean([narrated["narration"] or ""] if narrated else [])
        written = None if screen is None else screen[number]
        found.append(
            ClipEvidence(
                number=number,
                start=clip["start"],
                end=clip["end"],
                frames=tuple(FrameAt(*frame) for frame in frames),
                caption=caption,
                speech=lines,
                narration=narration,
                ocr=written,
                regions=None if parts is None else parts[number],
                flag=narrated["flag"] if narrated else "",
                caption_flag=flags.get(number, ""),
                roles=_roles(caption, narration or "", lines, written or (), settings, roles),
                spoken=spoken_words(said[number]) if is_speech else (),
                quality=clip,
                scores=None if scores is None else scores.get(number, {}),
                vectors=kept.get(number, {}),
            )
        )
    return found


def trimmed(clip: ClipEvidence, tokens: int) -> ClipEvidence:
    """The clip with at most `tokens` tokens of text: whole sentences from the start, role by role."""
    if clip.tokens() <= tokens:
        return clip
    room = tokens
    texts: dict[str, tuple[Line, ...]] = {}
    for role in clip.roles:
        kept = []
        for line in clip.lines(role):
            text = within(line.text, room)
            room -= count_tokens(text)
            if text:
                kept.append(replace(line, text=text))
            if text != line.text:
                room = 0
        texts[role] = tuple(kept)
    changes: dict[str, Any] = {role: texts[role] for role in ("speech", "ocr") if role in texts}
    changes |= {role: join(line.text for line in texts[role]) for role in ("caption", "narration") if role in texts}
    return replace(clip, **changes, roles=tuple(role for role in clip.roles if texts[role]))


def _roles(
    caption: str,
    narration: str,
    speech: tuple[Line, ...],
    ocr: tuple[Line, ...],
    settings: InterleaveSettings,
    wanted: frozenset[str],
) -> tuple[Role, ...]:
    found: list[Role] = []
    if narration and "narration" in wanted:
        found.append("narration")
    if caption and "caption" in wanted and (not narration or settings.include_caption == "always"):
        found.append("caption")
    if settings.include_speech and speech and "speech" in wanted:
        text = " ".join(line.text for line in speech)
        # Speech is a repetition only of a text that is in the document.
        if not ((text == caption and "caption" in found) or (text == narration and "narration" in found)):
            found.append("speech")
    if settings.include_ocr and ocr and "ocr" in wanted:
        found.append("ocr")
    return tuple(found)


def _shift(rows: Rows, settings: InterleaveSettings) -> float:
    """Seconds that are added to the times of speech."""
    shift = settings.speech_shift
    if settings.lead == "correct":
        align = rows["align"]
        if align["lead"] is not None and (align["confidence"] or 0.0) >= settings.lead_confidence:
            shift += float(align["lead"])  # seconds by which the words precede the picture
    return shift


def _shifted(rows: Rows, shift: float) -> list[Mapping[str, Any]]:
    """The sentences of the video and their words, later by `shift` seconds."""

    def moved(span: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": span["text"], "start": span["start"] + shift, "end": span["end"] + shift}

    sentences = rows["transcribe"]["sentences"]
    return [moved(one) | {"words": [moved(word) for word in one.get("words") or ()]} for one in sentences]


def _lines(clip: Mapping[str, Any], sentences: Sequence[Mapping[str, Any]], clean: Any) -> tuple[Line, ...]:
    """Sentences cut to the clip, so that speech stays in the order of time even where sentences overlap."""
    found = []
    for number, sentence in enumerate(sentences):
        start = min(max(sentence["start"], clip["start"]), clip["end"])
        end = max(start, min(sentence["end"], clip["end"]))
        if text := clean([sentence["text"]]):
            found.append(Line(text, start, end, number))
    return tuple(found)


def _screen(ocr: Mapping[str, Any], clips: Sequence[Mapping[str, Any]], clean: Any) -> list[tuple[Line, ...]]:
    """The merged lines of on-screen text by clip: each belongs to the clip in which it first appears."""
    starts = [clip["start"] for clip in clips]
    found: list[list[Line]] = [[] for _ in clips]
    for line in sorted(ocr["lines"], key=lambda line: (line["start"], line["text"])):
        if text := clean([line["text"]]):
            found[max(0, bisect_right(starts, line["start"]) - 1)].append(Line(text, line["start"], line["end"]))
    return [tuple(lines) for lines in found]


def _vectors(score: Mapping[str, Any]) -> dict[int, dict[tuple[str, int], bytes]]:
    found: dict[int, dict[tuple[str, int], bytes]] = {}
    for frame in score["frames"] or ():
        found.setdefault(frame["clip"], {})["frame", frame["frame"]] = frame["vector"] or b""
    for sentence in score["sentences"] or ():
        found.setdefault(sentence["clip"], {})[sentence["role"], sentence["sentence"]] = sentence["vector"] or b""
    return found


def _scrubbed(language: str, texts: Sequence[str]) -> str:
    return scrub(join(texts), language)[0]
