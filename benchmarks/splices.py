"""Videos of real shots joined by known transitions, with flashes and light switches that are no transition.

Every kind occurs equally often with every encoder and at 25, 30 and 60 pictures per second. A shot that is too short is
played to and fro. A finished video is kept with its truth, so that an interrupted run continues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.materials import Material, Shot, Truth

WIDTH, HEIGHT = 320, 180
RATES = (25, 30, 60)
KINDS = ("hard", "dissolve", "fade", "wipe", "flash", "light")
CALM = ("flash", "light")  # kinds that are no transition
LONGEST = 200  # most pictures read of a shot
SECONDS = (1.3, 2.4)  # of a shot between two events
TRANSITION = (0.3, 1.5)  # seconds of a dissolve, fade or wipe
FLASHES = (1, 12)  # pictures

Picture = NDArray[np.uint8]
Mask = NDArray[np.float64]


@dataclass(frozen=True)
class Encoder:
    codec: str
    options: dict[str, str]
    suffix: str = "mp4"


_X264 = {"preset": "veryfast", "crf": "23"}
ENCODERS: dict[str, Encoder] = {
    "x264": Encoder("libx264", {**_X264, "g": "250"}),
    "x264-infinite": Encoder("libx264", {**_X264, "g": "100000"}),
    "x264-no-scenecut": Encoder("libx264", {**_X264, "g": "250", "sc_threshold": "0"}),
    "x265": Encoder("libx265", {"preset": "superfast", "crf": "26", "x265-params": "log-level=none"}),
    "vp9": Encoder("libvpx-vp9", {"deadline": "good", "cpu-used": "6", "crf": "36", "b": "0"}, "webm"),
    "av1": Encoder("libsvtav1", {"preset": "10", "crf": "40"}, "mkv"),
    "mpeg4": Encoder("mpeg4", {"b": "600k", "g": "250"}, "avi"),
}

# (place across, place down), 0..1 -> when a wipe reaches a pixel, 0..1
WIPES: dict[str, Callable[[Mask, Mask], Mask]] = {
    "right": lambda across, down: across,
    "left": lambda across, down: 1 - across,
    "down": lambda across, down: down,
    "up": lambda across, down: 1 - down,
    "diagonal": lambda across, down: (across + down) / 2,
    "iris": lambda across, down: np.hypot(across - 0.5, down - 0.5) / np.hypot(0.5, 0.5),
}


def splices(clips: Path, folder: Path, shots: tuple[Shot, ...], seed: int, each: int, encoder: str) -> list[Material]:
    """A video a rate, with `each` of every kind together (rounded up to the same number at every rate)."""
    per_rate = -(-each // len(RATES))
    found = []
    for rate in RATES:
        name = f"splice-{seed}-{encoder}-{rate}-{per_rate}"
        kept = folder / f"{name}.json"
        path = folder / f"{name}.{ENCODERS[encoder].suffix}"
        if not kept.exists():
            reel = Reel(clips, shots, Random(f"{name}"), rate)
            count = write(reel.pictures(per_rate), path, ENCODERS[encoder], rate)
            facts = {"seconds": count / rate, "truth": [asdict(truth) for truth in reel.truth]}
            facts["calm"] = [asdict(truth) for truth in reel.calm]
            facts["played"] = reel.played
            kept.write_text(json.dumps(facts))
        facts = json.loads(kept.read_text())
        truth, calm = (tuple(Truth(**one) for one in facts[key]) for key in ("truth", "calm"))
        played = tuple((time, clip) for time, clip in facts["played"])
        found.append(Material(name, path, facts["seconds"], truth, calm, played))
    return found


class Reel:
    """The pictures of one video. `truth`, `calm` and `played` are complete when all of them were taken."""

    def __init__(self, clips: Path, shots: tuple[Shot, ...], draw: Random, rate: int) -> None:
        self._clips, self._shots, self._draw, self._rate = clips, shots, draw, rate
        self._shown = 0
        self.truth: list[Truth] = []
        self.calm: list[Truth] = []
        self.played: list[tuple[float, str]] = []

    def pictures(self, each: int) -> Iterator[Picture]:
        events = [kind for kind in KINDS for _ in range(each)]
        self._draw.shuffle(events)
        current = self._shot(None)
        for kind in events:
            yield from self._count(current.take(self._length(*SECONDS)))
            if kind in CALM:
                began = self._shown
                yield from self._count(self._disturbed(kind, current))
                self.calm.append(Truth((began - 1) / self._rate, self._shown / self._rate, kind))
                continue
            following = self._shot(current)
            if kind == "hard":
                self.truth.append(Truth(self._shown / self._rate, self._shown / self._rate, kind))
            else:
                before = (self._shown - 1) / self._rate
                yield from self._count(self._transition(kind, current, following))
                self.truth.append(Truth(before, self._shown / self._rate, kind))
            current = following
        yield from self._count(current.take(self._length(*SECONDS)))

    def _count(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        for picture in pictures:
            self._shown += 1
            yield picture

    def _length(self, least: float, most: float) -> int:
        return max(2, round(self._draw.uniform(least, most) * self._rate))

    def _shot(self, last: Playing | None) -> Playing:
        shot = self._draw.choice([shot for shot in self._shots if last is None or shot[0] != last.clip])
        self.played.append((self._shown / self._rate, shot[0]))
        return Playing(self._clips, shot, self._rate, self._draw.random())

    def _transition(self, kind: str, a: Playing, b: Playing) -> Iterator[Picture]:
        """The pictures that show some of both, without the last one of `a` alone and the first of `b` alone."""
        count = self._length(*TRANSITION)
        shares = (np.arange(count) + 1) / (count + 1)
        if kind == "fade":
            out = count // 2
            for share, picture in zip(np.linspace(1, 0, out + 2)[1:-1], a.take(out), strict=True):
                yield _dimmed(picture, share)
            for share, picture in zip(np.linspace(0, 1, count - out + 1)[:-1], b.take(count - out), strict=True):
                yield _dimmed(picture, share)
            return
        where = _wipe(self._draw.choice(sorted(WIPES)))
        soft = self._draw.choice([0.01, 0.08])
        for share, old, new in zip(shares, a.take(count), b.take(count), strict=True):
            weight: Any = share
            if kind == "wipe":
                weight = np.clip((share * (1 + soft) - where) / soft, 0, 1)[..., None]
            yield _picture(old * (1 - weight) + new * weight)

    def _disturbed(self, kind: str, shot: Playing) -> Iterator[Picture]:
        if kind == "flash":
            count, strength = self._draw.randint(*FLASHES), self._draw.uniform(0.6, 1.0)
            decays = self._draw.random() < 0.5
            for number, picture in enumerate(shot.take(count)):
                share = strength * (1 - number / count if decays else 1.0)
                yield _picture(picture + (255.0 - picture) * share)
            return
        gain = self._draw.uniform(0.3, 0.6) * np.array([1.0, self._draw.uniform(0.85, 1.0), self._draw.uniform(0.7, 1)])
        ramp = self._draw.choice([0, 2])  # pictures in which the light changes
        dark = self._length(0.7, 1.5)
        levels = [*np.linspace(0, 1, ramp + 2)[1:-1], *[1.0] * dark, *np.linspace(1, 0, ramp + 2)[1:-1]]
        for level, picture in zip(levels, shot.take(len(levels)), strict=True):
            yield _picture(picture * (1 + level * (gain - 1)))


class Playing:
    """A shot that is played to and fro, at any rate."""

    def __init__(self, clips: Path, shot: Shot, rate: int, place: float) -> None:
        self.clip = shot[0]
        self._pictures, source = _read(clips / shot[0], shot)
        self._step = float(source) / rate if rate > 40 else 1.0
        self._at = place * len(self._pictures)

    def take(self, count: int) -> Iterator[Picture]:
        last = len(self._pictures) - 1
        for _ in range(count):
            place = int(self._at) % max(2 * last, 1)
            yield self._pictures[place if place <= last else 2 * last - place]
            self._at += self._step


def write(pictures: Iterator[Picture], path: Path, encoder: Encoder, rate: int) -> int:
    """Encodes pictures, whole or not at all, and returns their number."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    half, count = path.with_name(f"half-{path.name}"), 0
    with av.open(str(half), "w") as container:
        stream: Any = container.add_stream(encoder.codec, rate=rate, options=encoder.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            count += 1
        container.mux(stream.encode(None))
    half.rename(path)
    return count


_READ: dict[Shot, tuple[list[Picture], Fraction]] = {}


def _read(path: Path, shot: Shot) -> tuple[list[Picture], Fraction]:
    """The pictures of a shot, at most LONGEST from its middle, and their rate."""
    import av

    if shot not in _READ:
        spare = max(0, shot[2] - shot[1] - LONGEST) // 2
        first, end = shot[1] + spare, shot[2] - spare
        found = []
        with av.open(str(path)) as container:
            rate = Fraction(container.streams.video[0].average_rate or 25)
            for number, frame in enumerate(container.decode(video=0)):
                if number >= end:
                    break
                if number >= first:
                    found.append(frame.reformat(WIDTH, HEIGHT, format="rgb24").to_ndarray())
        _READ[shot] = found, rate
    return _READ[shot]


def _wipe(name: str) -> Mask:
    across, down = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
    return WIPES[name](across, down)


def _dimmed(picture: Picture, share: float) -> Picture:
    return _picture(picture * share)


def _picture(values: NDArray[np.float64]) -> Picture:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
