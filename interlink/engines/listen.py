"""Voice activity detection: silero-vad over blocks of sound; yields speech in stretches of at most 28 s.

Costs one core-second per four minutes of sound, and memory for a minute of samples. Sound without speech is silence
below -50 dB of full scale, else other sound; music and noise are not distinguished.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interlink.engines.present import importing, require_packages
from interlink.engines.recogniser import Utterance
from interlink.media.audio import RATE

if TYPE_CHECKING:
    from interlink.media.audio import Samples

_WHO, _INSTALL = "detecting speech", "pip install 'interlink[speech]'"
WINDOW = 512  # samples per window of silero: 32 ms
CONTEXT = 64  # samples before the window that it also gets
BLOCK = 960 * WINDOW  # samples of a block, 30.72 s; all blocks but the last must have whole windows
SPEAKS, FALLS_SILENT = 0.5, 0.35  # probabilities at which speech begins and ends
FADES_IN, FADE = 0.2, 31  # probability, and most windows (1 s), of the quiet start that a stretch is given back
HANGOVER = 10  # windows below FALLS_SILENT after which speech has ended (0.3 s)
JOINED = 47  # longest pause inside a stretch, windows (1.5 s): sentences with a breath in them stay whole
SHORTEST = 8  # fewest windows of speech (0.26 s)
LONGEST = 875  # most windows of a stretch (28 s); a longer one is cut at a pause in its second half
PAD = 6  # windows of sound kept on either side of a stretch (0.19 s)
SILENCE = 10 ** (-50 / 20)  # root mean square


@dataclass
class Shares:
    """Seconds of sound, and the shares of them (0..1, rounded) that are speech, silence and other sound."""

    seconds: float = 0.0
    speech: float = 0.0
    silence: float = 0.0
    other: float = 0.0


class Listener:
    """silero-vad, loaded once; `hear` makes a new Hearing for every file."""

    def __init__(self) -> None:
        self._session: Any = None

    @staticmethod
    def check() -> None:
        """Raises UserError where its packages are missing; loads nothing."""
        require_packages(_WHO, ("silero_vad", "onnxruntime"), _INSTALL)

    def open(self) -> None:
        """Raises UserError where its packages are missing."""
        with importing(_WHO, _INSTALL):
            from silero_vad import load_silero_vad

            self._session = load_silero_vad(sequence=True).session

    def close(self) -> None:
        self._session = None

    def hear(self) -> Hearing:
        return Hearing(self._session)


class Hearing:
    """The sound of one file, block by block. After `utterances` is exhausted, `shares` covers the whole file."""

    def __init__(self, session: Any) -> None:
        import numpy as np

        self._session = session
        self._state = [np.zeros((1, 1, 128), dtype=np.float32) for _ in range(2)]
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._held: Samples = np.zeros(0, dtype=np.float32)
        self._first = 0  # number of the first window in `_held`
        self._likely: list[float] = []  # probability of speech in every window so far
        self._open: int | None = None  # first window of the open stretch
        self._continues = False  # whether the open stretch begins where another was cut
        self._last = 0  # its last window with speech
        self._after = 0  # first window that no closed stretch can hold
        self._samples = 0
        self._speech = self._silence = 0
        self._speaking, self._quiet = False, 0

    def utterances(self, blocks: Iterable[Samples], start: Any) -> Iterator[Utterance]:
        """The stretches of speech, in order. start: a function that returns the time of the first sample (seconds)."""
        import numpy as np

        for block in blocks:
            self._samples += len(block)
            self._held = np.concatenate([self._held, block])
            begin = len(self._likely)
            self._likely += self._judge(block)
            for window in range(begin, len(self._likely)):
                span = self._advance(window)
                if span is not None:
                    yield self._cut(span, start())
            self._forget()
        if self._open is not None and self._last - self._open + 1 >= SHORTEST:
            yield self._cut(self._ended(self._open, self._last), start())
        self._open = None

    @property
    def shares(self) -> Shares:
        windows = len(self._likely)
        if not windows:
            return Shares()
        speech, silence = self._speech / windows, self._silence / windows
        other = max(0.0, 1 - speech - silence)
        return Shares(round(self._samples / RATE, 3), round(speech, 4), round(silence, 4), round(other, 4))

    def _judge(self, block: Samples) -> list[float]:
        """The probability of speech in each window of a block; also counts speech and silence."""
        import numpy as np

        windows = np.zeros((-(-len(block) // WINDOW), WINDOW), dtype=np.float32)
        windows.reshape(-1)[: len(block)] = block
        contexts = np.vstack([self._context[None], windows[:-1, -CONTEXT:]])
        self._context = windows[-1, -CONTEXT:].copy()
        answer, *self._state = self._session.run(
            ["speech_probs", "hn", "cn"],
            {"input": np.concatenate([contexts, windows], axis=1), "h": self._state[0], "c": self._state[1]},
        )
        likely = [round(float(value), 4) for value in np.asarray(answer).reshape(-1)]
        loudness = np.sqrt(np.mean(np.square(windows, dtype=np.float64), axis=1))
        for value, loud in zip(likely, loudness, strict=True):
            self._quiet = 0 if value >= FALLS_SILENT else self._quiet + 1
            self._speaking = value >= SPEAKS or (self._speaking and self._quiet < HANGOVER)
            self._speech += self._speaking
            self._silence += int(not self._speaking and loud < SILENCE)
        return likely

    def _advance(self, window: int) -> tuple[int, int] | None:
        """Takes one window. Returns (first, last) of the windows of a stretch that ends with it, with its padding."""
        likely = self._likely[window]
        if self._open is None:
            if likely >= SPEAKS:
                self._open, self._last = self._faded_in(window), window
                self._continues = False
            return None
        if likely >= FALLS_SILENT:
            self._last = window
        if window - self._last >= JOINED:
            first, last = self._open, self._last
            self._open, self._after = None, window
            return self._ended(first, last) if last - first + 1 >= SHORTEST else None
        if window - self._open + 1 >= LONGEST - 2 * PAD:
            half = self._open + LONGEST // 2
            cut = half + pause_of(self._likely[half : window + 1])
            span = (self._begin(self._open), cut)  # no padding at a cut: no word is heard twice
            self._open, self._last, self._continues = cut + 1, max(self._last, cut + 1), True
            return span
        return None

    def _faded_in(self, window: int) -> int:
        """The first window of the run of faint speech that ends here, and is in no stretch yet."""
        first = window
        while first > max(self._first, self._after, window - FADE) and self._likely[first - 1] >= FADES_IN:
            first -= 1
        return first

    def _begin(self, first: int) -> int:
        return first if self._continues else max(self._first, first - PAD)

    def _ended(self, first: int, last: int) -> tuple[int, int]:
        return self._begin(first), last + PAD

    def _cut(self, span: tuple[int, int], start: float) -> Utterance:
        begin, end = span[0] * WINDOW, min((span[1] + 1) * WINDOW, self._samples)
        offset = self._first * WINDOW
        return Utterance(round(start + begin / RATE, 3), self._held[begin - offset : end - offset].copy())

    def _forget(self) -> None:
        """Releases sound that no stretch can need any more."""
        keep = len(self._likely) if self._open is None else self._open
        keep = max(self._first, keep - PAD - (FADE if self._open is None else 0))
        self._held = self._held[(keep - self._first) * WINDOW :]
        self._first = keep


def pause_of(likely: Sequence[float]) -> int:
    """The middle of the longest and deepest pause among windows with these probabilities of speech.

    A pause is a run of windows below SPEAKS; its weight is the sum of what they lack. Without one, the least likely
    window; with ties the later one.
    """
    best, at = (0.0, 0), max(range(len(likely)), key=lambda number: (-likely[number], number))
    begin = 0
    for number in range(len(likely) + 1):
        if number < len(likely) and likely[number] < SPEAKS:
            continue
        weight = sum(SPEAKS - value for value in likely[begin:number])
        if number > begin and (weight, number) > best:
            best, at = (weight, number), (begin + number - 1) // 2
        begin = number + 1
    return at
