"""Texts made of speech keep the times of their words under every policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.interleave.clock import Spoken, divided, span_of, spoken_words
from interlink.shards import document as documents
from interlink.shards.document import Text
from interlink.stage import Context, Item
from interlink.stages.interleave import Interleave, InterleaveSettings
from interlink.storage import Storage
from scoring import with_rows
from telling import FINGERPRINTS, Video, make_items


def words(*timed: tuple[str, float, float]) -> list[dict[str, Any]]:
    return [{"text": text, "start": start, "end": end} for text, start, end in timed]


SENTENCES = [
    {
        "text": "Peel it.",
        "start": 2.1,
        "end": 3.0,
        "words": words(("Peel", 2.1, 2.5), ("it.", 2.5, 3.0)),
    },
    {
        "text": "Now cut 0.5 kg.",
        "start": 7.4,
        "end": 9.2,
        "words": words(("Now", 7.4, 7.6), ("cut", 7.6, 8.0), ("0.5", 8.1, 8.8), ("kg.", 8.8, 9.2)),
    },
]


@pytest.fixture
def item(tmp_path: Path) -> Item:
    root = Storage(str(tmp_path))
    video = Video("film", [(0, 10, [1, 6])], [], ["Peel it. Now cut 0.5 kg."])
    (made,) = make_items(root, [video], context=Context(root, 0, "test", FINGERPRINTS))
    return with_rows(made, transcribe={"sentences": SENTENCES, "language": "en", "detected": None})


def texts(item: Item, **options: Any) -> list[tuple[str, float, float]]:
    (row,) = Interleave(InterleaveSettings(**options), item.context).run(iter([item]))
    (entry,) = row.fields["documents"]
    segments = documents.load(entry["document"]).segments
    return [(one.text, one.start, one.end) for one in segments if isinstance(one, Text)]


@pytest.mark.parametrize("policy", ["sentence", "temporal", "next_utterance"])
def test_a_caption_that_is_the_speech_keeps_the_times_of_its_sentences(item: Item, policy: str) -> None:
    assert texts(item, policy=policy) == [("Peel it.", 2.1, 3.0), ("Now cut 0.5 kg.", 7.4, 9.2)]


@pytest.mark.parametrize("policy", ["clip", "step"])
def test_a_whole_caption_that_is_the_speech_lasts_as_long_as_its_words(item: Item, policy: str) -> None:
    assert texts(item, policy=policy) == [("Peel it. Now cut 0.5 kg.", 2.1, 9.2)]


def test_a_caption_of_another_engine_has_the_time_of_its_clip(item: Item) -> None:
    other = with_rows(item, caption={"clips": [{"clip": 0, "caption": "An onion. A knife."}]})

    found = texts(other, policy="sentence", include_speech=False)

    assert found == [("An onion.", 0.0, 5.0), ("A knife.", 5.0, 10.0)]


def test_a_caption_cut_by_a_budget_ends_with_its_last_word(item: Item) -> None:
    assert texts(item, max_tokens=3) == [("Peel it.", 2.1, 3.0)]


def test_sentences_without_punctuation_stay_apart(item: Item) -> None:
    plain = [{**one, "text": one["text"].rstrip(".").lower()} for one in SENTENCES]
    for one in plain:
        one["words"] = [{**word, "text": word["text"].rstrip(".").lower()} for word in one["words"]]
    caption = {"clips": [{"clip": 0, "caption": "peel it now cut 0.5 kg"}]}
    bare = with_rows(item, caption=caption, transcribe={"sentences": plain, "language": "en", "detected": None})

    assert texts(bare, policy="sentence") == [("peel it", 2.1, 3.0), ("now cut 0.5 kg", 7.4, 9.2)]


def test_times_are_found_where_words_are_masked_or_cut_off() -> None:
    said = spoken_words(SENTENCES)

    assert divided("[EMAIL] it. Now cut", said) == [("[EMAIL] it.", 2.5, 3.0), ("Now cut", 7.4, 8.0)]
    assert divided("Peel it.", said) == [("Peel it.", 2.1, 3.0)]
    assert span_of("it. Now cut 0.5", said) == (2.5, 8.8)
    assert spoken_words([{"text": "Peel it.", "start": 2, "end": 3}]) == (Spoken("Peel it.", 2, 3, exact=False),)


def test_clips_that_their_captioner_does_not_know_stay_out_unless_asked_for(item: Item) -> None:
    caption = {"clips": [{"clip": 0, "caption": "a red cube falls", "flag": "unfamiliar"}]}
    flagged = with_rows(item, caption=caption)

    (row,) = Interleave(InterleaveSettings(), flagged.context).run(iter([flagged]))

    assert (row.status, row.reason) == ("dropped", "unfamiliar")
    assert [one["reason"] for one in row.fields["left_out"]] == ["unfamiliar"]
    assert texts(flagged, filter={"unfamiliar": True})[0] == ("a red cube falls", 0.0, 10.0)


def test_words_of_sentences_are_taken_with_their_times_and_sentences_without_words_whole() -> None:
    sentences = [
        {"text": "Peel it.", "start": 1.0, "end": 3.0,
         "words": [{"text": "Peel", "start": 1.0, "end": 1.5}, {"text": "it.", "start": 1.5, "end": 2.0}]},
        {"text": "Chop it.", "start": 4.0, "end": 5.0, "words": []},
        {"text": "Fry it.", "start": 6.0, "end": 7.0},
    ]  # fmt: skip
    assert spoken_words(sentences) == (
        Spoken("Peel", 1.0, 1.5, True, True), Spoken("it.", 1.5, 2.0, False, True),
        Spoken("Chop it.", 4.0, 5.0, True, False), Spoken("Fry it.", 6.0, 7.0, True, False),
    )  # fmt: skip


def test_a_text_is_divided_where_its_words_open_sentences() -> None:
    words = (
        Spoken("Peel", 1.0, 1.5), Spoken("it.", 1.5, 4.0, False), Spoken("Now", 2.0, 2.5),
        Spoken("it", 3.0, 3.2, False),
        Spoken("fries.", 3.2, 3.5, False), Spoken("End.", 8.0, 9.0),
    )  # fmt: skip
    assert divided("Peel it. Now it fries.", words) == [("Peel it.", 1.0, 4.0), ("Now it fries.", 2.0, 3.5)]
    # A masked word that opens a sentence leaves that to the next one that is there.
    assert divided("Peel it. *** it fries.", words) == [("Peel it. ***", 1.0, 4.0), ("it fries.", 3.0, 3.5)]
    assert span_of("Now it fries.", words) == (2.0, 3.5)
    assert span_of("Peel it. Now", words) == (1.0, 4.0)  # the latest end, not that of the last word
    assert span_of("nothing of it", words[2:3]) == (2.0, 2.5)
    assert divided("x", words) == [("x", 1.0, 1.5)]
