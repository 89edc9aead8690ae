"""Measures the throughput of a caption engine alone: clips and tokens per second with full batches.

It is an upper limit for a build: `interlink status` compares the caption stage with it. Costs the time it measures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from interlink.engines.captioner import Captioner, ClipRequest
from interlink.errors import UserError


@dataclass(frozen=True)
class Ceiling:
    """A measurement. clips, tokens: answered in `seconds`, after the first full batch; opening: seconds of `open`.

    Tokens are those of the answers; 0 where the engine does not count them.
    """

    engine: str
    model: str
    revision: str
    clips: int
    tokens: int
    seconds: float
    opening: float

    @property
    def clips_per_second(self) -> float:
        return self.clips / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def measure_ceiling(
    engine: Captioner,
    clips: Sequence[ClipRequest],
    at_once: int,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Ceiling:
    """Opens the engine, sends it the clips repeatedly for `seconds` and at least four batches, and closes it.

    at_once: number of clips it works on at once. Only whole batches are sent, and the first is not counted.
    Raises UserError where the engine answers no clip, and the errors of `open` and `caption`.
    """
    began = clock()
    identity = engine.open()
    opened = clock()
    stopped = 0.0

    def requests() -> Iterator[ClipRequest]:
        nonlocal stopped
        number = 0
        while number < 4 * at_once or number % at_once or clock() - opened < seconds:
            # A unique title, so that no server answers from a cache.
            yield replace(clips[number % len(clips)], clip=number, title=f"{clips[number % len(clips)].title} {number}")
            number += 1
        stopped = clock()

    answered: list[tuple[float, int]] = []
    faults: list[str] = []
    try:
        for answer in engine.caption(requests()):
            if answer.error is None:
                answered.append((clock(), answer.tokens))
            else:
                faults.append(str(answer.error))
    finally:
        engine.close()
    if len(answered) <= at_once:
        raise UserError(
            f"the engine answered {len(answered)} of {len(answered) + len(faults)} clips: {(faults or ['nothing'])[0]}",
            "check that it works: build a few videos with --limit 2",
        )
    # From the end of the first batch to the last answer while batches were full; at least one more batch.
    start = answered[at_once - 1][0]
    counted = [one for one in answered[at_once:] if one[0] <= stopped] or answered[at_once:]
    span = max(counted[-1][0] - start, 1e-9)
    tokens = sum(count for _, count in counted)
    return Ceiling(identity.engine, identity.model, identity.revision, len(counted), tokens, span, opened - began)
