"""Probes: what a caption says is read right, the truth is the clips' own, and blindness falls to chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from cosmos_train.errors import UserError
from cosmos_train.evaluate.probe import Probe
from cosmos_train.evaluate.slots import Slots, load_slots
from cosmos_train.evaluate.subject import Subject
from cosmos_train.families.cosmo.model import CosMo, Media, build_cosmo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.sample import world

SQUARES = Slots(
    {
        "colour": {colour: [colour] for colour in ("red", "green", "blue", "yellow", "purple", "white")},
        "place": {place: [place] for place in ("left", "right", "below", "beyond")},
    }
)


@pytest.fixture
def subject(tiny: Callable[..., Recipe], tokenizer: Tokenizer) -> Subject:
    torch.manual_seed(0)
    recipe = tiny()
    return Subject(build_cosmo(recipe, tokenizer), tokenizer, recipe, torch.device("cpu"))


def test_the_bundled_table_is_the_sample_worlds() -> None:
    """Every sentence of the world is read as the world itself reads it."""
    slots = load_slots()
    assert slots.names == ("object", "colour", "action")
    for combination in [*world.combinations("train"), *world.combinations("heldout")]:
        for template in (*world.SPEECH, *world.CAPTIONS):
            sentence = world.say(template, combination)
            assert slots.read(sentence) == world.parts(sentence) == tuple(combination)


def test_a_sentence_that_names_two_values_or_none_leaves_the_slot_open() -> None:
    assert SQUARES.read("A red or green square lies LEFT.") == (None, "left")
    assert SQUARES.read("a reddish square") == (None, None)


@pytest.mark.parametrize("content", ["[]", "{", '{"a": {"x": ["w"], "y": ["w"]}}', '{"a": 3}'])
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "slots.json").write_text(content)
    with pytest.raises(UserError, match=r"slots\.json is not a table of slots"):
        load_slots(tmp_path / "slots.json")


def test_a_model_that_sees_is_right_and_falls_to_chance_blindfolded(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given captions that always say what the frames show, own frames score 1 and shuffled ones about chance."""
    probe = Probe(subject.recipe.data, subject.tokenizer, SQUARES)
    monkeypatch.setattr(Probe, "_captions", lambda self, subject, clips, media, most: [clip.text for clip in clips])
    scores = probe.ask(subject)
    assert (scores.asked, scores.open) == (36, 0)
    for name, one in scores.slots.items():
        assert (one.right, one.error) == (1.0, 0.0)
        assert one.shuffled < one.chance + 3 * one.shuffled_error + 0.02, name
    assert scores.slots["all"].chance < scores.slots["place"].chance
    assert scores.numbers()["probe/colour"] == 1.0
    assert scores.numbers()["probe/colour_chance"] == scores.slots["colour"].chance
    assert probe.ask(subject) == scores
    moved = [probe.clips[number] for number in probe._moved(0)]
    assert all(own.document != other.document for own, other in zip(probe.clips, moved, strict=True))


def test_a_model_that_never_looks_scores_no_more_than_chance(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(self: Probe, subject: Subject, clips: Sequence[Any], media: Media, most: int) -> list[str]:
        return ["a red square lies left"] * len(clips)

    probe = Probe(subject.recipe.data, subject.tokenizer, SQUARES)
    monkeypatch.setattr(Probe, "_captions", blind)
    for one in probe.ask(subject).slots.values():
        assert one.right == one.shuffled <= one.chance


def test_an_untrained_model_can_be_asked(subject: Subject) -> None:
    subject.model.train()
    scores = Probe(subject.recipe.data, subject.tokenizer, SQUARES, max_clips=6).ask(subject, max_tokens=8)
    assert scores.asked == 6
    assert 0 <= scores.slots["all"].right <= scores.slots["colour"].right <= 1
    assert len(scores.examples) == 5
    assert subject.model.training


def test_texts_that_mean_the_same_are_not_distinguished(subject: Subject) -> None:
    """Given clips that say 24 things at most, no more candidates are drawn, and chance is one of them."""
    probe = Probe(subject.recipe.data, subject.tokenizer, SQUARES)
    said = {clip.truth for clip in probe.clips}
    found = probe.ask(subject, max_tokens=1, candidates=64, draws=3).retrieval
    assert (found.candidates, found.draws) == (len(said), 3)
    assert found.chance == 1 / len(said)
    assert 0 <= found.recall <= 1


def test_a_probe_finds_texts_by_the_embeddings_of_the_model(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an embedding of frames that is that of their text, every text is found, and by shuffled frames few are."""
    probe = Probe(subject.recipe.data, subject.tokenizer, SQUARES)
    codes = {truth: number for number, truth in enumerate(sorted({str(clip.truth) for clip in probe.clips}))}
    asked: list[Any] = []

    def media(self: Probe, subject: Subject, clips: Sequence[Any]) -> Media:
        asked.append(clips)
        vectors = torch.eye(len(codes))[[codes[str(clip.truth)] for clip in clips]]
        return Media(torch.zeros(len(clips), 1, 1, 1), vectors)

    monkeypatch.setattr(Probe, "_media", media)
    monkeypatch.setattr(Probe, "_captions", lambda *_: [""] * len(asked[-1]))
    monkeypatch.setattr(Probe, "_texts", lambda self, subject, clips: media(self, subject, clips).query)
    monkeypatch.setattr(subject.model, "media_embedding", lambda query: query)
    found = probe.ask(subject).retrieval
    assert (found.recall, found.error) == (1.0, 0.0)
    assert found.shuffled < 3 * found.chance


def test_shards_of_another_world_are_reported(subject: Subject) -> None:
    with pytest.raises(UserError, match="object, colour, action"):
        Probe(subject.recipe.data, subject.tokenizer, load_slots())


def test_a_model_of_any_family_is_captioned_the_same_way(
    model_of: Callable[..., CosMo], subject: Subject, recipe_of: Callable[..., Recipe], tokenizer: Tokenizer
) -> None:
    recipe = recipe_of("gpt_neox")
    data = subject.recipe.data.model_copy(update={"image": recipe.data.image})
    other = Subject(model_of("gpt_neox"), tokenizer, recipe, torch.device("cpu"))
    assert Probe(data, tokenizer, SQUARES, max_clips=4).ask(other, max_tokens=5).asked == 4
