"""Clips that do not stay are told with the rule they broke and its value; thresholds need their tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.interleave.evidence import ClipEvidence, FrameAt
from interlink.interleave.filters import judge, without_duplicates
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
    assert [(*each, one["frame"]) for each, one in zip(left(row), row.fields["left_out"], strict=True)] == [
        ("frame", 0, "duplicate_frame", 1.0, 1),
        ("frame", 1, "duplicate_frame", 2.0, 1),
        ("frame", 2, "duplicate_frame", 1.0, 0),
        ("frame", 2, "duplicate_frame", 2.0, 1),
        ("clip", 2, "no_frames", None, None),
    ]


def test_personal_data_is_blotted_out_where_asked(tmp_path: Path) -> None:
    video = Video("film", [(0, 10, [1])], [("mail me at jo@example.org", 1, 3)], ["Call +1 (555) 010-9999 now."])
    item = item_of(tmp_path, video)

    assert "jo@example.org" in run(item).fields["documents"][0]["document"]
    text = run(item, scrub=True).fields["documents"][0]["document"]
    assert "example.org" not in text and "010" not in text
    assert "mail me at <EMAIL>" in text and "Call <PHONE> now." in text


def test_a_rule_for_talking_needs_a_detector_of_faces() -> None:
    base = {"name": "t", "source": {"path": "clips"}}
    with pytest.raises(UserError, match=r"filter\.talking has no effect, since keyframes leaves") as raised:
        Recipe.load(base, ["filter.talking=0.3"])
    assert raised.value.do == "set keyframes.faces: mtcnn, or leave out interleave.filter.talking"
    Recipe.load(base, ["filter.talking=0.3", "keyframes.faces=mtcnn"])


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


def bare(**facts: Any) -> ClipEvidence:
    """A clip of ten seconds with a frame and a caption of a few tokens."""
    given = {"frames": (FrameAt(0, 1.0),), "caption": "One two.", "speech": (), "roles": ("caption",), **facts}
    return ClipEvidence(5, 10.0, 20.0, **given)


def judged(clip: ClipEvidence, require_frames: bool = True, require_text: bool = True, **rules: Any) -> Any:
    found = judge(clip, InterleaveSettings(require_frames=require_frames, require_text=require_text, filter=rules))
    return found and (found.reason, found.value)


GOOD = {"sharpness": 4.0, "light": 0.2, "motion": 1.0, "talking": 0.5, "print": 0.25}
SCORES = {"similarity": 0.3, "agreement": 0.4, "safety": 0.5}


@pytest.mark.parametrize(
    ("name", "passes", "breaks", "reason", "value"),
    [
        ("shortest", 10, 10.5, "short", 10.0),
        ("longest", 10, 9.5, "long", 10.0),
        ("sharpness", 4.0, 4.1, "blurred", 4.0),
        ("darkest", 0.2, 0.21, "dark", 0.2),
        ("brightest", 0.2, 0.19, "bright", 0.2),
        ("motion", 1.0, 1.1, "still", 1.0),
        ("talking", 0.5, 0.4, "talking_head", 0.5),
        ("printed", 0.25, 0.2, "printed", 0.25),
        ("similarity", 0.3, 0.31, "low_similarity", 0.3),
        ("agreement", 0.4, 0.41, "low_agreement", 0.4),
        ("safety", 0.5, 0.49, "unsafe", 0.5),
    ],
)
def test_a_value_at_a_threshold_passes(name: str, passes: float, breaks: float, reason: str, value: float) -> None:
    clip = bare(quality=GOOD, scores=SCORES)

    assert judged(clip, **{name: passes}) is None
    assert judged(clip, **{name: breaks}) == (reason, value)


def test_a_clip_has_enough_tokens_at_the_threshold() -> None:
    count = bare().tokens()

    assert judged(bare(), tokens=count) is None
    assert judged(bare(), tokens=count + 1) == ("few_tokens", count)


def test_a_missing_value_breaks_a_rule_except_of_a_talking_head_or_print() -> None:
    assert judged(bare(), sharpness=0.0) == ("blurred", None)
    assert judged(bare(), similarity=0.0) == ("low_similarity", None)
    assert judged(bare(), safety=1.0) == ("unsafe", None)
    assert judged(bare(), talking=0.0) is None
    assert judged(bare(), printed=0.0) is None


def test_the_first_rule_that_is_broken_is_the_reason() -> None:
    assert judged(bare(quality=GOOD), shortest=11, sharpness=9.0) == ("short", 10.0)


def test_frames_and_texts_are_required_unless_the_recipe_says_otherwise() -> None:
    bald, mute = bare(frames=()), bare(roles=())

    assert judged(bald) == ("no_frames", None)
    assert judged(bald, require_frames=False) is None
    assert judged(mute) == ("no_text", None)
    assert judged(mute, require_text=False) is None
    assert judged(bare(frames=(), roles=()), False, False) == ("no_text", None)  # nothing is left


def test_a_clip_with_one_of_the_flags_is_left_out() -> None:
    assert judged(bare(flag="long,refusal"), flags=["refusal"]) == ("flagged", None)
    assert judged(bare(flag="long,refusal"), flags=["short"]) is None
    assert judged(bare(), flags=["refusal"]) is None


def test_what_is_left_out_says_which_clip() -> None:
    found = judge(bare(frames=()), InterleaveSettings())

    assert found is not None
    assert found.row() == {"what": "clip", "clip": 5, "frame": None, "reason": "no_frames", "value": None}


def test_a_frame_without_a_hash_is_never_a_duplicate() -> None:
    clips = [bare(frames=(FrameAt(0, 1.0), FrameAt(1, 2.0), FrameAt(2, 3.0)))]
    hashes = [{"clip": 5, "frame": 0, "hash": 7}, {"clip": 5, "frame": 2, "hash": 7}]

    kept, left_out = without_duplicates(clips, {"frames": hashes}, 64)
    assert [[frame.number for frame in clip.frames] for clip in kept] == [[0, 1]]
    assert [(one.what, one.clip, one.reason, one.frame, one.value) for one in left_out] == [
        ("frame", 5, "duplicate_frame", 2, 0.0)
    ]
    assert without_duplicates(clips, {"frames": None}, 0) == (clips, [])
