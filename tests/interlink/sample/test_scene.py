"""Pictures: the colour is the target's, the tool is seen in every still, cuts are real, titles lie in their box."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from interlink.sample import SampleOptions, scene, world
from interlink.sample.plan import Plan, Title, plan
from interlink.sample.world import Combination

WIDTH, HEIGHT = 320, 256


def showing(combination: Combination, index: int = 0, title: Title | None = None) -> Plan:
    """A video of one step that shows this."""
    video = plan(3, "train", index, SampleOptions(titles=0.0))
    step = replace(video.steps[0], combination=combination, title=title)
    return replace(video, steps=(step,), transitions=(), kept=tuple(range(step.last)))


def pictures(video: Plan) -> list[Any]:
    return [np.asarray(image).astype(int) for _, image in scene.frames(video)]


@pytest.mark.parametrize("kind", world.OBJECTS)
@pytest.mark.parametrize("colour", world.COLOURS)
def test_the_most_frequent_colour_of_the_target_is_its_own(kind: str, colour: str) -> None:
    video = showing(Combination(kind, colour, "measure"))  # the ruler stands beside the target
    step = video.steps[0]
    half = step.size * HEIGHT / 2 * 0.8
    x, y = step.x * WIDTH, step.y * HEIGHT

    picture = pictures(video)[0]
    empty = pictures(showing(Combination(kind, "grey", "measure")))[0]  # type: ignore[arg-type]
    region = (slice(int(y - half), int(y + half)), slice(int(x - half), int(x + half)))
    painted = picture[region][np.abs(picture[region] - empty[region]).sum(-1) > 20]
    named = np.array(list(world.COLOURS.values()))
    nearest = np.abs(painted[:, None] - named[None]).sum(-1).argmin(-1)

    assert len(painted) > 600
    assert list(world.COLOURS)[np.bincount(nearest, minlength=8).argmax()] == colour


@pytest.mark.parametrize("action", world.ACTIONS)
def test_each_action_is_told_from_all_others_in_every_still(action: str) -> None:
    mine = pictures(showing(Combination("boot", "green", action)))
    moved = [np.abs(after - before).max() for before, after in pairwise(mine)]

    assert min(moved) > 30  # the tool never rests
    for other in set(world.ACTIONS) - {action}:
        theirs = pictures(showing(Combination("boot", "green", other)))[::3]
        for picture in mine[::3]:
            assert min((np.abs(picture - still).sum(-1) > 60).mean() for still in theirs) > 0.03


def test_pictures_change_most_at_cuts() -> None:
    for index in range(6):
        video = plan(4, "train", index, SampleOptions(fades=0.0))
        stills = pictures(video)
        change = np.array([np.abs(b - a).mean() for a, b in pairwise(stills)])
        cuts = [cut.boundary - 1 for cut in video.transitions]
        assert change[cuts].min() > 3 * np.delete(change, cuts).max()


@pytest.mark.parametrize("style", ["dissolve", "black"])
def test_a_fade_goes_over_step_by_step(style: Any) -> None:
    video = plan(4, "train", 0, SampleOptions(fades=1.0, fps=16))
    video = replace(video, transitions=tuple(replace(cut, style=style) for cut in video.transitions))
    cut = video.transitions[0]
    start, end = cut.boundary - cut.frames // 2, cut.boundary + cut.frames // 2
    assert end - start == 8  # half a second

    stills = pictures(video)
    before, after = stills[start - 1], stills[end]
    if style == "dissolve":
        away = [np.abs(still - before).mean() for still in stills[start:end]]
        assert away == sorted(away) and away[0] < 0.3 * np.abs(after - before).mean()
    else:
        light = [still.mean() for still in stills[start:end]]
        assert light[:4] == sorted(light[:4], reverse=True) and light[4:] == sorted(light[4:])
        assert min(light) < 0.3 * min(before.mean(), after.mean())


@pytest.mark.parametrize("at", ["top", "bottom"])
@pytest.mark.parametrize("text", ["The hat", "Step 12: hammer the mushroom with great care and patience"])
def test_a_title_is_drawn_inside_its_box_during_its_time_only(at: str, text: str) -> None:
    combination = Combination("hat", "blue", "heat")
    title = Title(text, start=0.5, end=1.5, at=at)
    titled, bare = showing(combination, title=title), showing(combination)
    left, top, right, bottom = scene.title_box(titled, title)
    assert 0 <= left < right <= WIDTH and 0 <= top < bottom <= HEIGHT

    for number, (with_title, without) in enumerate(zip(pictures(titled), pictures(bare), strict=True)):
        differs = np.abs(with_title - without).sum(-1) > 0
        if 0.5 <= number / 8 < 1.5:
            ys, xs = np.nonzero(differs)
            assert left <= xs.min() and xs.max() < right and top <= ys.min() and ys.max() < bottom
            assert differs[top:bottom, left:right].mean() > 0.9
            assert (with_title[top:bottom, left:right].min(-1) > 240).sum() > 100  # white letters
        else:
            assert not differs.any()


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 300), (640, 360)])
def test_any_size_can_be_drawn(width: int, height: int) -> None:
    video = plan(1, "train", 0, SampleOptions(width=width, height=height, steps=(3, 3)))
    assert {image.size for _, image in scene.frames(video)} == {(width, height)}
