"""Videos with cuts known to the frame, made from real clips by ffmpeg lines (`--lines` prints them).

Shots are taken from the clips by picture number, brought to one size and rate and joined. The clips that defaults are
chosen on (TUNE) are never among those that results are reported on (JUDGE).
"""

from __future__ import annotations

import argparse
import json
import subprocess
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

RATE = 30  # pictures per second of every material
Shot = tuple[str, int, int]  # clip, number of its first picture, number after its last; one shot without a cut

# Every shot was looked at, picture by picture where it moves. nasa_webb_multistream.mp4 dissolves from picture 127 to
# 149, so its shot ends before that. bikes_hard_cuts.mp4 76 to 137 is one shot: a van hides most of it.
TALK: Shot = ("his_girl_friday.mp4", 0, 180)
JUDGE: tuple[Shot, ...] = (
    ("bikes_hard_cuts.mp4", 30, 76), ("bikes_hard_cuts.mp4", 76, 137), ("bikes_hard_cuts.mp4", 187, 242),
    ("testvideo_nature_cuts.mp4", 40, 160), ("testvideo_nature_cuts.mp4", 250, 340),
    ("testvideo_nature_cuts.mp4", 430, 530), ("testvideo_nature_cuts.mp4", 570, 660),
    ("stir_fry_onion_carrot.avi", 0, 47), ("stir_fry_onion_carrot.avi", 50, 153),
    ("stir_fry_onion_carrot.avi", 155, 270), ("flower_rot90_metadata.mp4", 0, 150),
    ("his_girl_friday.mp4", 0, 180), ("nasa_webb_multistream.mp4", 60, 126), ("sintel_trailer_30s.mp4", 100, 150),
    ("tears_of_steel_battle.webm", 340, 620), ("tears_of_steel_battle.webm", 1000, 1120),
    ("scratch_rotate_costume_screencast.mov", 0, 700), ("lecture_laion400m_slides.mp4", 240, 400),
)  # fmt: skip
MOTION: tuple[Shot, ...] = (
    ("stir_fry_onion_carrot.avi", 50, 153), ("stir_fry_onion_carrot.avi", 155, 270),
    ("bikes_hard_cuts.mp4", 76, 137), ("bikes_hard_cuts.mp4", 187, 242),
    ("tears_of_steel_battle.webm", 340, 620), ("tears_of_steel_battle.webm", 1000, 1120),
    ("nasa_webb_multistream.mp4", 60, 126),
)  # fmt: skip
SCREEN: tuple[Shot, ...] = (
    ("scratch_rotate_costume_screencast.mov", 0, 700), ("lecture_laion400m_slides.mp4", 240, 540),
    ("commentary_greenscreen_timecode.mp4", 0, 600), ("lecture_laion400m_slides.mp4", 2200, 2600),
    ("lecture_laion400m_slides.mp4", 1560, 2060),
)  # fmt: skip
TUNE: tuple[Shot, ...] = (
    ("flipping_a_pancake.mkv", 0, 300), ("making_cake_portrait.mp4", 0, 300), ("cockatoo_hevc.mp4", 0, 280),
    ("mixing_bowl_two_hosts.mp4", 6, 155), ("mixing_bowl_two_hosts.mp4", 240, 288),
    ("apollo17_moonwalk_vp9_opus.webm", 0, 700), ("av1_water_brick_channel.webm", 0, 600),
    ("shuttle_10s_silent.webm", 0, 300),
)  # fmt: skip
TUNE_TALK: Shot = ("mixing_bowl_two_hosts.mp4", 240, 288)


@dataclass(frozen=True)
class Truth:
    """start, end: seconds of the last picture before and the first after a transition; equal for a hard cut."""

    start: float
    end: float
    kind: str  # hard | dissolve | black | fade | wipe | flash | light


@dataclass(frozen=True)
class Material:
    """A video and what is true of it.

    calm: events that are no transition. played: seconds at which a shot begins, and its clip, where that is known.
    """

    name: str
    path: Path
    seconds: float
    truth: tuple[Truth, ...]
    calm: tuple[Truth, ...] = ()
    played: tuple[tuple[float, str], ...] = ()

    def clips_at(self, start: float, end: float) -> list[str]:
        """The clips that are shown from `start` to `end`."""
        begins = [time for time, _ in self.played]
        first = max(bisect_right(begins, start) - 1, 0)
        return [clip for _, clip in self.played[first : max(bisect_right(begins, end), first + 1)]]


def add_folders(parser: argparse.ArgumentParser) -> None:
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--clips", type=Path, default=root.parent / "shared" / "data" / "clips")
    parser.add_argument("--folder", type=Path, default=root / "build" / "benchmarks", help="for the materials")


def made_maker(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Maker:
    if not given.clips.is_dir():
        parser.error(f"real clips are not on this machine: {given.clips} is absent (--clips)")
    return Maker(given.clips, given.folder)


class Maker:
    """Makes materials below a folder; what is there already is not made again."""

    def __init__(self, clips: Path, folder: Path) -> None:
        import imageio_ffmpeg

        self._exe = imageio_ffmpeg.get_ffmpeg_exe()
        self._clips, self._folder = clips, folder
        self.lines: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def talk(
        self, name: str, talk: Shot, others: tuple[Shot, ...], seconds: int, every: int, encode: list[str]
    ) -> Material:
        """A talking shot played to and fro without a seam; every so many seconds another shot of 3 to 5 s."""
        draw = Random(name)
        turns = [self._piece(talk, 0, 10**6), self._piece(talk, 0, 10**6, backward=True)]
        pieces: list[Path] = []
        cuts: list[int] = []
        total = since = 0
        while total < seconds * RATE:
            pieces.append(turns[0])
            turns.reverse()
            total, since = total + _length(pieces[-1]), since + _length(pieces[-1])
            if since >= every * RATE:
                pieces.append(self._piece(draw.choice(others), 0, draw.randint(80, 140)))
                cuts += [total, total + _length(pieces[-1])]
                total, since = cuts[-1], 0
        return self._joined(name, pieces, cuts, encode)

    def spliced(
        self, name: str, shots: tuple[Shot, ...], count: int, least: float, most: float, encode: list[str]
    ) -> Material:
        """`count` pieces of `least` to `most` seconds joined by hard cuts; no shot follows itself."""
        draw = Random(name)
        pieces, cuts, total, last = [], [], 0, None
        for _ in range(count):
            shot = draw.choice([shot for shot in shots if shot is not last])
            length = int(draw.uniform(least, most) * RATE)
            piece = self._piece(shot, draw.random(), length)
            pieces.append(piece)
            total += _length(piece)
            cuts.append(total)
            last = shot
        return self._joined(name, pieces, cuts[:-1], encode)

    def faded(self, name: str, shots: tuple[Shot, ...], count: int, encode: list[str]) -> Material:
        """`count` pieces joined in turn by drawn hard cuts, dissolves and fades through black of 0.3 to 1.2 s."""
        draw = Random(name)
        pieces: list[Path] = []
        last = None
        for _ in range(count):
            shot = draw.choice([shot for shot in shots if shot is not last])
            pieces.append(self._piece(shot, draw.random(), draw.randint(75, 150)))
            last = shot
        graph = [f"[{n}:v]settb=1/{RATE},setpts=N[i{n}]" for n in range(count)]
        truth, total = [], _length(pieces[0])
        for n in range(1, count):
            kind = draw.choice(["hard", "dissolve", "black"])
            frames = (
                0 if kind == "hard" else min(draw.randint(9, 36), _length(pieces[n]) // 2, _length(pieces[n - 1]) // 2)
            )
            before = "i0" if n == 1 else f"o{n - 1}"
            if kind == "hard":
                graph.append(f"[{before}][i{n}]concat=n=2:v=1:a=0,settb=1/{RATE},setpts=N[o{n}]")
                truth.append(Truth(total / RATE, total / RATE, kind))
            else:
                style = "fade" if kind == "dissolve" else "fadeblack"
                offset = (total - frames) / RATE
                graph.append(
                    f"[{before}][i{n}]xfade=transition={style}:duration={frames / RATE:.6f}:offset={offset:.6f},"
                    f"settb=1/{RATE},setpts=N[o{n}]"
                )
                truth.append(Truth((total - frames) / RATE, total / RATE, kind))
            total += _length(pieces[n]) - frames
        path = self._folder / f"{name}.mp4"
        inputs = [argument for piece in pieces for argument in ("-i", str(piece))]
        self._run([*inputs, "-filter_complex", ";".join(graph), "-map", f"[o{count - 1}]", *encode], path)
        if abs(_length(path) - total) > 1:
            raise RuntimeError(f"{path.name}: {_length(path)} pictures, its pieces have {total}")
        return Material(name, path, total / RATE, tuple(truth))

    def looped(self, name: str, source: Path, seconds: int) -> Material:
        """A video repeated by stream copy until it lasts so long; its cuts are not known."""
        path = self._folder / f"{name}.mp4"
        self._run(["-stream_loop", "-1", "-i", str(source), "-t", str(seconds), "-an", "-c", "copy"], path)
        return Material(name, path, seconds, ())

    def _joined(self, name: str, pieces: list[Path], cuts: list[int], encode: list[str]) -> Material:
        path, listing = self._folder / f"{name}.mp4", self._folder / f"{name}.txt"
        listing.write_text("".join(f"file '{piece}'\n" for piece in pieces))
        count = ["-vf", f"settb=1/{RATE},setpts=N", "-r", str(RATE)]  # every picture once, whatever times pieces tell
        self._run(["-f", "concat", "-safe", "0", "-i", str(listing), *count, *encode], path)
        truth = tuple(Truth(cut / RATE, cut / RATE, "hard") for cut in cuts)
        total = sum(map(_length, pieces))
        if _length(path) != total:
            raise RuntimeError(f"{path.name}: {_length(path)} pictures, its pieces have {total}")
        return Material(name, path, total / RATE, truth)

    def _piece(self, shot: Shot, place: float, length: int, backward: bool = False) -> Path:
        """A shot, or `length` pictures of it from `place` (0..1) of what it has to spare, at 640x360 and RATE."""
        clip, first, end = shot
        rate = _rate(self._clips / clip)
        take = min(end - first, round(length * rate / RATE))
        first += int(place * (end - first - take))
        path = self._folder / "pieces" / f"{Path(clip).stem}-{first}-{take}{'-back' if backward else ''}.mkv"
        path.parent.mkdir(exist_ok=True)
        filters = [
            f"trim=start_frame={first}:end_frame={first + take}", "setpts=PTS-STARTPTS", f"fps={RATE}",
            "scale=640:360", "setsar=1", "format=yuv420p",
            # Alike for all: where they differ, ffmpeg restarts its filters in the middle of a joined video.
            "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
        ]  # fmt: skip
        filters += ["reverse"] if backward else []
        self._run(
            ["-i", str(self._clips / clip), "-an", "-vf", ",".join(filters), "-c:v", "libx264", "-preset", "ultrafast",
             "-qp", "10", "-g", "30"],
            path,
        )  # fmt: skip
        return path

    def _run(self, arguments: list[str], path: Path) -> None:
        line = [self._exe, "-v", "error", "-nostdin", "-y", "-threads", "1", *arguments]
        self.lines.append(" ".join(["ffmpeg", *line[1:], path.name]))
        if path.exists():
            return
        half = path.with_name(f"half-{path.name}")
        subprocess.run([*line, str(half)], check=True)
        half.rename(path)


def world(folder: Path, seed: int, videos: int) -> list[Material]:
    """Videos of the sample world where half of the steps dissolve or fade, with their ground truth."""
    from interlink.sample import SampleOptions, render

    if not (folder / "truth.json").exists():
        render(folder, videos, seed, options=SampleOptions(fades=0.5, steps=(6, 10)), processes=1)
    videos = json.loads((folder / "truth.json").read_text())["videos"]
    return [Material(name, folder / f"{name}.mp4", facts["duration"], _drawn(facts)) for name, facts in videos.items()]


def _drawn(facts: dict[str, Any]) -> tuple[Truth, ...]:
    kinds = {"cut": "hard"}
    return tuple(Truth(cut["start"], cut["end"], kinds.get(cut["style"], cut["style"])) for cut in facts["cuts"])


def x264(*options: str, preset: str = "medium") -> list[str]:
    """The encoder's part of a line."""
    return ["-an", "-c:v", "libx264", "-preset", preset, "-crf", "23", "-threads", "1", *options]


def fixed_gop(seconds: int) -> list[str]:
    """A keyframe every so many seconds and nowhere else: cuts lie inside groups."""
    gop = str(seconds * RATE)
    return x264("-g", gop, "-keyint_min", gop, "-sc_threshold", "0")


_LENGTHS: dict[Path, int] = {}


def _length(path: Path) -> int:
    """Number of pictures."""
    import av

    if path not in _LENGTHS:
        with av.open(str(path)) as container:
            _LENGTHS[path] = sum(1 for packet in container.demux(video=0) if packet.size)
    return _LENGTHS[path]


def _rate(path: Path) -> Fraction:
    import av

    with av.open(str(path)) as container:
        return Fraction(container.streams.video[0].average_rate or 25)
