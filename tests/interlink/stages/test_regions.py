"""regions: what parts of the frames show, with places, by a real Florence-2 of a few weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlink.engines.captioner import ClipRequest
from interlink.engines.florence import parse_regions
from interlink.engines.reader import Box
from interlink.engines.regions import regions_of_clips
from interlink.engines.settings import TransformersSettings
from interlink.engines.transformers import FLORENCE_PROMPT, Transformers
from interlink.errors import UserError
from interlink.narrate.video import known_of_clips
from interlink.stage import Item, Row
from interlink.stages.regions import Regions, RegionsSettings
from interlink.storage import Storage
from telling import Video, jpeg, make_items, simple_video, through_table

SAID = "a pan<loc_100><loc_250><loc_500><loc_750><loc_0><loc_0><loc_10><loc_20>a hand<loc_0><loc_0><loc_999><loc_999>"


@pytest.fixture(scope="module")
def florence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_florence2

    return save_florence2(tmp_path_factory.mktemp("models") / "tiny-florence", regions=SAID)


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_blip2

    return save_blip2(tmp_path_factory.mktemp("models") / "tiny-blip2")


def look(items: Sequence[Item], model: Path, **options: Any) -> dict[str, Row]:
    florence = {"model": str(model), "num_beams": 1, "max_new_tokens": 40, "batch_size": 2, "device": "cpu"}
    stage = Regions(RegionsSettings(**{"florence2": florence, **options}), items[0].context)
    stage.open()
    try:
        rows = list(stage.run(iter(items)))
    finally:
        stage.close()
    assert len(rows) == len(items)
    return {row.id: row for row in rows}


@pytest.fixture
def root(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def test_the_middle_frame_of_each_clip_is_told_part_by_part_in_its_pixels(root: Storage, florence: Path) -> None:
    items = make_items(root, [simple_video("a", clips=3, frames=3), Video("none", []), simple_video("b", clips=2)])
    rows = look(items, florence)

    assert rows["none"].fields["frames"] == []
    fields = through_table("regions", {"id": "a", **rows["a"].fields})
    assert [(frame["clip"], frame["frame"]) for frame in fields["frames"]] == [(0, 1), (1, 1), (2, 1)]
    assert len(rows["b"].fields["frames"]) == 2
    for frame in fields["frames"]:
        assert [region["text"] for region in frame["regions"]] == ["a pan", "a pan", "a hand"]
        assert frame["regions"][0]["score"] is None
        box = frame["regions"][0]["box"]  # the frames are 48 x 32 pixels
        assert box == pytest.approx({"left": 4.824, "top": 8.016, "right": 24.024, "bottom": 24.016})
    assert (fields["engine"], fields["model"]) == ("florence2", "tiny-florence")
    assert fields["revision"].startswith("folder-") and fields["prompt_hash"]
    assert json.loads(fields["parameters"]) == {"dtype": "float32", "max_new_tokens": 40, "num_beams": 1}


def test_frames_and_regions_are_as_many_as_wanted(root: Storage, florence: Path) -> None:
    [row] = look(make_items(root, [simple_video("a", clips=1, frames=3)]), florence, frames_per_clip=0, most=2).values()
    assert [(f["frame"], len(f["regions"])) for f in row.fields["frames"]] == [(0, 2), (1, 2), (2, 2)]

    [row] = look(make_items(root, [simple_video("a")]), florence, engine="none").values()
    assert row.fields["frames"] == [] and row.fields["engine"] == "none"


def test_regions_are_evidence_and_go_into_documents_as_shares_of_the_frame(root: Storage, florence: Path) -> None:
    [item] = make_items(root, [simple_video("a", clips=2)])
    rows = {**item.rows, "regions": look([item], florence)["a"].fields}

    told = regions_of_clips(rows["keyframes"]["clips"], rows["regions"])
    assert told[0][0] == {"box": [0.1005, 0.2505, 0.5005, 0.7505], "text": "a pan", "time": 2.0}
    assert [len(regions) for regions in told] == [3, 3]
    known = known_of_clips(rows)
    assert known[1].regions == "a pan [10 25 50 75]; a hand [0 0 100 100]"


def test_a_model_that_tells_no_regions_is_refused(blip2: Path, root: Storage) -> None:
    with pytest.raises(UserError, match="is a blip-2, which gives no regions"):
        look(make_items(root, [simple_video("a")]), blip2)
    with pytest.raises(UserError, match="has no model") as caught:
        look(make_items(root, [simple_video("a")]), Path("none"), florence2={})
    assert "regions.florence2.model" in caught.value.do


def test_a_florence_captions_by_its_own_task(florence: Path) -> None:
    engine = Transformers(TransformersSettings(model=str(florence), max_new_tokens=12, device="cpu"), "")
    identity = engine.open()
    answers = list(engine.caption(ClipRequest("v", n, (jpeg(n),), (0.0,), 0, 5) for n in range(3)))
    assert [(answer.caption, answer.flag, answer.tokens) for answer in answers] == [("a hand cuts an onion", "", 5)] * 3
    assert identity.prompt == FLORENCE_PROMPT


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("a cup<loc_0><loc_0><loc_500><loc_999>", [("a cup", (0.05, 0.1, 50.05, 199.9))]),
        ("<s>a  cup<loc_0><loc_0><loc_500><loc_999></s><pad>", [("a cup", (0.05, 0.1, 50.05, 199.9))]),
        ("ein Löffel<loc_1><loc_1><loc_2><loc_2>", [("ein Löffel", (0.15, 0.3, 0.25, 0.5))]),
        ("cup<loc_5><loc_5><loc_5><loc_9>", []),  # no width
        ("cup<loc_9><loc_5><loc_5><loc_9>", []),  # inside out
        ("cup<loc_1><loc_2><loc_3>", []),  # cut off
        ("cup<loc_1><loc_1><loc_2><loc_2>cup<loc_1><loc_1><loc_2><loc_2>", [("cup", (0.15, 0.3, 0.25, 0.5))]),
        ("cup<loc_1><loc_1><loc_2><loc_2><loc_3><loc_3>", [("cup", (0.15, 0.3, 0.25, 0.5))]),
        ("cup<loc_0><loc_0><loc_5000><loc_2>", [("cup", (0.05, 0.1, 99.95, 0.5))]),
        ("<loc_1><loc_1><loc_2><loc_2> ", []),  # no words
        ("only words", []),
        ("", []),
    ],
)
def test_what_is_told_becomes_boxes_in_pixels(said: str, found: list[tuple[str, tuple[float, ...]]]) -> None:
    lines = parse_regions(said, 100, 200)
    assert [line.text for line in lines] == [text for text, _ in found]
    for line, (_, sides) in zip(lines, found, strict=True):
        assert isinstance(line.box, Box)
        assert (line.box.left, line.box.top, line.box.right, line.box.bottom) == pytest.approx(sides)
