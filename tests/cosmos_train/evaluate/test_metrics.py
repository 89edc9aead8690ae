"""The scores of the field, against cases worked out by hand and figures of the published implementations."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_train.evaluate.metrics.cider import cider_d, tells_nothing
from cosmos_train.evaluate.metrics.ranking import mean, ranks, recall_at, roc_auc
from cosmos_train.evaluate.metrics.vqa import accuracy, normalise
from cosmos_train.evaluate.metrics.words import words

# What the Java tokenizer of the published caption metrics gives.
TOKENISED = {
    "A man's dog doesn't eat; it can't.": "a man 's dog does n't eat it ca n't",
    "The 2nd half-eaten pizza costs $3.50, not 1,000!": "the 2nd half-eaten pizza costs $ 3.50 not 1,000",
    'A "stop" sign (red) at 5:30 p.m.': "a stop sign -lrb- red -rrb- at 5:30 p.m.",
    "They're at St. Mary's, aren't they?": "they 're at st. mary 's are n't they",
    "black-and-white cat -- sleeping...": "black-and-white cat sleeping",
    "Mr. Smith's t-shirt & jeans": "mr. smith 's t-shirt & jeans",
    "I cannot go, I'm gonna wait": "i can not go i 'm gon na wait",
    "cook 5-6 min, add 1/2 cup": "cook 5-6 min add 1/2 cup",
    "a cat.The dog": "a cat.the dog",
    "the man/woman with a b&w photo": "the man/woman with a b & w photo",
    "“quoted” don’t": "quoted do n't",
    "what?! yes": "what ?! yes",
    "...": "",
}


@pytest.mark.parametrize("caption", TOKENISED)
def test_captions_are_split_as_the_published_metrics_split_them(caption: str) -> None:
    assert " ".join(words(caption)) == TOKENISED[caption]


@given(st.text(max_size=60))
def test_any_text_can_be_split(text: str) -> None:
    found = words(text)
    assert all(word and not word.isspace() for word in found)


def test_cider_d_of_a_case_worked_out_by_hand() -> None:
    """Two pictures, captions of two words.

    "red cat" / "red dog": idf of red is log(2/2) = 0, of cat and dog log 2, of the bigrams log 2. The right caption has
    cosine 1 for n = 1 and 2 and none for n = 3, 4 (no such n-grams): 10 * 2 / 4 = 5. The wrong one shares red alone: 0.
    """
    assert cider_d(["red cat", "red dog"], [["red cat"], ["red dog"]]) == pytest.approx([5.0, 5.0])
    assert cider_d(["red dog", "red cat"], [["red cat"], ["red dog"]]) == pytest.approx([0.0, 0.0])


def test_a_cider_that_is_0_for_every_caption_is_known() -> None:
    assert tells_nothing([["a red cat", "a cat"]])
    assert tells_nothing([["red cat"], ["red cat"]])
    assert not tells_nothing([["red cat"], ["red dog"]])
    assert cider_d(["red cat"], [["red cat"]]) == [0.0]


def test_cider_d_clips_repeated_words_and_punishes_length() -> None:
    """ "cat cat" for "cat" (idf log 2 each): min(2, 1) * 1 / (2 * 1) = 1/2 for n = 1; one word too many."""
    found = cider_d(["cat cat", "dog"], [["cat"], ["dog"]])
    assert found[0] == pytest.approx(10 * 0.5 / 4 * math.exp(-1 / 72))
    assert found[1] == pytest.approx(10 / 4)


def test_cider_d_equals_the_published_implementation(shared_data: Path) -> None:
    """Of 200 made-up captions against 3 references each; figures computed once with the published Java and Python."""
    with (shared_data / "metadata" / "milnce_validation_youcook.csv").open() as file:
        sentences = [row["text"] for row in csv.DictReader(file)][:800]
    references = [[sentences[(7 * i + j) % len(sentences)] for j in range(3)] for i in range(200)]
    candidates = [
        " ".join([*those[i % 3].split()[: 2 + i % 7], *sentences[11 * i % 800].split()[: i % 4]])
        for i, those in enumerate(references)
    ]
    found = cider_d(candidates, references)
    assert np.mean(found) == pytest.approx(PUBLISHED_MEAN, abs=1e-9)
    assert found[:4] == pytest.approx(PUBLISHED_FIRST, abs=1e-9)


PUBLISHED_MEAN = 1.631960417369832
PUBLISHED_FIRST = [0.6742165141121559, 0.19373057317587167, 1.5801438685634563, 1.554677428903048]


def test_pictures_without_references_are_refused() -> None:
    with pytest.raises(ValueError, match="without references"):
        cider_d(["a"], [[]])


@pytest.mark.parametrize(
    ("said", "normal"),
    [
        ("The Dog.", "dog"),
        ("two", "2"),
        ("none", "0"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("dont know", "don't know"),
        ("couldn'tve", "couldn't've"),
        ("red, white", "red white"),
        ("red/white", "red white"),
        ("hot-dog", "hot dog"),
        ("yes!", "yes"),
        ("a  cat\nand the\tdog", "cat and dog"),
        ("its well", "its well"),
        ("o'clock", "o'clock"),
    ],
)
def test_answers_are_normalised_by_the_challenges_rules(said: str, normal: str) -> None:
    assert normalise(said) == normal


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_vqa_accuracy_averages_over_leaving_out_each_annotator(agreeing: int, score: float) -> None:
    """With 3 of 10 agreeing: leaving out one of the 3 leaves 2/3, one of the others 1: (3 * 2/3 + 7) / 10 = 0.9."""
    people = ["two"] * agreeing + [f"other {i}" for i in range(10 - agreeing)]
    assert accuracy("2", people) == pytest.approx(score)


def test_forms_of_one_answer_count_alike() -> None:
    assert accuracy("racing", [("racing", "race")] * 10) == 1.0
    assert accuracy("race", [("racing", "race")] * 10) == 1.0
    assert accuracy("cat", [("The cat.",)]) == 1.0


def test_video_answers_match_or_do_not() -> None:
    assert accuracy("The guitar", ["guitar"]) == 1.0
    assert accuracy("guitars", ["guitar"]) == 0.0


def test_roc_auc_counts_ordered_pairs() -> None:
    """4 pairs, of which 3 in order and one tied: 3.5 / 4."""
    assert roc_auc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]).value == pytest.approx(3.5 / 4)
    assert roc_auc([1, 2, 3, 4], [True, True, False, False]).value == 0.0
    with pytest.raises(ValueError, match="both classes"):
        roc_auc([1.0], [True])


def test_the_error_of_roc_auc_is_how_it_varies() -> None:
    """DeLong's figure of single draws agrees with the spread over 400 draws."""
    draw = np.random.default_rng(0)
    truth = np.arange(120) % 3 == 0
    found = [roc_auc(draw.normal(truth * 0.7, 1).tolist(), truth.tolist()) for _ in range(400)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.1)


def test_ranks_take_the_best_right_item_and_count_ties_against_it() -> None:
    queries = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    items = np.array([[0.9, 0.1], [0.8, 0.3], [0.8, 0.3]], dtype=np.float32)
    assert ranks(queries, items, [{0}, {0}]).tolist() == [0, 2]
    assert ranks(queries, items, [{1}, {0, 2}]).tolist() == [2, 1]
    found = ranks(queries, items, [{0}, {0}])
    assert (recall_at(found, 1).value, recall_at(found, 3).value) == (0.5, 1.0)


def test_the_mean_has_a_standard_error() -> None:
    found = mean([0.0, 1.0, 1.0, 1.0])
    assert (found.value, found.error) == (0.75, pytest.approx(0.25))
    assert math.isnan(mean([1.0]).error)
