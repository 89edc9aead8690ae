"""Every policy: nothing lost or told twice, times never go back, budgets kept, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.engines.speech import speech_of_clips
from interlink.errors import UserError
from interlink.interleave.policy_names import POLICIES
from interlink.shards import document as documents
from interlink.shards.document import Document, Frames, Text
from interlink.stage import Context, Item, Row
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.storage import Storage
from scoring import narrated, scored, with_rows
from telling import FINGERPRINTS, Video, make_items, simple_video, through_table


def items_of(folder: Path | str, *videos: Video, seed: int = 0) -> list[Item]:
    root = Storage(str(folder))
    return make_items(root, videos, context=Context(root, seed, "test", FINGERPRINTS))


def run(item: Item, **options: Any) -> Row:
    (row,) = Interleave(InterleaveSettings(**options), item.context).run(iter([item]))
    if row.status == "ok":
        through_table("interleave", {"id": row.id, **row.fields})
    return row


def documents_of(row: Row) -> list[Document]:
    assert row.status == "ok", row.message
    found = [documents.load(entry["document"]) for entry in row.fields["documents"]]
    for document, entry in zip(found, row.fields["documents"], strict=True):
        assert document.images() == [image["name"] for image in entry["images"]]
        assert document.text_tokens() == entry["text_tokens"]
    return found


def told(row: Row) -> list[Any]:
    (document,) = documents_of(row)
    return [s.times if isinstance(s, Frames) else f"{s.role}: {s.text}" for s in document.segments]


FILM = Video(
    "film",
    [(0, 10, [1, 6]), (10, 20, [11, 16])],
    [("Peel it.", 2, 4), ("Cut it up.", 5, 9), ("Now fry it.", 12, 14)],
    ["An onion. A hand.", "A pan."],
)


def test_the_default_bytes_are_those_of_earlier_builds(tmp_path: Path) -> None:
    odd = Video(
        "odd",
        [(0, 9, [1, 2, 3, 4, 5]), (9, 18, []), (20, 27, [21])],
        [("one two.", 1, 3), ("and three.", 8, 11), ("out", 50, 60), ("four five", 19, 22)],
        ["one two.", "", "  Cut  it\nnow."],
    )

    def digest(**options: Any) -> str:
        rows = [run(item, **options) for item in items_of(tmp_path, simple_video("film", clips=11, frames=3), odd)]
        return hashlib.sha256(json.dumps([r.fields["documents"] for r in rows], sort_keys=True).encode()).hexdigest()

    assert digest().startswith("2e22ba47587c90b6")
    tight = {"max_images": 4, "clips_per_document": 3, "require_text": False, "require_frames": False}
    assert digest(**tight, include_speech=False).startswith("e2d487ddb47a8e2e")


def test_temporal_merges_frames_and_words_by_time(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, FILM)
    line = {"text": "STEP 2", "start": 11.0, "end": 11.0, "frames": 1}
    item = with_rows(item, ocr={"engine": "x", "frames": [], "lines": [line]})

    assert told(run(item, policy="temporal", include_ocr=True)) == [
        "caption: An onion. A hand.",
        [1],
        "speech: Peel it.",
        "speech: Cut it up.",
        [6],
        "caption: A pan.",
        [11],
        "ocr: STEP 2",
        "speech: Now fry it.",
        [16],
    ]


def test_sentence_shows_frames_before_the_sentence_they_are_seen_with(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, FILM)

    assert told(run(item, policy="sentence")) == [
        [1],
        "caption: An onion.",
        "speech: Peel it.",
        [6],
        "caption: A hand.",
        "speech: Cut it up.",
        [11, 16],
        "caption: A pan.",
        "speech: Now fry it.",
    ]


def test_step_keeps_clips_together_until_the_speech_opens_another(tmp_path: Path) -> None:
    clips = [(10.0 * n, 10.0 * n + 10, [10.0 * n + 1]) for n in range(4)]
    captions = ["a knife cuts an onion", "the knife and the onion", "a pan on a stove", "a hot pan"]
    said = [("next we fry", 21, 23)]
    (item,) = items_of(tmp_path, Video("film", clips, said, captions))

    assert told(run(item, policy="step")) == [
        [1],
        [11],
        f"caption: {captions[0]}",
        f"caption: {captions[1]}",
        [21],
        [31],
        f"caption: {captions[2]}",
        "speech: next we fry",
        f"caption: {captions[3]}",
    ]
    assert len(told(run(item, policy="step", step={"most_clips": 1}))) == 9


def test_next_utterance_tells_speech_before_the_frames_it_is_said_with(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, FILM)

    assert told(run(item, policy="next_utterance")) == [
        [1],
        "speech: Peel it.",
        "speech: Cut it up.",
        [6],
        [11],
        "speech: Now fry it.",
        [16],
    ]


def test_a_narration_takes_the_place_of_the_caption(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, FILM)
    item = narrated(item, ["The video opens with an onion.", ""])

    row = run(item, include_speech=False)
    assert told(row) == [[1, 6], "narration: The video opens with an onion.", [11, 16], "caption: A pan."]
    (document,) = documents_of(row)
    assert (document.clips[0].narration, document.clips[0].caption) == (
        "The video opens with an onion.",
        "An onion. A hand.",
    )
    assert document.provenance.models == {"caption": "tiny@r1", "narrate": "teller"}
    assert document.provenance.prompts == {"caption": "p1", "narrate": "p2"}
    both = told(run(item, include_speech=False, include_caption="always"))
    assert both[1:3] == ["narration: The video opens with an onion.", "caption: An onion. A hand."]


def test_speech_is_shifted_by_hand_and_by_its_measured_lead(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, Video("film", [(0, 10, [1]), (10, 20, [11])], [("stir", 7, 9)], ["a", "b"]))
    measured = with_rows(item, align={"lead": 3.0, "confidence": 0.8, "onsets": 1, "changes": 1})

    def clip_of(row: Row) -> int:
        return next(s.clip for s in documents_of(row)[0].segments if isinstance(s, Text) and s.role == "speech")

    assert clip_of(run(item)) == 0
    assert clip_of(run(item, speech_shift=3.0)) == 1
    assert clip_of(run(measured, lead="correct")) == 1
    assert clip_of(run(measured, lead="correct", lead_confidence=0.9)) == 0


def test_policies_of_others_come_by_entry_point(tmp_path: Path) -> None:
    (item,) = items_of(tmp_path, FILM)

    assert told(run(item, policy="backwards_text", options={"shout": True}))[0] == "caption: AN ONION. A HAND."
    with pytest.raises(UserError, match="no interleave policy 'temporl'") as caught:
        InterleaveSettings(policy="temporl")
    assert "'temporal'" in caught.value.do


_NAMES = st.sampled_from(sorted(POLICIES))


@st.composite
def videos(draw: st.DrawFn) -> Video:
    lengths = draw(st.lists(st.floats(0.5, 30), min_size=1, max_size=7))
    clips, start = [], draw(st.floats(0, 5))
    for length in lengths:
        shares = draw(st.lists(st.floats(0, 0.99), max_size=4))
        clips.append((start, start + length, [start + length * share for share in shares]))
        start += length + draw(st.sampled_from([0.0, 0.0, 1.5]))
    spans = draw(st.lists(st.tuples(st.floats(0, 120), st.floats(0, 25)), max_size=10))
    sentences = [(f"word{n} is said.", at, at + length) for n, (at, length) in enumerate(spans)]
    captions = draw(
        st.lists(
            st.sampled_from(["", "Cut it.", "Stir. It boils! Is it done?"]), min_size=len(clips), max_size=len(clips)
        )
    )
    return Video("film", clips, sentences, captions)


@settings(deadline=None, max_examples=120)
@given(videos(), _NAMES, st.integers(0, 4), st.integers(0, 5), st.sampled_from([0, 0, 6, 15]), st.integers(0, 3))
def test_laws_of_every_policy(
    tmp_path_factory: pytest.TempPathFactory,
    video: Video,
    policy: str,
    most_clips: int,
    most_images: int,
    most_tokens: int,
    neighbours: int,
) -> None:
    (item,) = items_of(tmp_path_factory.mktemp("law"), video)
    item = scored(item)
    options = {
        "policy": policy,
        "clips_per_document": most_clips,
        "max_images": most_images,
        "max_tokens": most_tokens,
        "adjacent_clips": neighbours,
        "assignment": {"threshold": 0.0, "noise": 0.025},
    }
    row = run(item, **options)
    assert run(item, **options) == row  # deterministic

    left = row.fields.get("left_out", [])
    gone_clips = {one["clip"] for one in left if one["what"] == "clip"}
    gone_frames = [(one["clip"], one["frame"]) for one in left if one["what"] == "frame"]
    found = documents_of(row) if row.status == "ok" else []  # loading checks that times never go back
    shown = [(i["clip"], i["frame"]) for entry in row.fields["documents"] for i in entry["images"]]
    everything = [(n, f) for n, (_, _, times) in enumerate(video.clips) for f in range(len(times))]
    assert sorted([*shown, *gone_frames]) == [pair for pair in everything if pair[0] not in gone_clips]
    stay = [n for n in range(len(video.clips)) if n not in gone_clips]
    assert [clip.start for d in found for clip in d.clips] == [round(video.clips[n][0], 6) for n in stay]
    assert not neighbours or len(stay) <= neighbours
    for document in found:
        assert not most_clips or len(document.clips) <= most_clips
        assert not most_images or len(document.images()) <= most_images
        assert not most_tokens or document.text_tokens() <= most_tokens

    texts = [s for d in found for s in d.segments if isinstance(s, Text)]
    said = {role: " ".join(s.text for s in texts if s.role == role).split() for role in ("caption", "speech")}
    speech = speech_of_clips(
        [{"start": s, "end": e} for s, e, _ in video.clips],
        [{"text": t, "start": s, "end": e} for t, s, e in video.sentences],
    )
    whole = {
        "speech": " ".join(speech[n].text for n in stay).split(),
        "caption": [] if policy == "next_utterance" else " ".join(video.captions[n] for n in stay).split(),
    }
    cut = sum(one["value"] for one in left if one["what"] == "text")
    for role, words in whole.items():
        if cut:
            assert not set(said[role]) - set(words)
        else:
            assert sorted(said[role]) == sorted(words)
