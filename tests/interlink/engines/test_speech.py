"""Speech of clips: each sentence in one clip, none twice."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from interlink.engines.speech import speech_of_clips


def clips(*spans: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end} for start, end in spans]


def said(text: str, start: float, end: float) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end}


def test_a_sentence_goes_where_its_middle_is() -> None:
    found = speech_of_clips(clips((0, 10), (10, 20)), [said("b", 9, 13), said("a", 6, 12), said("c", 12, 14)])

    assert [speech.text for speech in found] == ["a", "b c"]
    assert [(speech.start, speech.end) for speech in found] == [(6, 10), (10, 14)]


def test_a_middle_on_a_boundary_belongs_to_the_later_clip() -> None:
    assert [s.text for s in speech_of_clips(clips((0, 10), (10, 20)), [said("x", 8, 12)])] == ["", "x"]


def test_a_sentence_in_a_gap_goes_to_the_clip_it_overlaps_most() -> None:
    spans = clips((0, 10), (14, 20))

    assert [s.text for s in speech_of_clips(spans, [said("x", 9, 14.5)])] == ["x", ""]
    assert [s.text for s in speech_of_clips(spans, [said("x", 9, 15)])] == ["x", ""]
    assert [s.text for s in speech_of_clips(spans, [said("x", 9, 15.5)])] == ["", "x"]


def test_a_sentence_outside_every_clip_is_in_none() -> None:
    assert [s.text for s in speech_of_clips(clips((5, 10)), [said("x", 0, 4), said("y", 10, 12)])] == [""]
    assert speech_of_clips([], [said("x", 0, 4)]) == []


def spoken(text: str, start: float, each: float) -> dict[str, Any]:
    """A sentence whose words last `each` seconds."""
    words = [
        {"text": word, "start": start + n * each, "end": start + (n + 1) * each} for n, word in enumerate(text.split())
    ]
    return {"text": text, "start": start, "end": words[-1]["end"], "words": words}


def test_a_long_sentence_is_divided_over_its_clips_by_the_times_of_its_words() -> None:
    sentence = spoken("This is the optical and science segment of the Webb telescope", 0.5, 1.0)

    found = speech_of_clips(clips((0, 4), (4, 9), (9, 12)), [sentence])

    assert [one.text for one in found] == ["This is the optical", "and science segment of the", "Webb telescope"]
    assert [(one.start, one.end) for one in found] == [(0.5, 4), (4.5, 9), (9.5, 11.5)]


def test_a_word_or_two_across_a_cut_stay_with_their_sentence() -> None:
    found = speech_of_clips(
        clips((0, 4), (4, 9)),
        [spoken("now we add the salt", 1.4, 0.5), spoken("so we stir it", 3.6, 0.5), spoken("stir it", 6, 0.5)],
    )

    assert [one.text for one in found] == ["now we add the salt", "so we stir it stir it"]


def test_words_between_clips_stay_with_the_words_before_them() -> None:
    found = speech_of_clips(clips((0, 3), (6, 9)), [spoken("a b c d e f g h i", 0.0, 1.0)])

    assert [one.text for one in found] == ["a b c d e f", "g h i"]


def test_words_after_the_end_of_the_video_are_in_no_clip() -> None:
    sentence = spoken("so this is how it ends and what is not shown is not said", 2.0, 0.5)

    assert [one.text for one in speech_of_clips(clips((0, 2), (2, 5)), [sentence])] == ["", "so this is how it ends"]
    assert [one.text for one in speech_of_clips(clips((0, 2.4)), [sentence])] == [""]
    quick = spoken("so this is how it ends and what is not shown is not said", 2.0, 0.4)
    assert [one.text for one in speech_of_clips(clips((0, 2.6)), [quick])] == [""]


def test_a_sentence_without_spaces_is_divided_between_its_words() -> None:
    words = [{"text": word, "start": float(n), "end": n + 1.0} for n, word in enumerate("先烧水再下面条")]
    sentence = {"text": "先烧水再下面条", "start": 0.0, "end": 7.0, "words": words}

    assert [one.text for one in speech_of_clips(clips((0, 3), (3, 9)), [sentence])] == ["先烧水", "再下面条"]


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=6), st.floats(0, 20), st.floats(0.05, 2), st.integers(1, 25))
def test_every_word_of_a_divided_sentence_is_in_exactly_one_clip_in_order(
    lengths: list[float], start: float, each: float, count: int
) -> None:
    edges = [0.0]
    for length in lengths:
        edges.append(edges[-1] + length)
    sentence = spoken(" ".join(f"w{n}" for n in range(count)), start, each)

    found = speech_of_clips(clips(*pairwise(edges)), [sentence])

    said_words = " ".join(one.text for one in found).split()
    assert said_words == sentence["text"].split()[: len(said_words)]
    if sentence["end"] < edges[-1]:
        assert len(said_words) == count


@given(
    st.lists(st.floats(0.1, 9), max_size=8),
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 20)), max_size=12),
)
def test_every_sentence_that_overlaps_a_clip_is_in_exactly_one(
    lengths: list[float], spans: list[tuple[float, float]]
) -> None:
    edges = [0.0]
    for length in lengths:
        edges.append(edges[-1] + length)
    given_clips = clips(*pairwise(edges))
    sentences = [said(f"w{n}", start, start + length) for n, (start, length) in enumerate(spans)]

    found = speech_of_clips(given_clips, sentences)

    words = " ".join(speech.text for speech in found).split()
    inside = [s["text"] for s in sentences if s["start"] < edges[-1] and s["end"] > 0 and len(edges) > 1]
    touching = [s["text"] for s in sentences if s["start"] == s["end"] == 0 and len(edges) > 1]
    assert sorted(words) == sorted({*inside, *touching})
    starts = [speech.start for speech in found if speech.text]
    assert starts == sorted(starts)
