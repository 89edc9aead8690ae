"""narrate: turns captions, speech and previous narrations into one narration per clip, with a language model.

Costs what that model costs. One request at a time per video, many videos at once: the narration of a clip is part of
the next clip's request.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar

from interlink.engines.cache import Answer, AnswerCache
from interlink.engines.captioner import Identity
from interlink.engines.language import LanguageDetector
from interlink.engines.writer import Writer, WriteRequest, Written, make_writer
from interlink.errors import StageError
from interlink.narrate.checks import Checker
from interlink.narrate.settings import NarrateSettings
from interlink.narrate.template import Template
from interlink.narrate.video import Narration, VideoNarration
from interlink.settings import Settings
from interlink.stage import Context, Item, Resources, Row, Stage, failed

_EXPECTED = ("", "no_evidence")
_LOST = ("error", "refused", "empty")
_AHEAD = 16  # rows that may wait while no request is in flight


class Narrate(Stage):
    """Narrates the clips of many videos. The schema is tables.NARRATE."""

    name: ClassVar[str] = "narrate"
    version: ClassVar[int] = 3  # 2: howto_interlink-2; 3: sentences divided over clips
    settings_class: ClassVar[type[Settings]] = NarrateSettings

    def __init__(self, settings: NarrateSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._writer: Writer | None = None
        if settings.style != "none":
            self._template = Template.parse(settings.prompt) if settings.prompt else Template.of_style(settings.style)
            self._writer = make_writer(settings.engine, settings.of_engine)
        self._checker = Checker(settings.checks)
        self._identity = Identity("none")
        self._cache: AnswerCache | None = None

    @staticmethod
    def needs(settings: NarrateSettings) -> tuple[str, ...]:
        return ("download", "transcribe", "keyframes", "caption")

    @staticmethod
    def uses(settings: NarrateSettings) -> tuple[str, ...]:
        return ("ocr", "regions")

    @staticmethod
    def costly(settings: NarrateSettings) -> bool:
        return settings.style != "none"

    @staticmethod
    def resources(settings: NarrateSettings) -> Resources:
        if settings.style == "none":
            return Resources(cpus=0.25)
        return settings.writer.resources(settings.of_engine)

    @staticmethod
    def together(settings: NarrateSettings) -> int:
        """How many videos the stage wants at once."""
        return 1 if settings.style == "none" else settings.writer.parallel(settings.of_engine)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        clips = [clip for row in rows if row["status"] == "ok" for clip in row["clips"]]
        flags = Counter(flag for clip in clips for flag in clip["flag"].split(",") if flag)
        return {f"flagged {flag}": count for flag, count in sorted(flags.items())}

    @staticmethod
    def check(settings: NarrateSettings, context: Context) -> None:
        if settings.checks.language:
            LanguageDetector.check()
        if settings.style != "none":
            make_writer(settings.engine, settings.of_engine)  # raises UserError for wrong options
            settings.writer.check(settings.of_engine)

    def open(self) -> None:
        self._checker.open()
        if self._writer is None:
            return
        identity = self._writer.open()
        history = {"clips": self.settings.history_clips, "tokens": self.settings.history_tokens}
        parameters = {**identity.parameters, "style": self.settings.style}
        if self._template.remembers:
            parameters["history"] = history
        self._identity = replace(identity, prompt=self._template.text, parameters=parameters)
        if self.settings.cache:
            # The history is part of each request, so the cache key needs none of its limits.
            fresh = self.context.fresh.get(self.name, 0)
            self._cache = AnswerCache(self.context.root, self.name, replace(identity, prompt=""), fresh)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        if self._writer is None:
            for item in items:
                yield self._unwritten(item)
            return
        work = _Work(items, self._writer.parallel(self._writer.settings))
        while work.more():
            for answer in self._writer.write(self._questions(work)):
                work.flying -= 1
                if answer.error is None and self._cache is not None:
                    self._cache.put(work.keys.pop(answer.id), Answer(answer.text, answer.flag))
                self._go_on(work, work.videos[answer.id], answer)
                while work.ready:
                    yield work.ready.popleft()
            while work.ready:
                yield work.ready.popleft()

    def _questions(self, work: _Work) -> Iterator[WriteRequest | None]:
        """The requests that can be sent now; None while every video waits for an answer."""
        while True:
            if work.questions:
                work.flying += 1
                yield work.questions.popleft()
            elif len(work.videos) < work.most and (item := next(work.items, None)) is not None:
                self._begin(work, item)
            elif work.flying:
                yield None
            else:
                return
            if not work.flying and len(work.ready) >= _AHEAD:
                return  # finished rows do not wait for the end

    def _begin(self, work: _Work, item: Item) -> None:
        try:
            video = VideoNarration(item.id, item.rows, self.settings, self._template)
        except Exception as error:
            work.ready.append(failed(item.id, error))
            return
        work.videos[item.id] = video
        self._go_on(work, video)

    def _go_on(self, work: _Work, video: VideoNarration, answer: Written | None = None) -> None:
        """Takes an answer and continues, as far as the cache holds the next answers."""
        while True:
            if answer is not None:
                video.take(answer, self._checker)
            fault = video.narrations[-1].error if video.narrations else None
            if video.done or (fault is not None and fault.error_class != "model"):
                del work.videos[video.id]
                work.keys.pop(video.id, None)
                work.ready.append(self._row(video))
                return
            request = video.request()
            if self._cache is not None:
                key = self._cache.key(request.system, request.prompt)
                if found := self._cache.get(key):
                    answer = Written(request.id, request.clip, found.text, found.flag)
                    continue
                work.keys[video.id] = key
            work.questions.append(request)
            return

    def _row(self, video: VideoNarration) -> Row:
        """The row: ok, partial if some answers were unusable, failed if all were or another error occurred."""
        faults = [narration.error for narration in video.narrations if narration.error is not None]
        for fault in faults:
            if fault.error_class != "model":  # a retry of the clip may succeed
                return failed(video.id, fault)
        lost = [narration for narration in video.narrations if set(narration.flag.split(",")) & set(_LOST)]
        flagged = [narration for narration in video.narrations if narration.flag not in _EXPECTED]
        message = ""
        if flagged:
            first = faults[0] if faults else flagged[0].flag
            message = (
                f"{len(flagged)} of {len(video.narrations)} clips are flagged, {len(lost)} have no narration: {first}"
            )
        if lost and len(lost) == len(video.narrations):
            return failed(video.id, StageError("model", message))
        return Row(video.id, self._fields(video.narrations), partial=bool(lost), message=message)

    def _unwritten(self, item: Item) -> Row:
        """The row of style none: no narrations, so that the captions are used."""
        return Row(item.id, self._fields([Narration() for _ in item.rows["keyframes"]["clips"]]))

    def _fields(self, narrations: list[Narration]) -> dict[str, Any]:
        return {
            **self._identity.columns(),
            "clips": [
                {"clip": n, "narration": t.text, "flag": t.flag, "asked": t.asked} for n, t in enumerate(narrations)
            ],
        }


class _Work:
    """The videos in work: at most twice as many as the engine handles at once, so that it never waits for one."""

    def __init__(self, items: Iterator[Item], parallel: int) -> None:
        self.items = items
        self.most = 2 * parallel
        self.videos: dict[str, VideoNarration] = {}
        self.questions: deque[WriteRequest] = deque()
        self.keys: dict[str, str] = {}  # id -> cache key of its open request
        self.ready: deque[Row] = deque()
        self.flying = 0

    def more(self) -> bool:
        """Whether anything is left to do. If nothing is in work, it takes an item to find out, and puts it back."""
        if self.videos or self.questions or self.ready:
            return True
        following = next(self.items, None)
        if following is not None:
            self.items = chain((following,), self.items)
        return following is not None
