"""The content of the sample world: objects, colours, actions, and sentences about them. Costs nothing.

A combination is (object, colour, action). One in eight is held out by a Latin square: any two of its parts occur
together in training (every colour of every object, every action on it, every action in every colour); all three do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

Split = Literal["train", "heldout"]


class Combination(NamedTuple):
    """The content of one step. The parts are words of OBJECTS, COLOURS and ACTIONS."""

    object: str
    colour: str
    action: str


@dataclass(frozen=True)
class Verb:
    """The forms of an action's verb, and its tool."""

    base: str
    third: str
    past: str
    gerund: str
    tool: str  # as used after "with"


OBJECTS: tuple[str, ...] = (
    "apple",
    "mug",
    "fish",
    "bottle",
    "hat",
    "boot",
    "key",
    "chair",
    "mushroom",
    "guitar",
    "boat",
    "ladder",
)

COLOURS: dict[str, tuple[int, int, int]] = {  # RGB, 0..255
    "red": (214, 34, 38),
    "orange": (245, 136, 16),
    "yellow": (250, 220, 36),
    "green": (42, 160, 60),
    "blue": (34, 92, 218),
    "purple": (126, 46, 180),
    "pink": (250, 140, 196),
    "white": (244, 244, 242),
}

ACTIONS: dict[str, Verb] = {
    "slice": Verb("slice", "slices", "sliced", "slicing", "a knife"),
    "paint": Verb("paint", "paints", "painted", "painting", "a brush"),
    "hammer": Verb("hammer", "hammers", "hammered", "hammering", "a mallet"),
    "wash": Verb("wash", "washes", "washed", "washing", "water"),
    "heat": Verb("heat", "heats", "heated", "heating", "a flame"),
    "wrap": Verb("wrap", "wraps", "wrapped", "wrapping", "striped tape"),
    "measure": Verb("measure", "measures", "measured", "measuring", "a ruler"),
    "wipe": Verb("wipe", "wipes", "wiped", "wiping", "a cloth"),
}

# {thing} = "red apple", {a_thing} = "a red apple".
SPEECH: tuple[str, ...] = (
    "now we {base} the {thing} with {tool}.",
    "next, {base} the {thing}.",
    "take {tool} and {base} the {thing}.",
    "here I am {gerund} the {thing} with {tool}.",
    "let's {base} the {thing} with {tool}.",
    "then the {thing} gets {past}.",
)

CAPTIONS: tuple[str, ...] = (
    "{a_thing} is {past} with {tool}",
    "someone {third} {a_thing} with {tool}",
    "{gerund} {a_thing} with {tool}",
    "{a_thing} is being {past}",
)

TITLES: tuple[str, ...] = (
    "Step {number}: {base} the {object}",
    "{Gerund} the {object}",
    "The {thing}",
)


def combinations(split: Split) -> list[Combination]:
    """All combinations of a split, in a fixed order: 7 of 8 are for training, 1 of 8 is held out."""
    modulus = len(ACTIONS)
    return [
        Combination(thing, colour, action)
        for o, thing in enumerate(OBJECTS)
        for c, colour in enumerate(COLOURS)
        for a, action in enumerate(ACTIONS)
        if ((o + c + a) % modulus == 0) == (split == "heldout")
    ]


def say(template: str, combination: Combination, number: int = 1) -> str:
    """A template of SPEECH, CAPTIONS or TITLES, filled in. number: of the step in the video, from 1."""
    verb = ACTIONS[combination.action]
    thing = f"{combination.colour} {combination.object}"
    article = "an" if thing[0] in "aeiou" else "a"
    return template.format(
        thing=thing,
        a_thing=f"{article} {thing}",
        object=combination.object,
        number=number,
        base=verb.base,
        third=verb.third,
        past=verb.past,
        gerund=verb.gerund,
        Gerund=verb.gerund.capitalize(),
        tool=verb.tool,
    )


_FORMS = {form: action for action, verb in ACTIONS.items() for form in (verb.base, verb.third, verb.past, verb.gerund)}


def parts(text: str) -> tuple[str | None, str | None, str | None]:
    """The (object, colour, action) that a sentence names; None if it names none or two of a kind."""
    words = re.findall(r"[a-z]+", text.lower())

    def only(found: set[str]) -> str | None:
        return found.pop() if len(found) == 1 else None

    return (
        only({word for word in words if word in OBJECTS}),
        only({word for word in words if word in COLOURS}),
        only({_FORMS[word] for word in words if word in _FORMS}),
    )
