"""Which pictures show a speaker: a large face while somebody speaks. One picture a second is searched for faces."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from interlink.media.facts import EVERY

if TYPE_CHECKING:
    from interlink.engines.faces import Faces
    from interlink.media.choose import Speech
    from interlink.media.decode import Decoded
    from interlink.media.look import Looker


class Speakers:
    """Takes the pictures of one video in order. Costs one detection per second of speech."""

    def __init__(self, faces: Faces | None, speech: Speech, looker: Looker) -> None:
        self._faces, self._speech, self._looker = faces, speech, looker
        self._examined = -inf  # time of the latest picture that was searched

    def at(self, decoded: Decoded, size: tuple[int, int]) -> bool | None:
        """Whether a picture shows a speaker; None where it is not searched. size: as shown, in square pixels."""
        if self._faces is None or decoded.time - self._examined < EVERY:
            return None
        self._examined = decoded.time
        if not self._speech.at(decoded.time):
            return False
        width = max(1, round(size[0] * self._faces.height / size[1]))
        return self._faces.largest(self._looker.upright(decoded.frame, width, self._faces.height)) > 0
