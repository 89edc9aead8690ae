"""Pictures of three or four objects with captions about one of them: the subject, the object of the act.

Like captions of photographs: a short one says "the mug", a long one also its colour and the act. Captions do not
mention the other objects, which have other kinds and the same sizes. A staging of `stills`, at the same cost.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from random import Random

from interlink.sample import world
from interlink.sample.plan import Distractor, Plan, SampleOptions, Step, name_of, plan
from interlink.sample.stills import SIDE, Region, Scene, Staging, box_of
from interlink.sample.world import Split

_PLACES = ((0.25, 0.27), (0.75, 0.27), (0.25, 0.75), (0.75, 0.75))
_ASTRAY = 0.04  # largest offset of an object from its place
_SIZES = (0.40, 0.46)  # size of an object over the picture's side

# Kinds of sentence, by what they say in addition to the name; the video's caption and speech say everything.
_SENTENCES = {
    "name": ("the {object}", "this is the {object}", "here is the {object}"),
    "act": ("the {object} is being {past}", "someone {third} the {object}", "the {object} gets {past}"),
    "colour": ("{a_thing}", "this is {a_thing}", "here is {a_thing}"),
}
_FULL, _SPEECH = "full", "speech"


def staging(coloured: float = 0.0) -> Staging:
    """coloured: share of the other objects with a colour, which is never the subject's; the rest are grey."""
    return Staging(partial(still_plan, coloured=coloured), describe)


def still_plan(seed: int, split: Split, number: int, coloured: float = 0.0) -> Plan:
    """Like the video of that number, but square, without titles, and with the target among other objects."""
    video = plan(seed, split, number, SampleOptions(width=SIDE, height=SIDE, fades=0.0, titles=0.0))
    draw = Random(f"interlink subjects {seed} {split} {number}")
    steps = tuple(_surrounded(step, coloured, draw) for step in video.steps)
    return replace(video, name=name_of(split, seed, number), steps=steps)


def _surrounded(step: Step, coloured: float, draw: Random) -> Step:
    subject = step.combination
    (x, y), *others = (
        (x + draw.uniform(-_ASTRAY, _ASTRAY), y + draw.uniform(-_ASTRAY, _ASTRAY))
        for x, y in draw.sample(_PLACES, draw.choice((3, 4)))
    )
    kinds = draw.sample([kind for kind in world.OBJECTS if kind != subject.object], len(others))
    colours = [colour for colour in world.COLOURS if colour != subject.colour]
    about = []
    for kind, place in zip(kinds, others, strict=True):
        # Both are drawn, used or not, so that another share of colours does not change the rest of a picture.
        colour, has_one = draw.choice(colours), draw.random() < coloured
        about.append(Distractor(kind, colour if has_one else "grey", *place, draw.uniform(*_SIZES)))
    return replace(step, x=x, y=y, size=draw.uniform(*_SIZES), distractors=tuple(about))


def describe(step: Step, draw: Random) -> Scene:
    """A sentence of each kind about the subject; for the other objects, the sentence that would name them."""
    box = box_of(step.combination.object, step.combination.colour, step.x, step.y, step.size)
    sentences = {kind: world.say(draw.choice(ways), step.combination) for kind, ways in _SENTENCES.items()}
    sentences[_FULL] = step.caption
    others = tuple(
        Region(f"the {one.object}", box_of(one.object, one.colour, one.x, one.y, one.size), "name")
        for one in step.distractors
    )
    regions = tuple(Region(text, box, kind) for kind, text in (sentences | {_SPEECH: step.speech}).items())
    return Scene(tuple(sentences.values()), regions, others)
