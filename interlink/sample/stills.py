"""Pictures of the sample world with long captions, as shards: a counterpart to DreamLIP's recaptioned data.

`renderer` makes videos for the pipeline; this module writes finished documents: a picture for each step of a planned
video, a caption of two sentences (the act; a small coloured object near the border), the narrator's sentence as speech,
and the boxes of the named objects. Grey objects are not mentioned. Costs about 4 ms per picture.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from interlink.errors import UserError
from interlink.sample import world
from interlink.sample.plan import Distractor, Plan, SampleOptions, Step, name_of, plan
from interlink.sample.world import Split

if TYPE_CHECKING:
    from PIL import Image

Part = tuple[str, bytes]  # a member of a sample: its name and content
Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of the picture's sides

SIDE = 256  # of a picture, pixels
_SHARD_BYTES = 64_000_000
_TARGET, _SMALL_SIZE = 0.75, 0.26  # over a target's size in videos, so that corners stay free; share of the picture
_CORNER = (0.16, 0.2)  # distance of the small object's centre from the nearest sides

_SMALL = (
    "a small {thing} is at the {place}",
    "at the {place} there is a small {thing}",
    "a small {thing} stands at the {place}",
)


@dataclass(frozen=True)
class Region:
    """text: a sentence; box: of the object it names; kind: kind of the sentence, "" if a world has only one kind."""

    text: str
    box: Box
    kind: str = ""

    def members(self) -> dict[str, Any]:
        """The fields in the shard's JSON."""
        return {"text": self.text, "box": list(self.box)} | ({"kind": self.kind} if self.kind else {})


@dataclass(frozen=True)
class Scene:
    """The texts of a step's picture: sentences of its caption, the named objects, and objects without a name."""

    sentences: tuple[str, ...]
    regions: tuple[Region, ...]
    others: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Staging:
    """The content and texts of pictures. plan: makes the plan of (seed, split, number); describe: a step's texts."""

    plan: Callable[[int, Split, int], Plan]
    describe: Callable[[Step, Random], Scene]


def heldout(kind: str, colour: str, corner: int) -> bool:
    """Whether a small object of this kind and colour in this corner (0 to 3) is held out from training.

    Held-out combinations form a Latin square, so that any two of the three occur together in training.
    """
    return (world.OBJECTS.index(kind) + list(world.COLOURS).index(colour) + 2 * corner) % len(world.COLOURS) == 0


def still_plan(seed: int, split: Split, number: int) -> Plan:
    """Like the video of that number, but square, without titles, and with exactly one coloured small object."""
    options = SampleOptions(width=SIDE, height=SIDE, fades=0.0, titles=0.0)
    video = plan(seed, split, number, options)
    draw = Random(f"interlink stills {seed} {split} {number}")
    steps = tuple(
        replace(step, size=_TARGET * step.size, distractors=_recoloured(step, split, draw)) for step in video.steps
    )
    return replace(video, name=name_of(split, seed, number), steps=steps)


def _recoloured(step: Step, split: Split, draw: Random) -> tuple[Distractor, ...]:
    """The distractors with the first one coloured; all stay in their corners."""
    first, *others = step.distractors
    corner = 2 * (first.y > 0.5) + (first.x > 0.5)
    free = [
        (kind, colour)
        for kind in world.OBJECTS
        for colour in world.COLOURS
        if heldout(kind, colour, corner) == (split == "heldout")
        and colour != step.combination.colour
        and kind != step.combination.object
    ]
    kind, colour = draw.choice(free)
    left, top = _CORNER
    small = Distractor(
        kind, colour, 1 - left if first.x > 0.5 else left, 1 - top if first.y > 0.5 else top, _SMALL_SIZE
    )
    return (small, *(replace(other, colour="grey") for other in others))


def describe(step: Step, draw: Random) -> Scene:
    """The texts of a step's picture."""
    small = step.distractors[0]
    named = draw.choice(_SMALL).format(thing=f"{small.colour} {small.object}", place=_place(small))
    return Scene(
        (step.caption, named),
        (
            Region(step.caption, box_of(*step.combination[:2], step.x, step.y, step.size)),
            Region(named, box_of(small.object, small.colour, small.x, small.y, small.size)),
        ),
    )


def _place(one: Distractor) -> str:
    return f"{'top' if one.y < 0.5 else 'bottom'} {'left' if one.x < 0.5 else 'right'}"


def box_of(kind: str, colour: str, x: float, y: float, size: float) -> Box:
    """The box of the drawn object, without the sprite's empty border."""
    from interlink.sample import objects

    side = round(size * SIDE)
    left, top, right, bottom = objects.sprite(kind, colour, side).getbbox() or (0, 0, side, side)
    at = (x * SIDE - side / 2, y * SIDE - side / 2)
    edges = (at[0] + left, at[1] + top, at[0] + right, at[1] + bottom)
    a, b, c, d = (round(min(max(edge / SIDE, 0.0), 1.0), 4) for edge in edges)
    return a, b, c, d


def _members(video: Plan, describe: Callable[[Step, Random], Scene]) -> Iterator[Part]:
    draw = Random(f"interlink stills words {video.name}")
    clips: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    pictures: list[Part] = []
    for number, (step, picture) in enumerate(zip(video.steps, _pictures(video), strict=True)):
        found = describe(step, draw)
        start, end, caption = step.first / video.fps, step.last / video.fps, ". ".join(found.sentences)
        times = {"start": start, "end": end, "clip": number}
        name = f"{number:03d}.jpg"
        segments += [
            {"type": "frames", "images": [name], "times": [(start + end) / 2], "clip": number},
            {"type": "text", "role": "caption", "text": caption, **times},
            {"type": "text", "role": "speech", "text": step.speech, **times},
        ]
        about = {"start": start, "end": end, "caption": caption, "speech": step.speech}
        regions = {"regions": found.regions} | ({"others": found.others} if found.others else {})
        clips.append(about | {name: [one.members() for one in part] for name, part in regions.items()})
        held = io.BytesIO()
        picture.save(held, "JPEG", quality=90)
        pictures.append((name, held.getvalue()))
    source = {"dataset": "interlink-sample", "licence": "Apache-2.0", "path": "", "video_id": video.name}
    document = {"format_version": "1", "id": video.name, "source": source, "clips": clips, "segments": segments}
    yield "json", json.dumps(document, sort_keys=True).encode()
    yield from pictures


def _pictures(video: Plan) -> Iterator[Image.Image]:
    """The frame at the middle of each step."""
    from interlink.sample import scene

    middles = [(step.first + step.last) // 2 for step in video.steps]
    wanted = replace(video, kept=tuple(middles))
    for _, picture in scene.frames(wanted):
        yield picture


CORNER = Staging(still_plan, describe)  # an act in the middle, a small coloured object in a corner


def write(folder: Path, documents: int, seed: int = 0, split: Split = "train", staging: Staging = CORNER) -> Path:
    """Writes shards of `documents` documents with 3 to 5 pictures into a new folder. Raises UserError if not empty.

    A document depends only on (seed, split, its number) and the staging. Held out are combinations of the targets'
    object, colour and action, and of a small object's kind, colour and corner.
    """
    from interlink.shards import ShardWriter
    from interlink.storage import Storage

    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty", "use a new folder", code=2)
    with ShardWriter(Storage(str(folder)), "", lambda number: f"{number:03d}.tar", _SHARD_BYTES) as writer:
        for number in range(documents):
            video = staging.plan(seed, split, number)
            members = list(_members(video, staging.describe))
            words = sum(len(f"{step.caption} {step.speech}".split()) for step in video.steps)
            writer.add(video.name, members, images=len(video.steps), clips=len(video.steps), text_tokens=words)
    return folder
