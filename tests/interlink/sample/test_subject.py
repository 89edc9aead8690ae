"""Pictures with a subject: its captions speak of it in more or less detail, and of nothing that lies about."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from interlink.sample import stills, subject, world
from interlink.sample.plan import Plan, Step
from interlink.sample.world import Split


def plans(split: Split = "train", coloured: float = 0.0, count: int = 30) -> list[Plan]:
    return [subject.still_plan(0, split, number, coloured) for number in range(count)]


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_the_subject_is_of_its_split_and_like_nothing_that_lies_about(split: Split) -> None:
    counts, places = set(), set()
    for video in plans(split, coloured=0.5):
        for step in video.steps:
            assert step.combination in world.combinations(split)
            kinds = [step.combination.object, *(one.object for one in step.distractors)]
            assert len(set(kinds)) == len(kinds)
            assert step.combination.colour not in {one.colour for one in step.distractors}
            assert all(0.4 <= size <= 0.46 for size in (step.size, *(one.size for one in step.distractors)))
            counts.add(len(kinds))
            places.add((step.x > 0.5, step.y > 0.5))
    assert counts == {3, 4} and len(places) == 4


def test_clutter_is_grey_or_has_a_colour_as_often_as_wished_and_nothing_else_changes() -> None:
    grey, half = ([step for video in plans(coloured=share) for step in video.steps] for share in (0.0, 0.5))
    assert {one.colour for step in grey for one in step.distractors} == {"grey"}
    coloured = [one.colour != "grey" for step in half for one in step.distractors]
    assert 0.4 < np.mean(coloured) < 0.6
    for one, other in zip(grey, half, strict=True):
        assert (one.x, one.y, one.size, one.caption) == (other.x, other.y, other.size, other.caption)
        assert [part.object for part in one.distractors] == [part.object for part in other.distractors]


def test_captions_tell_of_the_subject_alone_in_more_or_less_detail() -> None:
    for video in plans(count=10):
        for step in video.steps:
            scene = subject.describe(step, Random(0))
            name, colour, action = step.combination
            told = {region.kind: world.parts(region.text) for region in scene.regions}
            assert told["name"] == (name, None, None)
            assert told["act"] == (name, None, action)
            assert told["colour"] == (name, colour, None)
            assert told["full"] == told["speech"] == (name, colour, action)
            assert (*scene.sentences, step.speech) == tuple(region.text for region in scene.regions)
            assert len({region.box for region in scene.regions}) == 1
            for other, thing in zip(scene.others, step.distractors, strict=True):
                assert world.parts(other.text)[0] == thing.object
                assert all(thing.object not in sentence for sentence in scene.sentences)


def test_boxes_in_the_shard_hold_what_they_are_said_to(tmp_path: Path) -> None:
    folder = stills.write(tmp_path / "subjects", 4, staging=subject.staging(1.0))
    checked = things = 0
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as tar:
            held = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
        for name in (one for one in held if one.endswith(".json")):
            about = json.loads(held[name])
            for number, (clip, plan) in enumerate(zip(about["clips"], _steps(about["id"]), strict=True)):
                picture = Image.open(io.BytesIO(held[f"{name.removesuffix('.json')}.{number:03d}.jpg"]))
                pixels = np.asarray(picture.convert("RGB")).astype(int)
                boxes = [clip["regions"][0]["box"], *(one["box"] for one in clip["others"])]
                colours = [plan.combination.colour, *(one.colour for one in plan.distractors)]
                for box, colour in zip(boxes, colours, strict=True):
                    left, top, right, bottom = (round(256 * edge) for edge in box)
                    near = np.abs(pixels[top:bottom, left:right] - np.array(world.COLOURS[colour])).max(-1) < 40
                    checked, things = checked + bool(near.mean() > 0.15), things + 1
    assert things > 40 and checked >= 0.9 * things  # tools may hide a part, and thin things fill little of their box


def _steps(name: str) -> tuple[Step, ...]:
    return subject.still_plan(0, "train", int(name.rsplit("-", 1)[1]), 1.0).steps
