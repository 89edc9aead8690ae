"""Plans a video from (seed, split, index, options): steps, cuts, texts, times. Costs nothing.

Times are presentation times in seconds. All boundaries lie on the frame grid, so that a decoder sees exactly what the
plan says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from interlink.sample import world
from interlink.sample.world import Combination, Split
from interlink.settings import Settings

WALLS = 8  # kinds of wall and of table that `scenery` can draw
TABLES = 6
DARK_WALLS = frozenset({1, 3, 5, 7})  # the others are light; consecutive steps alternate, so that cuts are visible
WORDS_PER_SECOND = 4.5
LEAST_GAP = 0.05  # seconds of silence between two sentences
FADE_SECONDS = 0.5

Range = tuple[float, float]


class SampleOptions(Settings):
    """How the videos of a sample world are made. A share is a fraction of all videos (or steps), 0 to 1."""

    width: int = Field(default=320, ge=64, le=1920, description="pixels as displayed; even")
    height: int = Field(default=256, ge=64, le=1920, description="pixels as displayed; even")
    fps: int = Field(default=8, ge=4, le=60, description="frames per second (with vfr: of the frame grid)")
    steps: tuple[int, int] = Field(default=(3, 5), description="fewest and most steps of a video")
    step_seconds: Range = Field(default=(2.0, 3.0), description="shortest and longest step, in seconds")
    lead: Range = Field(
        default=(-0.6, 0.4),
        description="seconds by which a sentence precedes its act, drawn once per video; negative = it lags",
    )
    fades: float = Field(default=0.2, ge=0, le=1, description="share of the transitions that are fades")
    titles: float = Field(default=0.25, ge=0, le=1, description="share of the steps with a title on screen")
    silent: float = Field(
        default=0.0, ge=0, le=1, description="share of the videos without sound and without subtitles"
    )
    vfr: float = Field(
        default=0.0, ge=0, le=1, description="share of the videos with dropped frames (variable frame rate)"
    )
    portrait: float = Field(default=0.0, ge=0, le=1, description="share of the videos with width and height swapped")
    rotation: tuple[Literal[0, 90, 180, 270], ...] = Field(
        default=(0,),
        min_length=1,
        description="possible rotations: degrees clockwise that a player must turn the picture",
    )
    long: float = Field(default=0.0, ge=0, le=1, description="share of the videos with `long_steps` steps")
    long_steps: tuple[int, int] = Field(default=(24, 36), description="fewest and most steps of a long video")

    @field_validator("width", "height")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> SampleOptions:
        for name in ("steps", "step_seconds", "lead", "long_steps"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: the first value must not be greater than the second")
        if self.steps[0] < 1 or self.long_steps[0] < 1:
            raise ValueError("a video has at least one step")
        if self.step_seconds[0] < 1.0:
            raise ValueError("step_seconds: a step lasts at least one second")
        if max(map(abs, self.lead)) > 0.75 * self.step_seconds[0]:
            raise ValueError("lead: must be at most three quarters of the shortest step")
        return self


@dataclass(frozen=True)
class Distractor:
    """A small object near the border. x, y: its centre, 0..1 of the frame; size: over the frame's shorter side."""

    object: str
    colour: str  # a colour's name, or "grey"
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Title:
    """Text on screen. start, end: seconds. at: "top" or "bottom"; `scene.title_box` gives its box in pixels."""

    text: str
    start: float
    end: float
    at: str


@dataclass(frozen=True)
class Step:
    """One act. first, last: frame numbers on the grid (last is the next step's first)."""

    first: int
    last: int
    combination: Combination
    caption: str
    speech: str
    speech_start: float
    speech_end: float
    title: Title | None
    wall: int
    table: int
    x: float  # target's centre, 0..1 of the frame
    y: float
    size: float  # size of the target over the frame's shorter side
    phase: float  # 0..1: start phase of the tool's motion
    distractors: tuple[Distractor, ...]


@dataclass(frozen=True)
class Transition:
    """The transition to the next step. frames: mixed frames, half of them before the boundary; 0 = hard cut."""

    boundary: int
    frames: int
    style: Literal["cut", "dissolve", "black"]


@dataclass(frozen=True)
class Plan:
    """A planned video. width, height: as displayed. kept: numbers of the frames in the file."""

    name: str
    width: int
    height: int
    fps: int
    rotation: int
    silent: bool
    vfr: bool
    lead: float
    voice: float  # Hz: the narrator's pitch
    steps: tuple[Step, ...]
    transitions: tuple[Transition, ...]
    kept: tuple[int, ...]

    @property
    def frames(self) -> int:
        """Length in frames of the grid: duration × fps."""
        return self.steps[-1].last

    @property
    def duration(self) -> float:
        return self.frames / self.fps


@lru_cache(maxsize=8)
def _round(seed: int, split: Split, number: int) -> list[Combination]:
    """All combinations of the split in random order: one round of dealing."""
    cards = world.combinations(split)
    Random(f"interlink sample {seed} {split} round {number}").shuffle(cards)
    return cards


def _deal(seed: int, split: Split, position: int) -> Combination:
    number, card = divmod(position, len(world.combinations(split)))
    return _round(seed, split, number)[card]


def name_of(split: Split, seed: int, index: int) -> str:
    return f"sample-{split}-{seed}-{index:06d}"


def plan(seed: int, split: Split, index: int, options: SampleOptions) -> Plan:
    """The plan of video number `index` of a world. It does not depend on other videos."""
    draw = Random(f"interlink sample {seed} {split} {index}")
    width, height = options.width, options.height
    # One draw for each, used or not, so that enabling one option does not change the rest of a video.
    silent, vfr, portrait, long = (
        draw.random() < share for share in (options.silent, options.vfr, options.portrait, options.long)
    )
    rotation = options.rotation[int(draw.random() * len(options.rotation))]
    lead = draw.uniform(*options.lead)
    voice = draw.uniform(110.0, 220.0)
    count = draw.randint(*(options.long_steps if long else options.steps))
    if portrait:
        width, height = height, width
    # Combinations are dealt like cards, so that a small world has all of them before one repeats.
    hand = max(options.steps[1], options.long_steps[1] if options.long else 0)
    combinations = [_deal(seed, split, index * hand + number) for number in range(count)]

    lengths = [max(1, round(draw.uniform(*options.step_seconds) * options.fps)) for _ in range(count)]
    firsts = [sum(lengths[:number]) for number in range(count + 1)]
    spoken = [world.say(draw.choice(world.SPEECH), combination) for combination in combinations]
    times = _speech_times(firsts, spoken, lead, options.fps)
    steps: list[Step] = []
    for number, combination in enumerate(combinations):
        previous = steps[-1] if steps else None
        steps.append(
            Step(
                first=firsts[number],
                last=firsts[number + 1],
                combination=combination,
                caption=world.say(draw.choice(world.CAPTIONS), combination),
                speech=spoken[number][0].upper() + spoken[number][1:],
                speech_start=times[number][0],
                speech_end=times[number][1],
                title=_title(draw, combination, number, firsts, options),
                wall=_other_wall(draw, previous),
                table=draw.choice([table for table in range(TABLES) if previous is None or table != previous.table]),
                x=0.5 + draw.uniform(-0.012, 0.012),
                y=0.52 + draw.uniform(-0.008, 0.008),
                size=draw.uniform(0.61, 0.65),
                phase=draw.random(),
                distractors=_distractors(draw, combination),
            )
        )
    transitions = tuple(_transition(draw, step.first, options) for step in steps[1:])
    dropped = _dropped(draw, firsts, transitions)
    return Plan(
        name=name_of(split, seed, index),
        width=width,
        height=height,
        fps=options.fps,
        rotation=rotation,
        silent=silent,
        vfr=vfr,
        lead=lead,
        voice=voice,
        steps=tuple(steps),
        transitions=transitions,
        kept=tuple(n for n in range(firsts[-1]) if not (vfr and n in dropped)),
    )


def _dropped(draw: Random, firsts: list[int], transitions: tuple[Transition, ...]) -> set[int]:
    """Frames that a file of variable frame rate leaves out: never a step's first, the last, or one in a transition."""
    must = {*firsts[:-1], 0, firsts[-1] - 1}
    must |= {n for t in transitions for n in range(t.boundary - t.frames // 2, t.boundary + t.frames // 2 + 1)}
    return {number for number in range(firsts[-1]) if draw.random() < 0.35 and number not in must}


def _speech_times(firsts: list[int], spoken: list[str], lead: float, fps: int) -> list[tuple[float, float]]:
    """(start, end) of each sentence, in seconds: `lead` before its step, moved if the video has no room."""
    end = firsts[-1] / fps
    starts = [max(0.0, first / fps - lead) for first in firsts[:-1]]
    times: list[tuple[float, float]] = []
    for number, start in enumerate(starts):
        room = (starts[number + 1] - LEAST_GAP if number + 1 < len(starts) else end) - start
        length = len(spoken[number].split()) / WORDS_PER_SECOND
        if number + 1 == len(starts) and room < length:
            start, room = max(times[-1][1] + LEAST_GAP if times else 0.0, end - length), length
            room = min(room, end - start)
        times.append((round(start, 3), round(start + min(length, room), 3)))
    return times


def _title(
    draw: Random, combination: Combination, number: int, firsts: list[int], options: SampleOptions
) -> Title | None:
    wanted = draw.random() < options.titles
    text = world.say(draw.choice(world.TITLES), combination, number + 1)
    at = draw.choice(["top", "bottom"])
    if not wanted:
        return None
    first, last = firsts[number], firsts[number + 1]
    inset = max(1, (last - first) // 6)
    return Title(text, (first + inset) / options.fps, (last - inset) / options.fps, at)


def _other_wall(draw: Random, previous: Step | None) -> int:
    walls = [w for w in range(WALLS) if previous is None or (w in DARK_WALLS) != (previous.wall in DARK_WALLS)]
    return draw.choice(walls)


def _distractors(draw: Random, combination: Combination) -> tuple[Distractor, ...]:
    """Two or three small objects in different corners, of another kind and colour than the target."""
    corners = draw.sample([(0.10, 0.22), (0.90, 0.22), (0.09, 0.84), (0.91, 0.84)], draw.randint(2, 3))
    kinds = draw.sample([kind for kind in world.OBJECTS if kind != combination.object], len(corners))
    others = [colour for colour in world.COLOURS if colour != combination.colour]
    return tuple(
        Distractor(
            kind,
            draw.choice(others) if draw.random() < 0.25 else "grey",
            x + draw.uniform(-0.02, 0.02),
            y + draw.uniform(-0.04, 0.04),
            draw.uniform(0.15, 0.19),
        )
        for kind, (x, y) in zip(kinds, corners, strict=True)
    )


def _transition(draw: Random, boundary: int, options: SampleOptions) -> Transition:
    faded = draw.random() < options.fades
    style: Literal["dissolve", "black"] = "dissolve" if draw.random() < 0.5 else "black"
    if not faded:
        return Transition(boundary, 0, "cut")
    return Transition(boundary, 2 * max(1, round(FADE_SECONDS * options.fps / 2)), style)


def truth(video: Plan, title_boxes: list[tuple[int, int, int, int]]) -> dict[str, Any]:
    """The entry of a video in truth.json. Times in seconds; boxes are [left, top, right, bottom] in displayed pixels.

    title_boxes: one for each step that has a title, in order.
    """
    fps = video.fps
    titles = [step.title for step in video.steps if step.title]
    return {
        "duration": video.duration,
        "fps": fps,
        "frames": len(video.kept),
        "size": [video.width, video.height],
        "rotation": video.rotation,
        "silent": video.silent,
        "vfr": video.vfr,
        "lead": round(video.lead, 3),
        "cuts": [
            {
                "time": cut.boundary / fps,
                "kind": "fade" if cut.frames else "hard",
                "style": cut.style,
                "start": (cut.boundary - cut.frames // 2) / fps,
                "end": (cut.boundary + cut.frames // 2) / fps,
            }
            for cut in video.transitions
        ],
        "steps": [
            {
                "start": step.first / fps,
                "end": step.last / fps,
                **step.combination._asdict(),
                "caption": step.caption,
                **_spoken(video, step),
            }
            for step in video.steps
        ],
        "titles": [
            {"text": title.text, "start": title.start, "end": title.end, "box": list(box)}
            for title, box in zip(titles, title_boxes, strict=True)
        ],
    }


def _spoken(video: Plan, step: Step) -> dict[str, Any]:
    if video.silent:
        return {"speech": "", "speech_start": None, "speech_end": None, "lead": None}
    return {
        "speech": step.speech,
        "speech_start": step.speech_start,
        "speech_end": step.speech_end,
        "lead": round(step.first / video.fps - step.speech_start, 3),
    }
