"""The scores themselves, on embeddings and losses made by hand."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from cosmos_train.evaluate.clips import Embedded, LanguageLosses, derangement
from cosmos_train.evaluate.scores import language, recall_at_1, retrieval


def embedded(media: torch.Tensor, text: torch.Tensor, texts: list[str]) -> Embedded:
    return Embedded(F.normalize(media, dim=-1), F.normalize(text, dim=-1), texts, [str(i) for i in range(len(texts))])


def test_a_perfect_model_scores_one_and_its_shuffled_control_chance() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(200, 32)
    found = retrieval(embedded(vectors, vectors, [f"text {i}" for i in range(200)]), 64, 20, seed=0)
    assert (found.recall, found.error, found.chance) == (1.0, 0.0, 1 / 64)
    assert found.shuffled < 3 / 64


def test_a_model_that_says_the_same_of_everything_scores_nothing() -> None:
    same = torch.ones(20, 4)
    assert recall_at_1(same, same) == 0.0


def test_candidates_are_distinct_texts() -> None:
    """Given 10 texts said 5 times each, no draw offers one twice."""
    vectors = torch.eye(10).repeat(5, 1)
    found = retrieval(embedded(vectors, vectors, [f"text {i % 10}" for i in range(50)]), 64, 5, seed=0)
    assert (found.candidates, found.recall) == (10, 1.0)


def test_language_losses_are_per_token() -> None:
    own, other = torch.tensor([2.0, 4.0, 6.0]), torch.tensor([4.0, 8.0, 12.0])
    found = language(LanguageLosses(own, other, torch.tensor([2, 4, 6])))
    assert (found.own_frames, found.shuffled_frames, found.error) == (1.0, 2.0, 0.0)
    noisy = language(LanguageLosses(own, other + torch.tensor([1.0, -1.0, 0.0]), torch.tensor([2, 4, 6])))
    assert noisy.error > 0.1


def test_shuffled_frames_come_from_another_document_with_as_many_clips() -> None:
    documents, clips = ["a", "a", "b", "b", "c"], [2, 2, 2, 1, 2]
    assert derangement(documents, clips) == [2, 2, 4, None, 0]
