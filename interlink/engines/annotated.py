"""The captioner that uses published annotations. Costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity
from interlink.engines.settings import AnnotatedSettings
from interlink.settings import Settings
from interlink.stage import Resources


class Annotated(Captioner):
    """A clip's caption is its annotation, else its speech if the settings allow it; otherwise flag `not_annotated`."""

    settings_class: ClassVar[type[Settings] | None] = AnnotatedSettings
    free: ClassVar[bool] = True

    def __init__(self, settings: AnnotatedSettings, prompt: str) -> None:
        super().__init__(settings, prompt)
        self._missing = settings.missing

    @staticmethod
    def resources(settings: AnnotatedSettings) -> Resources:
        return Resources(cpus=0.25)

    @staticmethod
    def parallel(settings: AnnotatedSettings) -> int:
        return 1

    @staticmethod
    def tables(settings: AnnotatedSettings) -> tuple[str, ...]:
        return ("annotations",)

    def open(self) -> Identity:
        return Identity(engine="annotations")

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        for request in requests:
            text = request.annotation or (request.speech if self._missing == "speech" else "")
            yield ClipCaption(request.id, request.clip, text, "" if text else "not_annotated")
