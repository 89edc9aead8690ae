"""The real stages of media without a child process, each item looked at once for a whole test run.

A test that builds the same videos hundreds of times wants all that the core does, and the decoding once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

from interlink.stage import Item, Row
from interlink.stages.keyframes import Keyframes
from interlink.stages.transcribe import Transcribe

_ROWS: dict[tuple[str, str], Row] = {}


def _once(stage: str, item: Item, process: Callable[[Item], Row]) -> Row:
    if (stage, item.id) not in _ROWS:
        _ROWS[stage, item.id] = process(item)
    return copy.deepcopy(_ROWS[stage, item.id])


class DirectTranscribe(Transcribe):
    """transcribe in the worker itself."""

    isolated: ClassVar[bool] = False

    def process(self, item: Item) -> Row:
        return _once("transcribe", item, super().process)


class DirectKeyframes(Keyframes):
    """keyframes in the worker itself; each attempt is written down before it begins, as a costly stage's is."""

    isolated: ClassVar[bool] = False

    @staticmethod
    def costly(settings: Any) -> bool:
        return True

    def process(self, item: Item) -> Row:
        return _once("keyframes", item, super().process)
