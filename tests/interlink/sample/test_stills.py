"""Stills: documents that our readers take, the same from their seed, with words and boxes that are true."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from interlink.errors import UserError
from interlink.sample import stills, world
from interlink.sample.world import Split


def documents(folder: Path) -> list[tuple[dict[str, Any], list[Image.Image]]]:
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            for name in (one for one in names if one.endswith(".json")):
                held = tar.extractfile(name)
                assert held is not None
                about = json.load(held)
                pictures = []
                for number in range(len(about["clips"])):
                    member = tar.extractfile(f"{name.removesuffix('.json')}.{number:03d}.jpg")
                    assert member is not None
                    pictures.append(Image.open(member).convert("RGB"))
                found.append((about, pictures))
    return found


def test_the_same_bytes_from_the_same_seed_and_nothing_is_written_over(tmp_path: Path) -> None:
    one, other = (stills.write(tmp_path / name, 2, seed=4) for name in "ab")
    assert [path.read_bytes() for path in sorted(one.glob("*.tar"))] == [
        path.read_bytes() for path in sorted(other.glob("*.tar"))
    ]
    with pytest.raises(UserError, match="is not empty"):
        stills.write(tmp_path / "a", 2)


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_split_shows_only_its_own_combinations(split: Split) -> None:
    small: Counter[str] = Counter()
    for number in range(60):
        for step in stills.still_plan(0, split, number).steps:
            assert step.combination in world.combinations(split)
            first, *others = step.distractors
            corner = 2 * (first.y > 0.5) + (first.x > 0.5)
            assert stills.heldout(first.object, first.colour, corner) == (split == "heldout")
            assert first.colour != step.combination.colour
            assert {one.colour for one in others} <= {"grey"}
            small[first.colour] += 1
    assert set(small) == set(world.COLOURS)


def test_captions_say_what_is_seen_where_they_say_it(tmp_path: Path) -> None:
    checked = 0
    for about, pictures in documents(stills.write(tmp_path / "stills", 4)):
        for clip, picture in zip(about["clips"], pictures, strict=True):
            (act, _), (small, box) = [(one["text"], one["box"]) for one in clip["regions"]]
            assert clip["caption"] == f"{act}. {small}"
            assert world.parts(act) == world.parts(clip["speech"])
            colour = world.parts(small)[1]
            assert colour is not None and world.parts(small)[0] is not None
            left, top, right, bottom = (round(256 * edge) for edge in box)
            assert ("left" in small, "top" in small) == (left < 128, top < 128)
            pixels = np.asarray(picture)[top:bottom, left:right].reshape(-1, 3).astype(int)
            near = np.abs(pixels - np.array(world.COLOURS[colour])).max(1) < 40
            checked += bool(near.mean() > 0.15)  # tools may hide a part of it
    assert checked >= 13  # of 14 to 16 pictures
