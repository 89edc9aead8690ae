"""Few-shot evaluation: who is shown before whom, what is left out, what a result says; scores of small samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import Embedded, LanguageLosses
from cosmos_train.evaluate.fewshot import Result, _prompts, ask, asked_examples, check_left_out, clean, score
from cosmos_train.evaluate.metrics.cider import cider_d
from cosmos_train.evaluate.metrics.ranking import Estimate, mean
from cosmos_train.evaluate.predictions import Predictions
from cosmos_train.evaluate.prompts import Prompt, RandomDemonstrations, Writer, draw
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media
from cosmos_train.evaluate.rices import LikeDemonstrations
from cosmos_train.evaluate.scores import language, recall_at_1, retrieval
from cosmos_train.evaluate.subject import Gallery, Subject
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

COCO = TASKS["coco-caption"]


@pytest.fixture
def subject(model_of: Callable[..., CosMo], tokenizer: Tokenizer, recipe_of: Callable[..., Recipe]) -> Subject:
    return Subject(model_of("llama"), tokenizer, recipe_of("llama"), torch.device("cpu"), "tiny", 7)


@pytest.fixture
def coco(tmp_path: Path) -> DataFolder:
    """8 grey pictures to learn from and 3 to be asked about, the darkest first; one to learn from is missing."""
    import json

    rows = []
    (tmp_path / "val2014").mkdir()
    for number in range(12):
        name = f"COCO_val2014_{number:012d}.jpg"
        if number != 4:
            Image.new("RGB", (32, 32), (20 * number,) * 3).save(tmp_path / "val2014" / name, quality=95)
        split = "train" if number < 9 else "test"
        sentences = [{"raw": f"a square of {number}"}]
        rows.append({"filepath": "val2014", "filename": name, "imgid": number, "cocoid": number, "split": split,
                     "sentences": sentences})  # fmt: skip
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": rows}))
    return DataFolder(tmp_path)


def prompts(subject: Subject, data: DataFolder, shots: int, **settings: Any) -> tuple[list[Prompt], Gallery, Protocol]:
    protocol = Protocol.model_validate({"batch_size": 3, **settings})
    gallery = Gallery(subject, data, protocol.frames, 10)
    writer = Writer(COCO, protocol, subject.tokenizer)
    with subject.asked():
        examples = asked_examples(COCO, data, protocol)
        return _prompts(COCO, data, protocol, shots, examples, gallery, writer), gallery, protocol


def training(data: DataFolder) -> list[Example]:
    return [one for one in COCO.reader(data, "train") if one.id != "4"]


@pytest.mark.parametrize("query_set", [0, 5])
def test_with_rices_the_most_similar_demonstration_is_next_to_the_question(
    subject: Subject, coco: DataFolder, query_set: int
) -> None:
    found, gallery, protocol = prompts(subject, coco, 3, demonstrations="rices", query_set=query_set, seed=5)
    candidates = draw(training(coco), query_set, 5)
    assert len(candidates) == (query_set or 8)
    with subject.asked():
        like = LikeDemonstrations(candidates, gallery, protocol.batch_size)
        vectors = {one.id: like.vectors[number] for number, one in enumerate(like.examples)}
        for prompt in found:
            *shown, question = prompt.media
            assert question == prompt.example
            (seen,) = gallery.see([question])
            likeness = {key: float(vector @ seen.vector) for key, vector in vectors.items()}  # type: ignore[union-attr]
            nearest = sorted(likeness, key=lambda key: -likeness[key])[:3]
            assert [one.id for one in shown] == nearest[::-1]
            text = subject.tokenizer.decode(list(prompt.tokens))
            places = [text.index(f"a square of {key}") for key in nearest[::-1]]
            assert places == sorted(places)


@pytest.mark.parametrize("shots", [0, 2])
def test_random_demonstrations_have_media_unless_only_their_texts_are_shown(
    subject: Subject, coco: DataFolder, shots: int
) -> None:
    found, _, _ = prompts(subject, coco, shots, query_set=4, seed=1, zero_shot_texts=2)
    pool = training(coco) if shots else COCO.reader(coco, "train")
    source = RandomDemonstrations(pool, 4, 1)
    assert len(found) == 3
    for prompt in found:
        chosen = source.choose(prompt.example, 2)
        assert prompt.media == ((*chosen, prompt.example) if shots else (prompt.example,))
        for one in chosen:
            assert f"a square of {one.id}" in subject.tokenizer.decode(list(prompt.tokens))


def test_demonstrations_must_leave_one_over(subject: Subject, coco: DataFolder) -> None:
    assert len(prompts(subject, coco, 7)[0][0].media) == 8
    with pytest.raises(UserError, match="8 demonstrations need more training examples than the 8 that have media"):
        prompts(subject, coco, 8)
    found, _, _ = prompts(subject, coco, 0, zero_shot_texts=0)
    assert all(prompt.media == (prompt.example,) for prompt in found)


def test_examples_are_drawn_from_the_split_of_the_protocol_or_of_the_task(coco: DataFolder) -> None:
    assert [one.id for one in asked_examples(COCO, coco, Protocol())] == ["9", "10", "11"]
    few = Protocol.model_validate({"split": "train", "examples": 4, "seed": 3})
    assert asked_examples(COCO, coco, few) == draw(COCO.reader(coco, "train"), 4, 3)


def test_a_model_is_asked_in_evaluation_and_without_gradients(subject: Subject, coco: DataFolder) -> None:
    seen: list[tuple[bool, bool]] = []
    subject.model.train()
    for module in subject.model.modules():
        module.register_forward_pre_hook(lambda one, _: seen.append((one.training, torch.is_grad_enabled())))
    quick = Protocol.model_validate({"beams": 1, "caption_tokens": 2, "batch_size": 2, "zero_shot_texts": 0})
    progress: list[tuple[int, int]] = []
    with Predictions(None, {}) as kept:
        ask(subject, COCO, coco, quick, 0, kept, lambda done, total: progress.append((done, total)))
    assert set(seen) == {(False, False)}
    assert progress == [(2, 3), (3, 3)]


def test_a_share_of_left_out_examples_is_accepted_and_not_more() -> None:
    protocol = Protocol.model_validate({"max_left_out": 0.25})
    check_left_out(["a: gone"], 4, protocol)
    with pytest.raises(UserError, match="2 of 4 examples have no readable media, for example a: gone"):
        check_left_out(["a: gone", "b"], 4, protocol)
    with pytest.raises(UserError, match="there are no examples"):
        check_left_out([], 0, protocol)


class Asked:
    checkpoint, step = "run", 9


def test_a_result_is_in_percent_and_names_a_few_of_those_left_out() -> None:
    left_out = [str(number) for number in range(7)]
    found = Result.of("t", "val", Protocol(), Asked(), 5, left_out, "m", Estimate(0.5, 0.25), 50.0, 4, part="teacher")
    assert (found.score, found.error, found.chance, found.shots, found.examples) == (50.0, 25.0, 50.0, 4, 5)
    assert (found.left_out, found.left_out_named) == (7, ("0", "1", "2", "3", "4"))
    assert (found.task, found.split, found.metric, found.part) == ("t", "val", "m", "teacher")
    assert (found.checkpoint, found.step, found.protocol["seed"]) == ("run", 9, Protocol().seed)
    none = Result.of("t", "val", Protocol(), Asked(), 0, [])
    assert (none.score, none.error, none.metric, none.shots, none.chance) == (0.0, 0.0, "", 0, None)


def test_scores_of_captions_and_memes_leave_out_who_was_not_answered() -> None:
    captions = [Example(str(n), Media("x"), references=(f"a square of {n}", "a dog")) for n in range(3)]
    done: dict[str, Any] = {"0": {"said": "a square of 0"}, "1": {"left_out": "gone"}, "2": {"said": "a cat"}}
    found, metric, chance = score(COCO, captions, done)
    expected = mean(cider_d(["a square of 0", "a cat"], [captions[0].references, captions[2].references]))
    assert (found, metric, chance) == (expected, "CIDEr-D", None)
    memes = [Example(str(n), Media("x"), label=label) for n, label in enumerate(("no", "yes", "no", "yes"))]
    likely = {str(n): {"likelihoods": [-1.0, -1.0 + margin]} for n, margin in enumerate((0.1, 0.3, 0.2, 0.4))}
    found, metric, chance = score(TASKS["hateful-memes"], memes, likely)
    assert (found.value, metric, chance) == (1.0, "ROC-AUC, %", 50.0)
    with pytest.raises(UserError, match="hateful-memes cannot be scored"):
        score(TASKS["hateful-memes"], memes[:1], likely)


def test_an_answer_ends_at_the_first_stop_and_has_no_quotes() -> None:
    assert clean(' "a  red"\n dog, Output: x', ("Output", ",")) == "a red dog"
    assert clean("Output", ("Output",)) == ""
    assert clean("a, b, c", ()) == "a, b, c"


def embedded(media: torch.Tensor, text: torch.Tensor, texts: list[str]) -> Embedded:
    return Embedded(media, text, texts, [str(number) for number in range(len(texts))])


def test_recall_counts_ties_against_the_model_and_only_its_own_text() -> None:
    media = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert recall_at_1(media, torch.eye(2)[[0, 1, 1]]) == pytest.approx(1 / 3)
    assert recall_at_1(torch.eye(3), torch.eye(3)[[1, 0, 2]]) == pytest.approx(1 / 3)


def test_retrieval_needs_two_distinct_texts_and_says_its_chance() -> None:
    eye = torch.eye(4)
    with pytest.raises(UserError, match="at least two distinct texts"):
        retrieval(embedded(eye, eye, ["A", "a", "a", "A"]), 4, 2, 0)
    found = retrieval(embedded(eye, eye, ["a", "b", "A", "B"]), 64, 3, 0)
    assert (found.candidates, found.chance, found.draws, found.recall) == (2, 0.5, 3, 1.0)
    meant = retrieval(embedded(eye, eye, ["a", "b", "A", "B"]), 64, 3, 0, meanings=[1, 2, 3, 3])
    assert meant.candidates == 3
    assert retrieval(embedded(eye, eye, list("abcd")), 3, 2, 0).candidates == 3


def test_draws_differ_and_the_seed_repeats_them() -> None:
    torch.manual_seed(0)
    media, text = torch.randn(40, 4), torch.randn(40, 4)
    given = embedded(media, text + media, [str(n) for n in range(40)])
    found = retrieval(given, 10, 5, 1)
    assert found == retrieval(given, 10, 5, 1) != retrieval(given, 10, 5, 2)
    assert 0 < found.error < 0.2 and 0 < found.recall < 1
    assert found.shuffled < found.recall and 0 <= found.shuffled_error < 0.2
    assert math.isnan(retrieval(given, 10, 1, 1).error)


def test_the_error_of_language_losses_is_that_of_a_ratio_of_sums() -> None:
    own, other = torch.tensor([2.0, 6.0]), torch.tensor([5.0, 7.0])
    found = language(LanguageLosses(own, other, torch.tensor([2, 6])))
    assert (found.own_frames, found.shuffled_frames, found.samples) == (1.0, 1.5, 2)
    # Differences of 3 and 1, where half a nat per token would be 1 and 3: residuals 2 and -2 over 8 tokens.
    assert found.error == pytest.approx(math.sqrt(8) / 8)
    none = torch.zeros(0)
    with pytest.raises(UserError, match="two documents with the same number of clips"):
        language(LanguageLosses(none, none, none))
