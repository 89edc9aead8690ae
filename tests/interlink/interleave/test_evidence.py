"""What the tables hold on a clip, gathered from rows made by hand; which texts repeat others; token limits."""

from __future__ import annotations

from typing import Any

import pytest

from interlink.interleave.evidence import ClipEvidence, FrameAt, Line, gather, trimmed
from interlink.interleave.settings import InterleaveSettings

ALL = frozenset(("narration", "caption", "speech", "ocr"))


def said(text: str, start: float, end: float) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, "words": []}


def rows(**tables: Any) -> dict[str, Any]:
    """Two clips of ten seconds; the frames of the first are not in the order of time."""
    clips = [
        {"start": 0.0, "end": 10.0, "frames": [{"time": 8.0}, {"time": 2.0}, {"time": 8.0}], "sharpness": 3.0},
        {"start": 10.0, "end": 20.0, "frames": []},
    ]
    sentences = [said("Peel it.", 1, 3), said("Chop it.", 8, 11), said("Fry it.", 12, 25)]
    captions = [{"clip": 0, "caption": " a hand ", "flag": "unfamiliar"}, {"clip": 1, "caption": None, "flag": None}]
    return {
        "keyframes": {"clips": clips},
        "transcribe": {"language": "en", "sentences": sentences},
        "caption": {"clips": captions},
        **tables,
    }


def gathered(found: dict[str, Any], roles: frozenset[str] = ALL, vectors: bool = False, **settings: Any) -> list[ClipEvidence]:  # fmt: skip  # noqa: E501
    return gather(found, InterleaveSettings(**settings), roles, vectors)


def test_frames_are_in_order_of_time_and_keep_their_numbers() -> None:
    first, second = gathered(rows())
    assert first.frames == (FrameAt(1, 2.0), FrameAt(0, 8.0), FrameAt(2, 8.0))
    assert (first.number, first.start, first.end, second.number, second.frames) == (0, 0.0, 10.0, 1, ())
    assert first.quality["sharpness"] == 3.0


def test_speech_is_cut_to_its_clip_and_absent_tables_are_none() -> None:
    first, second = gathered(rows())
    assert first.speech == (Line("Peel it.", 1, 3, 0), Line("Chop it.", 8, 10.0, 1))
    assert second.speech == (Line("Fry it.", 12, 20.0, 0),)
    assert first.speech_text == "Peel it. Chop it."
    assert (first.caption, first.caption_flag, second.caption, second.caption_flag) == ("a hand", "unfamiliar", "", "")
    assert (first.narration, first.ocr, first.regions, first.scores, first.flag) == (None, None, None, None, "")
    assert (first.spoken, first.vectors) == ((), {})


def test_tables_that_are_there_but_say_nothing_of_a_clip_are_empty() -> None:
    one = {"clip": 1, "narration": "Then it is fried. ", "flag": "long"}
    lines = [{"text": "SALE", "start": 3.0, "end": 4.0}, {"text": "B", "start": 12.0, "end": 13.0},
             {"text": "A", "start": 12.0, "end": 14.0}, {"text": "  ", "start": 5.0, "end": 6.0},
             {"text": "early", "start": -1.0, "end": 0.0}, {"text": "edge", "start": 10.0, "end": 10.5}]  # fmt: skip
    scores = {"clips": [{"clip": 1, "similarity": 0.3}], "frames": None, "sentences": None}
    first, second = gathered(rows(narrate={"clips": [one]}, ocr={"lines": lines}, score=scores))
    assert (first.narration, first.flag, second.narration, second.flag) == ("", "", "Then it is fried.", "long")
    assert first.ocr == (Line("early", -1.0, 0.0), Line("SALE", 3.0, 4.0))
    assert second.ocr == (Line("edge", 10.0, 10.5), Line("A", 12.0, 14.0), Line("B", 12.0, 13.0))
    assert (first.scores, second.scores) == ({}, {"clip": 1, "similarity": 0.3})


def test_vectors_are_loaded_where_they_are_wanted() -> None:
    frames = [{"clip": 0, "frame": 1, "vector": b"f"}, {"clip": 0, "frame": 2, "vector": None}]
    sentences = [{"clip": 1, "role": "speech", "sentence": 0, "vector": b"s"}]
    found = rows(score={"clips": [], "frames": frames, "sentences": sentences})
    first, second = gathered(found, vectors=True)
    assert first.vectors == {("frame", 1): b"f", ("frame", 2): b""}
    assert second.vectors == {("speech", 0): b"s"}
    assert gathered(found)[0].vectors == {}


@pytest.mark.parametrize(
    ("settings", "roles", "wanted"),
    [
        ({}, ALL, ("narration", "speech")),
        ({"include_caption": "always"}, ALL, ("narration", "caption", "speech")),
        ({"include_speech": False}, ALL, ("narration",)),
        ({"include_ocr": True}, ALL, ("narration", "speech", "ocr")),
        ({"include_ocr": True, "include_caption": "always"}, ALL - {"narration"}, ("caption", "speech", "ocr")),
        ({"include_ocr": True, "include_caption": "always"}, ALL - {"caption"}, ("narration", "speech", "ocr")),
        ({"include_ocr": True}, ALL - {"speech", "ocr"}, ("narration",)),
    ],
)
def test_the_texts_of_a_document_by_settings_and_policy(
    settings: dict[str, Any], roles: frozenset[str], wanted: tuple[str, ...]
) -> None:
    lines = {"lines": [{"text": "SALE", "start": 3.0, "end": 4.0}]}
    narration = {"clips": [{"clip": 0, "narration": "N.", "flag": ""}]}
    assert gathered(rows(narrate=narration, ocr=lines), roles, **settings)[0].roles == wanted


@pytest.mark.parametrize(
    ("caption", "narration", "settings", "roles", "wanted"),
    [
        ("Peel it. Chop it.", None, {}, ALL, ("caption",)),  # the speech, once
        ("Peel it. Chop it.", "N.", {}, ALL, ("narration", "speech")),  # the caption is not in the document
        ("Peel it. Chop it.", None, {}, ALL - {"caption"}, ("speech",)),
        ("C.", "Peel it. Chop it.", {}, ALL, ("narration",)),
        ("C.", "Peel it. Chop it.", {}, ALL - {"narration"}, ("speech",)),
        ("C.", None, {}, ALL, ("caption", "speech")),
        ("", None, {}, ALL, ("speech",)),
    ],
)
def test_speech_is_left_out_where_another_text_of_the_document_is_the_same(
    caption: str, narration: str | None, settings: dict[str, Any], roles: frozenset[str], wanted: tuple[str, ...]
) -> None:
    found = rows()
    found["caption"] = {"clips": [{"clip": 0, "caption": caption, "flag": None}]}
    if narration is not None:
        found["narrate"] = {"clips": [{"clip": 0, "narration": narration, "flag": ""}]}
    clip = gathered(found, roles, **settings)[0]
    assert clip.roles == wanted
    assert bool(clip.spoken) == (caption == "Peel it. Chop it.")


@pytest.mark.parametrize(
    ("settings", "align", "shift"),
    [
        ({"speech_shift": 1.5}, None, 1.5),
        ({"lead": "correct"}, {"lead": 2.0, "confidence": 0.5}, 2.0),
        ({"lead": "correct"}, {"lead": 2.0, "confidence": 0.49}, 0.0),
        ({"lead": "correct"}, {"lead": None, "confidence": 0.9}, 0.0),
        ({"lead": "correct"}, {"lead": 2.0, "confidence": None}, 0.0),
        ({"lead": "correct", "speech_shift": 1.0, "lead_confidence": 0.1}, {"lead": -0.5, "confidence": 0.1}, 0.5),
        ({}, {"lead": 2.0, "confidence": 0.9}, 0.0),
    ],
)
def test_speech_is_moved_by_the_setting_and_by_a_lead_that_is_sure(
    settings: dict[str, Any], align: dict[str, Any] | None, shift: float
) -> None:
    found = rows() if align is None else rows(align=align)
    first, _ = gathered(found, **settings)
    assert (first.speech[0].start, first.speech[0].end) == (1 + shift, 3 + shift)


def test_names_and_numbers_are_masked_where_it_is_asked_for() -> None:
    found = rows()
    found["caption"]["clips"][0]["caption"] = "write to ann@example.org"
    assert "ann@example.org" in gathered(found)[0].caption
    assert "ann@example.org" not in gathered(found, scrub=True)[0].caption


def test_a_clips_lines_by_role() -> None:
    clip = ClipEvidence(0, 1.0, 5.0, (), "C", (Line("s", 1, 2),), "N", (Line("o", 1, 2),), roles=("caption", "ocr"))
    assert clip.lines("speech") == (Line("s", 1, 2),) and clip.lines("ocr") == (Line("o", 1, 2),)
    assert clip.lines("caption") == (Line("C", 1.0, 5.0),) and clip.lines("narration") == (Line("N", 1.0, 5.0),)
    empty = ClipEvidence(0, 1.0, 5.0, (), "", ())
    assert not any(empty.lines(role) for role in ("caption", "narration", "speech", "ocr"))  # type: ignore[arg-type]
    assert clip.tokens() == 2


def test_a_token_limit_keeps_whole_sentences_role_by_role_from_the_start() -> None:
    clip = ClipEvidence(
        0, 0.0, 9.0, (), "One two. Three four.", (Line("a b.", 0, 1), Line("c d.", 1, 2), Line("e.", 2, 3)),
        roles=("caption", "speech"),
    )  # fmt: skip
    assert clip.tokens() == 6 + 8
    assert trimmed(clip, 14) is clip
    nearly = trimmed(clip, 13)
    assert (nearly.caption, [line.text for line in nearly.speech]) == ("One two. Three four.", ["a b.", "c d."])
    gap = trimmed(clip, 11)  # `e.` would fit, but what follows a cut is left out
    assert [line.text for line in gap.speech] == ["a b.", "c"] and gap.roles == ("caption", "speech")
    assert [line.text for line in trimmed(clip, 9).speech] == ["a b."]
    half = trimmed(clip, 5)
    assert (half.caption, half.speech, half.roles) == ("One two.", (), ("caption",))
    none = trimmed(clip, 2)
    assert none.tokens() <= 2 and none.speech == ()
