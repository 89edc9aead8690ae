"""The captioner that uses a clip's speech, as in HowTo100M. Costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity
from interlink.engines.settings import TranscriptSettings
from interlink.settings import Settings
from interlink.stage import Resources


class Transcript(Captioner):
    """A clip's caption is its speech; flag `no_speech` if it has none."""

    settings_class: ClassVar[type[Settings] | None] = TranscriptSettings
    free: ClassVar[bool] = True

    @staticmethod
    def resources(settings: Settings) -> Resources:
        return Resources(cpus=0.25)

    @staticmethod
    def parallel(settings: Settings) -> int:
        return 1

    def open(self) -> Identity:
        return Identity(engine="transcript")

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        for request in requests:
            flag = "" if request.speech else "no_speech"
            yield ClipCaption(request.id, request.clip, request.speech, flag)
