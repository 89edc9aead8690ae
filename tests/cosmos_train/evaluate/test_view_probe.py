"""The probe of a COSMOS: words exchanged one at a time, linear probes, and where it looks, each against chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from cosmos_recipe import cosmos_recipe
from cosmos_train.errors import UserError
from cosmos_train.evaluate.pointing import (
    Pointed,
    Region,
    attention,
    covered,
    overlap,
    overlap_by_chance,
    regions_of,
)
from cosmos_train.evaluate.slots import load_slots
from cosmos_train.evaluate.swaps import SAMPLE_WORLD, Question, ask, exchanged, load_questions
from cosmos_train.evaluate.view_probe import ViewProbe, linear, moved
from cosmos_train.families.cosmos.attend import look
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.recipe import Recipe
from cosmos_train.train.starting import load_any
from cosmos_train.train.trainer import train
from interlink.sample import stills
from pages import undocumented

TABLE = load_slots().table
CAPTION = ("an orange boat is being wrapped", "at the top left there is a small green boot")


def test_one_word_is_exchanged_in_the_sentence_that_is_meant() -> None:
    questions = load_questions(SAMPLE_WORLD, TABLE)
    asked = {name: ask(question, CAPTION, TABLE) for name, question in questions.items()}
    colour, small = asked["colour"], asked["small_colour"]
    assert colour is not None and small is not None
    assert colour.texts[colour.own] == CAPTION[0]
    assert "a red boat is being wrapped" in colour.texts
    assert len(set(colour.texts)) == len(TABLE["colour"]) == 8
    assert small.texts[small.own] == CAPTION[1]
    assert "at the top left there is a small orange boot" in small.texts
    kind = asked["small_object"]
    assert kind is not None and len(kind.texts) == 12 and all("green" in text for text in kind.texts)


def test_articles_and_capitals_fit_the_new_word() -> None:
    assert exchanged("Paint an orange mug", "orange", "red") == "Paint a red mug"
    assert exchanged("A red hat, a red boot", "red", "orange") == "An orange hat, an orange boot"
    assert exchanged("Red hats", "red", "blue") == "Blue hats"
    assert exchanged("a reddish red", "red", "blue") == "a reddish blue"


def test_a_sentence_with_two_values_or_without_the_words_is_not_asked() -> None:
    question = Question.model_validate({"slot": "colour", "with": ["small"]})
    assert ask(question, ("a red boat", "a small red or blue hat"), TABLE) is None
    assert ask(question, ("a red boat",), TABLE) is None


def test_a_file_of_questions_that_is_none_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "questions.json"
    for text, what in (
        ("[]", "is not a file of questions"),
        ('{"a": {"slot": "size"}}', "asks about size, which is not a slot"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=what):
            load_questions(path, TABLE)


def test_boxes_are_patches_and_their_overlap_has_a_chance() -> None:
    inside = covered((0.0, 0.0, 0.5, 0.26), 4)
    assert inside.tolist() == [[1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert covered((0.9, 0.9, 0.95, 0.95), 4).sum() == 1
    assert overlap(inside, inside) == 1
    assert overlap(-inside, inside) == 0
    half = np.zeros((4, 4))
    half[0, 0] = half[3, 3] = 1
    assert overlap(half, inside) == pytest.approx(1 / 3)
    draws = np.random.default_rng(0)
    drawn = [overlap(draws.random((4, 4)), covered((0.0, 0.0, 0.75, 0.5), 4)) for _ in range(4000)]
    assert overlap_by_chance(6, 16) == pytest.approx(float(np.mean(drawn)), abs=0.01)


def test_a_linear_probe_reads_what_lies_in_a_direction_and_no_more() -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (400,), generator=draw)
    features = torch.randn(400, 8, generator=draw)
    noise = linear(features[:300], labels[:300], features[300:])
    assert float((noise == labels[300:]).float().mean()) < 0.5
    features[:, :3] += 6 * torch.nn.functional.one_hot(labels, 3)
    assert float((linear(features[:300], labels[:300], features[300:]) == labels[300:]).float().mean()) > 0.95


def test_another_picture_is_of_another_document() -> None:
    documents = ["a", "a", "b", "c", "c"]
    assert all(documents[other] != own for other, own in zip(moved(documents, 0), documents, strict=True))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stills")
    stills.write(root / "train", 6)
    stills.write(root / "heldout", 4, split="heldout")
    return root


def trained(recipe: Recipe, out: Path) -> list[float]:
    """The losses of its steps."""
    losses: list[float] = []
    train(recipe, out, False, Console(quiet=True), lambda _, __, loss: losses.append(loss))
    return losses


def test_a_run_is_probed_and_what_it_learns_stays_the_same(world: Path, tmp_path: Path) -> None:
    losses = {}
    for every in (0, 2):
        probe = {"every": every, "shards": str(world / "heldout"), "fit": 12, "candidates": 8, "draws": 2}
        recipe = cosmos_recipe(
            world / "train", train__steps=3, train__save_every=3, probe=probe, data__text=["caption", "speech"],
        )  # fmt: skip
        losses[every] = trained(recipe, tmp_path / f"{every}")
    assert losses[0] == losses[2]
    lines = [json.loads(line) for line in (tmp_path / "2" / "metrics.jsonl").read_text().splitlines()]
    probed = {line["step"]: line for line in lines if "probe/colour" in line}
    assert sorted(probed) == [2, 3]
    assert not undocumented(tmp_path / "2" / "metrics.jsonl")
    last = probed[3]
    for name in ("image_to_text", "text_to_image", "colour", "small_colour", "small_object", "object"):
        for one in (f"probe/{name}", f"probe/{name}_shuffled", f"probe/teacher/{name}"):
            assert 0 <= last[one] <= 1
        assert 0 < last[f"probe/{name}_chance"] < 0.6
    assert 0 <= last["probe/linear_small_colour"] <= 1
    for name in ("pointing", "overlap", "small_pointing", "small_overlap"):
        assert 0 < last[f"probe/{name}_chance"] < 0.4
        assert 0 <= last[f"probe/{name}"] <= 1

    loaded, model = load_any(tmp_path / "2")
    assert isinstance(model, Cosmos)
    data = loaded.recipe.data.model_copy(update={"shards": str(world / "heldout")})
    asked = ViewProbe(data, loaded.tokenizer, TABLE, most=6)
    assert len(asked.scenes) == 6 and all(len(scene.regions) == 2 for scene in asked.scenes)
    pictures = np.stack([scene.picture for scene in asked.scenes])
    maps = attention(model, loaded.tokenizer, pictures, [(4, asked.scenes[4].regions[1].text)])
    drawn = look(model, loaded.tokenizer, pictures[4], asked.scenes[4].regions[1].text)
    assert maps.shape == (1, 4, 4) and maps.sum() == pytest.approx(1)
    spread = (maps[0] - maps[0].min()) / (maps[0].max() - maps[0].min())
    np.testing.assert_allclose(spread, drawn.patches, atol=1e-4)


def test_regions_have_their_kind_and_what_no_sentence_names_is_separate() -> None:
    named = {"text": "the mug", "box": [0, 0, 0.5, 0.5], "kind": "name"}
    other = {"text": "the hat", "box": [0.5, 0, 1, 0.5], "kind": "name"}
    first, second, third = regions_of({"clips": [{"regions": [named], "others": [other]}, {"regions": [other]}, {}]})
    assert first == (Region("the mug", (0, 0, 0.5, 0.5), "name"), Region("the hat", (0.5, 0, 1, 0.5), "untold"))
    assert second == (Region("the hat", (0.5, 0, 1, 0.5), "name"),)
    assert third == () and regions_of([]) == []


def test_a_map_counts_for_the_box_that_its_sentence_names_and_against_the_others() -> None:
    looked, inside = np.zeros((4, 4)), covered((0.0, 0.0, 0.5, 0.25), 4)
    looked[0, :2] = 1
    pointed = Pointed()
    pointed.add(looked, inside, named=True)
    pointed.add(looked, covered((0.5, 0.5, 1.0, 1.0), 4), named=False)
    found = pointed.numbers()
    assert (found["overlap"], found["unnamed_overlap"]) == (1, 0)
    assert (found["pointing"], found["unnamed_pointing"], found["pointing_chance"]) == (1, 0, 1 / 8)


def test_a_probe_of_one_document_is_refused(tmp_path: Path) -> None:
    stills.write(tmp_path / "one", 1)
    probe = {"every": 2, "shards": str(tmp_path / "one")}
    with pytest.raises(UserError, match="at least two documents"):
        train(cosmos_recipe(tmp_path / "one", probe=probe), tmp_path / "run", False, Console(quiet=True))
