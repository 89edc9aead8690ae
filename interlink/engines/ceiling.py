"""How much a caption engine does by itself: clips and tokens a second with its batches full. Costs what it measures.

The rest of a build can only come near it: what `interlink status` says of caption is held against this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from interlink.engines.captioner import Captioner, ClipRequest
from interlink.errors import UserError


@dataclass(frozen=True)
class Ceiling:
    """What was measured. clips, tokens: answered in `seconds`, after the first full batch; opening: seconds of `open`.

    Tokens are those of the answers; 0 where the engine does not tell.
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
    """Opens the engine, gives it the clips again and again for `seconds` and four batches at least, and closes it.

    at_once: how many clips it works on at a time: only whole batches are asked for, and the first is not counted.
    Raises UserError where the engine answers none, and what `open` and `caption` raise.
    """
    began = clock()
    identity = engine.open()
    opened = clock()
    stopped = 0.0

    def requests() -> Iterator[ClipRequest]:
        nonlocal stopped
        number = 0
        while number < 4 * at_once or number % at_once or clock() - opened < seconds:
            # A title of its own, so that no server takes it for a question it has seen.
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
            "see that it works first: build a few videos with --limit 2",
        )
    # From the end of the first batch to the last answer that came while batches were full; at least one more batch.
    start = answered[at_once - 1][0]
    counted = [one for one in answered[at_once:] if one[0] <= stopped] or answered[at_once:]
    span = max(counted[-1][0] - start, 1e-9)
    tokens = sum(count for _, count in counted)
    return Ceiling(identity.engine, identity.model, identity.revision, len(counted), tokens, span, opened - began)
