"""Clips that do not stay are told with the rule they broke and its value; thresholds need their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.recipe import Recipe
from interlink.shards import document as documents
from interlink.stage import Context, Item, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.storage import Storage
from scoring import narrated, scored
from telling import FINGERPRINTS, Video, make_items, simple_video


def item_of(folder: Path, video: Video | None = None) -> Item:
    root = Storage(str(folder))
    return make_items(root, [video or simple_video("film")], context=Context(root, 0, "test", FINGERPRINTS))[0]


def run(item: Item, **options: Any) -> Row:
    (row,) = Interleave(InterleaveSettings(**options), item.context).run(iter([item]))
    return row


def left(row: Row) -> list[tuple[Any, ...]]:
    return [(one["what"], one["clip"], one["reason"], one["value"]) for one in row.fields["left_out"]]


def test_a_threshold_leaves_clips_out_with_their_scores(tmp_path: Path) -> None:
    item = scored(item_of(tmp_path), clips=[{"similarity": 0.31}, {"similarity": 0.2}, {}])

    row = run(item, filter={"similarity": 0.28})

    assert left(row) == [("clip", 1, "low_similarity", 0.2), ("clip", 2, "low_similarity", None)]
    (document,) = [documents.load(entry["document"]) for entry in row.fields["documents"]]
    assert [clip.scores for clip in document.clips] == [{"similarity": 0.31}]
    assert document.provenance.models["score"] == "tiny@r"


def test_a_video_of_which_nothing_stays_is_dropped_for_what_most_clips_broke(tmp_path: Path) -> None:
    item = scored(
        item_of(tmp_path), clips=[{"similarity": 0.1}, {"similarity": 0.2}, {"similarity": 0.9, "safety": 0.8}]
    )

    row = run(item, filter={"similarity": 0.28, "safety": 0.5})

    assert (row.status, row.reason) == ("dropped", "low_similarity")
    assert "low_similarity 2, unsafe 1" in row.message
    assert len(left(row)) == 3


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"agreement": 0.5}, "low_agreement"),
        ({"sharpness": 5.0}, "blurred"),
        ({"darkest": 0.3}, "dark"),
        ({"brightest": 0.1}, "bright"),
        ({"motion": 9.0}, "still"),
        ({"tokens": 30}, "few_tokens"),
        ({"shortest": 11}, "short"),
        ({"longest": 9}, "long"),
        ({"flags": ["refusal"]}, "flagged"),
        ({"language": "de"}, "language"),
    ],
)
def test_every_rule_has_its_reason(tmp_path: Path, rules: dict[str, Any], reason: str) -> None:
    item = narrated(item_of(tmp_path), ["One."] * 3, ["long,refusal"] * 3)
    item = scored(item, clips=[{"agreement": 0.2}] * 3)
    for clip in item.rows["keyframes"]["clips"]:
        clip.update(sharpness=4.0, light=0.2, motion=1.0)

    assert run(item, filter=rules).reason == reason
    assert run(item).status == "ok"


def test_frames_that_look_alike_are_shown_once(tmp_path: Path) -> None:
    item = scored(item_of(tmp_path))
    for frame, value in zip(item.rows["score"]["frames"], (0, 1, -1, 0b11, 2**62, 2**62 + 1), strict=True):
        frame["hash"] = value

    row = run(item, filter={"duplicate_frames": 2})

    # The second clip's last frame is like the first clip's first; its first differs in all 64 bits.
    assert [(i["clip"], i["frame"]) for i in row.fields["documents"][0]["images"]] == [(0, 0), (1, 0)]
    assert left(row)[-1] == ("clip", 2, "no_frames", None) or row.fields["left_out"][-1]["clip"] == 2


def test_personal_data_is_blotted_out_where_asked(tmp_path: Path) -> None:
    video = Video("film", [(0, 10, [1])], [("mail me at jo@example.org", 1, 3)], ["Call +1 (555) 010-9999 now."])
    item = item_of(tmp_path, video)

    assert "jo@example.org" in run(item).fields["documents"][0]["document"]
    text = run(item, scrub=True).fields["documents"][0]["document"]
    assert "example.org" not in text and "010" not in text
    assert "mail me at <EMAIL>" in text and "Call <PHONE> now." in text


def test_filter_is_short_for_interleave_filter_and_needs_its_tables() -> None:
    base = {"name": "t", "source": {"path": "clips"}}
    with pytest.raises(UserError, match="interleave reads score, which no earlier stage makes"):
        Recipe.load(base, ["filter.similarity=0.28"])
    blocks = {"interleave": {"filter": {"similarity": 0.1, "sharpness": 2.0}}, "filter": {"sharpness": 3}}
    stages = "stages=[download, transcribe, keyframes, caption, score, interleave, shard]"
    recipe = Recipe.load({**base, **blocks}, [stages, "filter.similarity=0.28"])
    found = next(block for block in recipe.blocks if block.name == "interleave")
    assert found.settings.filter.similarity == 0.28  # type: ignore[attr-defined]
    assert found.settings.filter.sharpness == 3  # type: ignore[attr-defined]
    assert "score" in found.needs
    assert Recipe.load(recipe.dump()).dump() == recipe.dump()
