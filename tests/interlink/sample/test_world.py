"""The vocabulary: what is held out, and whether every sentence names what it is about."""

from __future__ import annotations

from itertools import product

import pytest

from interlink.sample import world


def test_the_splits_are_disjoint_and_cover_every_combination() -> None:
    train, heldout = set(world.combinations("train")), set(world.combinations("heldout"))

    assert not train & heldout
    assert train | heldout == set(product(world.OBJECTS, world.COLOURS, world.ACTIONS))
    assert len(heldout) == len(train | heldout) / 8 >= 64  # enough distinct captions for retrieval among 64


def test_the_world_is_as_large_as_promised() -> None:
    assert len(world.OBJECTS) >= 12
    assert len(world.COLOURS) == len(world.ACTIONS) == 8


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize(
    ("first", "second"), [("object", "colour"), ("object", "action"), ("colour", "action")], ids="-".join
)
def test_any_two_parts_of_a_combination_meet_in_training(split: world.Split, first: str, second: str) -> None:
    pairs = {(getattr(c, first), getattr(c, second)) for c in world.combinations(split)}
    values = {"object": world.OBJECTS, "colour": world.COLOURS, "action": world.ACTIONS}

    if split == "train":
        assert pairs == set(product(values[first], values[second]))
    else:  # and none of them gives the third away
        assert {value for value, _ in pairs} == set(values[first])
        assert {value for _, value in pairs} == set(values[second])


@pytest.mark.parametrize("template", [*world.SPEECH, *world.CAPTIONS])
def test_every_wording_names_its_object_colour_and_action(template: str) -> None:
    for combination in (*world.combinations("train"), *world.combinations("heldout")):
        assert world.parts(world.say(template, combination)) == combination


def test_sentences_are_english() -> None:
    orange = world.Combination("apple", "orange", "slice")
    red = world.Combination("mug", "red", "heat")

    assert world.say(world.CAPTIONS[0], orange) == "an orange apple is sliced with a knife"
    assert world.say(world.CAPTIONS[0], red) == "a red mug is heated with a flame"
    assert world.say(world.SPEECH[0], orange) == "now we slice the orange apple with a knife."
    assert world.say(world.TITLES[0], red, 3) == "Step 3: heat the mug"


def test_parts_that_are_missing_or_doubtful_are_none() -> None:
    assert world.parts("Someone washes a boat.") == ("boat", None, "wash")
    assert world.parts("a red hat and a blue hat are wiped") == ("hat", None, "wipe")
    assert world.parts("") == (None, None, None)


def test_colours_are_far_apart() -> None:
    colours = list(world.COLOURS.values())
    for number, first in enumerate(colours):
        for second in colours[number + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5 > 80
