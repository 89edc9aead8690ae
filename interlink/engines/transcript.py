"""The captioner that says what the speaker says, as HowTo100M paired its clips. Costs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.stage import Settings


class Transcript:
    """A clip's caption is the speech in it; flag `no_speech` where nobody speaks."""

    def __init__(self, settings: Settings, prompt: str) -> None:
        del settings, prompt  # it has nothing to choose

    def open(self) -> Identity:
        return Identity(engine="transcript")

    def close(self) -> None: ...

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        for request in requests:
            flag = "" if request.speech else "no_speech"
            yield ClipCaption(request.id, request.clip, request.speech, flag)
