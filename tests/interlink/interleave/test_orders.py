"""The orders of the policies on clips written out by hand: ties, edges and texts that are not placed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from interlink.interleave.evidence import ClipEvidence, FrameAt, Line
from interlink.interleave.pieces import FramePiece, Piece, TextPiece
from interlink.interleave.policies import (
    ClipPolicy,
    NextUtterancePolicy,
    SentencePolicy,
    StepPolicy,
    TemporalPolicy,
    sentences,
    whole_texts,
)
from interlink.interleave.policy import Policy
from interlink.interleave.settings import InterleaveSettings

PLAIN = InterleaveSettings()
ROLES = ("narration", "caption", "speech", "ocr")


def clip(
    number: int = 0,
    start: float = 0.0,
    end: float = 10.0,
    frames: Sequence[float] = (),
    speech: Sequence[tuple[str, float, float]] = (),
    ocr: Sequence[tuple[str, float, float]] = (),
    caption: str = "",
    narration: str = "",
    roles: Sequence[str] | None = None,
) -> ClipEvidence:
    texts = {"narration": narration, "caption": caption, "speech": speech, "ocr": ocr}
    return ClipEvidence(
        number,
        start,
        end,
        tuple(FrameAt(n, time) for n, time in enumerate(frames)),
        caption,
        tuple(Line(*one) for one in speech),
        narration,
        tuple(Line(*one) for one in ocr),
        roles=tuple(role for role in ROLES if texts[role]) if roles is None else tuple(roles),  # type: ignore[arg-type]
    )


def shown(pieces: Sequence[Piece]) -> list[str]:
    """`f1.0` for the first frame of the second clip, else the text."""
    return [f"f{one.clip}.{one.frame}" if isinstance(one, FramePiece) else one.text for one in pieces]


def arranged(policy: Policy, *clips: ClipEvidence) -> list[str]:
    return shown(policy.arrange(clips, "seed"))


def test_clip_places_the_frames_of_each_clip_then_each_text_as_one_piece() -> None:
    first = clip(frames=[1, 2], speech=[("a", 1, 2), ("b", 3, 9)], caption="C")
    second = clip(1, 10, 20, frames=[11], speech=[("d", 12, 13)])

    assert arranged(ClipPolicy(PLAIN), first, second) == ["f0.0", "f0.1", "C", "a b", "f1.0", "d"]


def test_a_text_of_several_lines_lasts_from_its_first_to_its_latest_end() -> None:
    found = whole_texts(0, clip(speech=[("a", 1, 8), ("b", 3, 5)]))

    assert found == [TextPiece(0, "speech", "a b", 1, 8)]
    assert whole_texts(2, clip(speech=[("a", 1, 8)])) == [TextPiece(2, "speech", "a", 1, 8)]


def test_temporal_breaks_ties_by_narration_caption_frame_screen_speech() -> None:
    one = clip(
        frames=[0, 0, 5],
        speech=[("said", 0, 1), ("again", 0, 1), ("late", 5, 6)],
        ocr=[("shown", 0, 0), ("shown later", 5, 5)],
        caption="C",
        narration="N",
    )

    assert arranged(TemporalPolicy(PLAIN), one) == [
        "N",
        "C",
        "f0.0",
        "f0.1",
        "shown",
        "said",
        "again",
        "f0.2",
        "shown later",
        "late",
    ]


def test_temporal_keeps_clips_apart_and_places_only_the_texts_of_its_roles() -> None:
    first = clip(frames=[9], speech=[("a", 9, 12)], ocr=[("x", 1, 1)], roles=["speech"])
    second = clip(1, 8, 20, frames=[8], caption="C")

    assert arranged(TemporalPolicy(PLAIN), first, second) == ["f0.0", "a", "C", "f1.0"]


def test_sentence_shows_a_frame_before_the_sentence_that_ends_after_it() -> None:
    one = clip(frames=[1, 3, 4, 8], speech=[("a", 0, 3), ("b", 3, 4), ("c", 4, 5)])

    assert arranged(SentencePolicy(PLAIN), one) == ["f0.0", "a", "f0.1", "b", "f0.2", "f0.3", "c"]


def test_sentence_shows_the_frames_of_a_clip_without_texts() -> None:
    assert arranged(SentencePolicy(PLAIN), clip(frames=[1, 2]), clip(1, 10, 20, frames=[11], caption="C.")) == [
        "f0.0",
        "f0.1",
        "f1.0",
        "C.",
    ]


def test_sentences_of_a_caption_divide_the_time_of_its_clip_and_lines_stay_whole() -> None:
    one = clip(
        start=10,
        end=16,
        caption="One. Two. Three.",
        narration="N one. N two.",
        speech=[("So. It is.", 12, 13)],
        ocr=[("Big. Sale.", 10, 11)],
    )

    assert [(each.text, each.start, each.end) for each in sentences(3, one)] == [
        ("N one.", 10, 13),
        ("One.", 10, 12),
        ("Big. Sale.", 10, 11),
        ("Two.", 12, 14),
        ("So. It is.", 12, 13),
        ("N two.", 13, 16),
        ("Three.", 14, 16),
    ]
    assert {each.clip for each in sentences(3, one)} == {3}


def test_sentences_at_the_same_time_keep_their_order() -> None:
    one = clip(speech=[("a", 1, 2), ("b", 1, 1), ("c", 1, 3)])

    assert [each.text for each in sentences(0, one)] == ["a", "b", "c"]


def steps(*clips: ClipEvidence, **settings: float) -> list[list[int]]:
    return StepPolicy(InterleaveSettings(policy="step", step=settings)).steps(clips)


def test_a_step_has_all_frames_then_all_texts() -> None:
    policy = StepPolicy(InterleaveSettings(policy="step"))

    assert arranged(
        policy,
        clip(frames=[1], caption="the onion is cut"),
        clip(1, 10, 20, frames=[11, 12], caption="an onion"),
        clip(2, 20, 30, frames=[21], caption="a car drives"),
    ) == ["f0.0", "f1.0", "f1.1", "the onion is cut", "an onion", "f2.0", "a car drives"]


@pytest.mark.parametrize(
    ("said", "opens"),
    [
        ("next the pan", True),
        ("Okay, so now after that we go", True),
        ("Step 4: onion", True),
        ("the last thing is", True),
        ("nextdoor there is", False),
        ("we go first", False),
        ("now the onion", False),
    ],
)
def test_a_step_begins_where_the_speech_says_so(said: str, opens: bool) -> None:
    first, second = clip(caption="onion"), clip(1, caption="onion", speech=[(said, 1, 2)])

    assert steps(first, second) == ([[0], [1]] if opens else [[0, 1]])


def test_only_the_first_sentence_of_a_clip_opens_a_step() -> None:
    assert steps(clip(caption="onion"), clip(1, caption="onion", speech=[("an onion", 1, 2), ("next", 2, 3)])) == [
        [0, 1]
    ]


def test_a_step_begins_where_too_few_words_are_shared() -> None:
    pan, other = clip(caption="onion pan knife stove"), clip(1, caption="onion bowl flour sugar milk")

    assert steps(pan, other, overlap=0.25) == [[0, 1]]  # one of four
    assert steps(pan, other, overlap=0.26) == [[0], [1]]
    assert steps(other, pan, overlap=0.25) == [[0, 1]]
    assert steps(pan, clip(1), overlap=0.9) == [[0, 1]]  # nothing indicates a new step
    assert steps(clip(), pan, overlap=0.9) == [[0, 1]]


def test_a_step_has_no_more_clips_than_allowed() -> None:
    same = [clip(n, caption="onion") for n in range(5)]

    assert steps(*same, most_clips=2) == [[0, 1], [2, 3], [4]]
    assert steps(*same, most_clips=1) == [[0], [1], [2], [3], [4]]


def test_each_clip_is_compared_with_the_one_before_it() -> None:
    assert steps(clip(caption="onion pan"), clip(1, caption="pan stove"), clip(2, caption="stove fire")) == [[0, 1, 2]]


def test_next_utterance_places_speech_before_the_frames_shown_with_it() -> None:
    one = clip(frames=[1, 2, 2], speech=[("a", 1, 2), ("b", 2, 3), ("c", 2, 4)], caption="C")

    assert arranged(NextUtterancePolicy(PLAIN), one) == ["a", "f0.0", "b", "c", "f0.1", "f0.2"]


def test_next_utterance_places_no_speech_that_is_not_among_the_roles() -> None:
    one = clip(frames=[1], speech=[("a", 1, 2)], roles=[])

    assert arranged(NextUtterancePolicy(PLAIN), one) == ["f0.0"]
    assert NextUtterancePolicy.roles == {"speech"}
