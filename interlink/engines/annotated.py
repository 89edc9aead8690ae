"""The captioner that says what an annotation file says. Costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.settings import AnnotatedSettings


class Annotated:
    """A clip's caption is its annotation, else its speech if the settings say so; without either: `not_annotated`."""

    def __init__(self, settings: AnnotatedSettings, prompt: str) -> None:
        del prompt  # nothing is asked
        self._missing = settings.missing

    def open(self) -> Identity:
        return Identity(engine="annotations")

    def close(self) -> None: ...

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        for request in requests:
            text = request.annotation or (request.speech if self._missing == "speech" else "")
            yield ClipCaption(request.id, request.clip, text, "" if text else "not_annotated")
