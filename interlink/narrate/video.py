"""The narration of one video: what is known of its clips, the narrations so far, and the next request. No engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlink.engines.lines import written_in_clips
from interlink.engines.regions import regions_of_clips
from interlink.engines.speech import speech_of_clips
from interlink.engines.writer import WriteRequest, Written
from interlink.errors import StageError
from interlink.narrate.checks import PROBLEMS, Checker, tidy
from interlink.narrate.settings import NarrateSettings
from interlink.narrate.template import Template
from interlink.shards.document import count_tokens, join


@dataclass(frozen=True)
class Known:
    """What is known of a clip in addition to its frames."""

    caption: str
    speech: str
    ocr: str
    regions: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.caption, self.speech, self.ocr, self.regions)

    @property
    def empty(self) -> bool:
        return not any(self.texts)


@dataclass(frozen=True)
class Narration:
    """The result for one clip. flag: its faults, separated by commas; asked: number of answers it took."""

    text: str = ""
    flag: str = ""
    asked: int = 0
    error: StageError | None = None


class VideoNarration:
    """Narrates the clips of one video in order: until `done`, send `request` and give the answer to `take`."""

    def __init__(
        self, item_id: str, rows: Mapping[str, Mapping[str, Any]], settings: NarrateSettings, template: Template
    ) -> None:
        self.id = item_id
        self.narrations: list[Narration] = []
        self._settings = settings
        self._template = template
        self._title = join([rows["collect"]["title"] or rows["download"]["title"] or ""])
        self._clips = known_of_clips(rows)
        self._rejected: tuple[str, list[str]] | None = None  # the first answer for this clip and its faults
        self._skip()

    @property
    def done(self) -> bool:
        return len(self.narrations) == len(self._clips)

    def request(self) -> WriteRequest:
        """The request for the next clip. Call it only until `done`."""
        known = self._known()
        if self._rejected is None:
            prompt = self._template.request(known)
        else:
            answer, faults = self._rejected
            prompt = self._template.again(known, answer, " and ".join(PROBLEMS[fault] for fault in faults))
        return WriteRequest(self.id, len(self.narrations), self._template.system, prompt)

    def take(self, answer: Written, checker: Checker) -> None:
        """Checks the answer: accepts it as the clip's narration, or asks for the clip once more."""
        asked = 1 if self._rejected is None else 2
        if answer.error is not None:
            self._accept(Narration(asked=asked, flag="error", error=answer.error))
            return
        text = tidy(answer.text)
        faults = [answer.flag] if answer.flag in ("refused", "length") else []
        if answer.flag != "refused":
            faults += checker.faults(text, self._clips[len(self.narrations)].speech, self._evidence())
        if not faults or asked == 2 or not self._template.retry:
            # Of two bad answers the one with fewer faults is kept; with equally many, the later one.
            if self._rejected is not None and len(self._rejected[1]) < len(faults) and self._rejected[0]:
                text, faults = self._rejected
            self._accept(Narration(text, ",".join(faults), asked))
        else:
            self._rejected = (text, faults)

    def _accept(self, narration: Narration) -> None:
        self.narrations.append(narration)
        self._rejected = None
        self._skip()

    def _skip(self) -> None:
        """Passes over clips without any evidence: they are not asked for."""
        while not self.done and self._clips[len(self.narrations)].empty:
            self.narrations.append(Narration(flag="no_evidence"))

    def _known(self) -> dict[str, str]:
        clip = self._clips[len(self.narrations)]
        return {
            "title": self._title,
            "caption": clip.caption,
            "speech": clip.speech,
            "ocr": clip.ocr,
            "regions": clip.regions,
            "history": "\n".join(self._history()),
        }

    def _history(self) -> list[str]:
        """The previous narrations within the limits, the latest last."""
        if not self._template.remembers or not self._settings.history_clips:
            return []
        texts = [narration.text for narration in self.narrations if narration.text][-self._settings.history_clips :]
        room = self._settings.history_tokens
        kept: list[str] = []
        for text in reversed(texts):
            room -= count_tokens(text)
            if self._settings.history_tokens and room < 0:
                break
            kept.append(text)
        return kept[::-1]

    def _evidence(self) -> str:
        """Everything that the model was given about this video up to this clip, and its accepted answers."""
        clips = self._clips[: len(self.narrations) + 1]
        parts = [self._title, *(part for clip in clips for part in clip.texts)]
        return join([*parts, *(narration.text for narration in self.narrations if not narration.flag)])


def known_of_clips(rows: Mapping[str, Mapping[str, Any]]) -> list[Known]:
    """Caption, speech, on-screen text and regions of every clip of the keyframes table."""
    clips: Sequence[Mapping[str, Any]] = rows["keyframes"]["clips"]
    captions = {row["clip"]: join([row["caption"] or ""]) for row in rows["caption"]["clips"]}
    speech = speech_of_clips(clips, rows["transcribe"]["sentences"])
    written = written_in_clips(rows["ocr"]) if "ocr" in rows else {}
    parts = regions_of_clips(clips, rows["regions"]) if "regions" in rows else [()] * len(clips)
    found = []
    for number, spoken in enumerate(speech):
        caption = captions.get(number, "")
        # The transcript engine's caption is the speech: used once.
        seen = "" if caption == spoken.text else caption
        found.append(Known(seen, spoken.text, "; ".join(written.get(number, ())), placed(parts[number])))
    return found


def placed(regions: Sequence[Mapping[str, Any]]) -> str:
    """Regions in the format of a prompt: each text once, with left, top, right, bottom in percent of the picture."""
    boxes: dict[str, str] = {}
    for region in regions:
        boxes.setdefault(region["text"], " ".join(str(round(100 * share)) for share in region["box"]))
    return "; ".join(f"{text} [{box}]" for text, box in boxes.items())
