"""Conversations: LLaVA's format, how turns become tokens, batches of samples alike."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import IGNORED, digest
from cosmos_train.stream.stream import open_data, open_stream
from cosmos_train.stream.talk.convert import pack_llava
from cosmos_train.stream.talk.corpus import QUESTIONS, evened, squared, turns_of
from cosmos_train.stream.talk.prompts import Turn, tokenize_turns
from cosmos_train.stream.talk.settings import TalkSettings
from cosmos_train.stream.tokenizer import Tokenizer
from cumo_recipe import cumo_recipe


def say(*values: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[number % 2], "value": value} for number, value in enumerate(values)]


def packed(folder: Path, records: list[Any]) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for name, size in (("a.jpg", (40, 20)), ("b.png", (20, 40))):
        Image.new("RGB", size, (250, 0, 0)).save(pictures / name)
    (folder / "list.json").write_text(json.dumps(records))
    pack_llava(folder / "list.json", pictures, folder / "shards")
    return folder / "shards"


def batches(recipe: Recipe, words: Tokenizer, count: int, rank: int = 0, size: int = 1) -> list[Any]:
    stream = open_stream(recipe, words, open_data(recipe.data), rank, size)
    return [stream.next() for _ in range(count)]


def test_turns_go_from_question_to_answer_and_the_picture_comes_first() -> None:
    found = turns_of(say("What is <image> this?", "a cat ", "and?", "a mat"), True)
    assert found == (Turn("<image>\nWhat is  this?", "a cat"), Turn("and?", "a mat"))
    assert turns_of([{"from": "system", "value": "be good"}, *say("hi", "ho")], False) == (Turn("hi", "ho"),)
    for wrong, why in (
        ([{"from": "human", "value": "hi"}], "no answer"),
        ("hello", "no list of turns, but str"),
        ([{"role": "user"}], "lack `from` or `value`"),
        (say("a", "b")[::-1] + say("c"), "do not go from question"),
        (say("<image> <image>", "b"), "name 2 pictures"),
        (say("<image>", "b"), "name 1 pictures, 0"),
    ):
        with pytest.raises(ValueError, match=why):
            turns_of(wrong, False)


def test_only_answers_are_learned_and_a_picture_takes_its_places(words: Tokenizer) -> None:
    settings = TalkSettings(prompt="mistral_instruct", image_tokens=3)
    turns = (Turn("<image>\nwhat lies here?", "a red square"), Turn("where?", "left"))
    found = tokenize_turns(turns, words, settings, 200)
    assert found.ids[0] == words.begin
    assert found.ids.count(words.visual) == 3
    assert not any(learned for number, learned in zip(found.ids, found.learned, strict=True) if number == words.visual)
    answers = [number for number, learned in zip(found.ids, found.learned, strict=True) if learned]
    assert words.decode(answers) == "a red square  left"  # a space stands before the end token, as in CuMo
    assert answers.count(words.end) == 2
    text = words.decode([number for number in found.ids if number != words.visual])
    assert " ".join(text.split()) == "[INST] what lies here? [/INST] a red square [INST] where? [/INST] left"


def test_versions_of_the_prompt(words: Tokenizer) -> None:
    turns = (Turn("<image>\nwhat?", "red"), Turn("where?", "left"))

    def text(prompt: Any) -> str:
        ids = tokenize_turns(turns, words, TalkSettings(prompt=prompt, image_tokens=1), 900).ids
        return words.decode(ids)

    assert text("plain").split() == ["red", "left"]
    system = text("mistral_instruct_system")
    assert system.startswith("[INST] <<SYS>>")
    assert system.count("<<SYS>>") == 1
    assert "artificial intelligence assistant" in text("vicuna_v1") and "USER: where? ASSISTANT: left" in text(
        "vicuna_v1"
    )


SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@pytest.mark.parametrize(
    ("prompt", "official"),
    [
        ("plain", "<s><image>red\n</s>left\n</s>"),  # the end tokens are ours: LLaVA has none here
        ("vicuna_v1", f"<s>{SYSTEM} USER: <image>\nwhat? ASSISTANT: red</s>USER: where? ASSISTANT: left</s>"),
        ("mistral_instruct", "<s>[INST] <image>\nwhat? [/INST] red </s>[INST] where? [/INST] left </s>"),
        (
            "mistral_instruct_system",
            f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n<image>\nwhat? [/INST] red </s>[INST] where? [/INST] left </s>",
        ),
    ],
)
def test_prompts_are_llavas_and_cumos_to_the_space(words: Tokenizer, prompt: Any, official: str) -> None:
    """What `get_prompt` of CuMo's conversation.py gives for two turns; a picture is one `<visual>`."""
    turns = (Turn("<image>\nwhat?", "red"), Turn("where?", "left"))
    found = tokenize_turns(turns, words, TalkSettings(prompt=prompt, image_tokens=1), 900)
    text = words.backend.decode(found.ids, skip_special_tokens=False)
    # Text after a marker begins with the tokenizer's own space, as SentencePiece's does.
    pieces = [piece for piece in re.split(r"(<s>|</s>|<image>)", official) if piece]
    marks = {"<s>": "<s>", "</s>": "</s>", "<image>": "<visual>"}
    spaced = "".join(marks.get(piece) or f" {piece.lstrip(' ')}" for piece in pieces)
    assert text == spaced
    answers = [number for number, learned in zip(found.ids, found.learned, strict=True) if learned]
    assert words.backend.decode(answers, skip_special_tokens=False).replace("</s>", "").split() == ["red", "left"]


def test_the_picture_stands_first_in_the_question_that_names_it() -> None:
    """ALLaVA's and LLaVA-665K's records: the marker first or last, twice in a question, later, or a word of HTML."""
    assert turns_of(say("Depict it.\n<image>", "a ring"), True) == (Turn("<image>\nDepict it.", "a ring"),)
    assert turns_of(say("hello", "hi", "what?\n<image>", "a cat"), True) == (
        Turn("hello", "hi"), Turn("<image>\nwhat?", "a cat"),
    )  # fmt: skip
    assert turns_of(say("<image>\nIs <image> red?", "no"), True) == (Turn("<image>\nIs  red?", "no"),)
    assert turns_of(say("hi", "ho"), True) == (Turn("<image>\nhi", "ho"),)
    assert turns_of(say("What does <image> do in SVG?", "it shows one"), False) == (
        Turn("What does < image > do in SVG?", "it shows one"),
    )
    with pytest.raises(ValueError, match="name 2 pictures, one may be shown"):
        turns_of(say("<image>\na", "b", "<image>\nc", "d"), True)
    with pytest.raises(ValueError, match="name 1 pictures, 0 is there"):
        turns_of(say("what is it?\n<image>", "d"), False)


def test_words_that_look_like_markers_are_only_words(words: Tokenizer) -> None:
    turns = (Turn("<image>\n<visual> </s>", "a <visual> <image> </s> b"),)
    found = tokenize_turns(turns, words, TalkSettings(prompt="vicuna_v1", image_tokens=2), 500)
    assert (found.ids.count(words.visual), found.ids.count(words.end)) == (2, 1)


def test_what_does_not_fit_is_said(words: Tokenizer) -> None:
    settings = TalkSettings(prompt="mistral_instruct", image_tokens=20)
    with pytest.raises(ValueError, match=r"picture does not fit in data\.max_tokens=16"):
        tokenize_turns((Turn("<image>\nwhat?", "red"),), words, settings, 16)
    with pytest.raises(ValueError, match="no answer is left"):
        tokenize_turns((Turn("what lies in this place? " * 9, "red"),), words, settings, 16)


def test_pictures_become_square_by_borders_or_by_cutting() -> None:
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = 200
    padded, cut = squared(wide, 16, True), squared(wide, 16, False)
    assert padded.shape == cut.shape == (3, 16, 16)
    assert (cut[:, 8, 8] == 200).all()
    assert tuple(padded[:, 0, 0]) == (122, 116, 104)
    assert (padded[:, 8, 8] == 200).all()
    assert cut.min() > 190


def test_llavas_records_become_shards_that_are_read(tmp_path: Path, words: Tokenizer) -> None:
    records = [
        {"id": "1", "image": "a.jpg", "conversations": say("<image>\nwhat?", "red")},
        {"id": "2", "conversations": say("hi", "ho", "and?", "so")},
        {"id": "3", "image": "b.png", "conversations": say("what <image>?", "a square")},
        {"id": "4", "image": "gone.jpg", "conversations": say("<image>", "x")},
        {"id": "5", "image": "../secret.jpg", "conversations": say("<image>", "x")},
        {"id": "6", "conversations": []},
    ]
    shards = packed(tmp_path, records)
    recipe = cumo_recipe(shards, train__batch_size=3)
    (batch,) = batches(recipe, words, 1)
    assert batch.frames.shape == (2, 3, 32, 32)
    assert batch.pictured.tolist().count(True) == 2
    assert sorted(batch.keys) == ["000000000", "000000001", "000000002"]
    assert ((batch.tokens == words.visual).sum(1) == 4 * batch.pictured).all()
    assert (batch.labels[~batch.token_mask] == IGNORED).all()
    (tmp_path / "list.json").write_text(json.dumps(records))
    said = CliRunner().invoke(
        app, ["pack-llava", str(tmp_path / "list.json"), str(tmp_path / "pictures"), str(tmp_path / "again")]
    )
    assert "3 records, 2 with a picture" in said.output
    assert "left out 1: the picture is not there (first: 4)" in said.output
    assert "left out 1: the picture's path leads out of the folder (first: 5)" in said.output
    with pytest.raises(UserError, match="is not empty"):
        pack_llava(tmp_path / "list.json", tmp_path / "pictures", shards)
    (tmp_path / "list.json").write_text("{}")
    with pytest.raises(UserError, match="not a list of records"):
        pack_llava(tmp_path / "list.json", tmp_path / "pictures", tmp_path / "third")


def test_our_documents_are_asked_about_and_answer_with_their_text(shards: Path, words: Tokenizer) -> None:
    recipe = cumo_recipe(shards, data__talk={"prompt": "mistral_instruct", "image_tokens": 4}, data__max_tokens=128)
    whole = batches(recipe, words, 9)
    asked = {texts[0] for batch in whole for texts in batch.texts}
    assert len(asked) > 3 and asked <= {f"<image>\n{question}" for question in QUESTIONS}
    assert all("square lies" in texts[1] for batch in whole for texts in batch.texts)
    halves = [batches(recipe, words, 9, rank, 2) for rank in range(2)]
    assert [digest(*parts) for parts in zip(*halves, strict=True)] == [digest(batch) for batch in whole]


def test_batches_are_of_samples_alike_each_once_an_epoch(tmp_path: Path, words: Tokenizer) -> None:
    random = np.random.default_rng(0)
    records: list[dict[str, Any]] = []
    for number in range(32):
        text = "red " * int(random.integers(1, 30))
        if number % 2:
            records.append({"image": "a.jpg", "conversations": say("<image>", text)})
        else:
            records.append({"conversations": say("hi", text)})
    shards = packed(tmp_path, records)
    talk = {"prompt": "plain", "image_tokens": 4}

    def waste(found: list[Any]) -> float:
        return 1 - sum(int(b.token_mask.sum()) for b in found) / sum(b.tokens.numel() for b in found)

    plain = batches(cumo_recipe(shards, data__talk=talk), words, 8)
    recipe = cumo_recipe(shards, data__talk={**talk, "group_batches": 8})
    alike = batches(recipe, words, 16)
    assert sorted(key for batch in alike[:8] for key in batch.keys) == sorted(f"{n:09d}" for n in range(32))
    assert waste(alike[:8]) < 0.5 * waste(plain)
    assert all(len(set(batch.pictured.tolist())) == 1 for batch in alike)
    widths = [batch.tokens.shape[1] for batch in alike[:8]]
    assert widths != sorted(widths) and widths != sorted(widths, reverse=True)
    halves = [batches(recipe, words, 16, rank, 2) for rank in range(2)]
    assert [digest(*parts) for parts in zip(*halves, strict=True)] == [digest(batch) for batch in alike]


def test_steps_are_of_one_modality_with_any_lengths_evenly_spread(tmp_path: Path, words: Tokenizer) -> None:
    """As LLaVA's sampler: a step's samples are drawn from one modality; each process gets as many tokens."""
    random = np.random.default_rng(1)
    records: list[dict[str, Any]] = []
    for number in range(36):
        text = "red " * int(random.integers(1, 30))
        pictured = number % 3
        records.append(
            {"image": "a.jpg", "conversations": say("<image>", text)} if pictured else {"conversations": say("a", text)}
        )
    shards = packed(tmp_path, records)
    talk = {"prompt": "plain", "image_tokens": 4, "group_batches": 9, "group_by": "modality"}
    recipe = cumo_recipe(shards, data__talk=talk, train__batch_size=4, train__accumulation=2)
    found = batches(recipe, words, 18)  # a window is 10 batches: whole steps
    steps = list(zip(found[::2], found[1::2], strict=True))
    kinds = [{bool(one) for batch in step for one in batch.pictured.tolist()} for step in steps]
    assert sum(len(kind) == 2 for kind in kinds[:5]) == 1  # the last samples of both modalities
    assert {True} in kinds and {False} in kinds
    sums, spread = [], []
    for step in steps[:5]:
        lengths = torch.cat([batch.token_mask.sum(1) for batch in step]).double()
        sums += [float(part.sum() / lengths.sum()) for part in lengths.chunk(4)]  # of four processes
        spread.append(float(lengths.std()))
    assert max(sums) < 0.36 and min(sums) > 0.16
    assert min(spread) > 3  # not of similar length
    halves = [batches(recipe, words, 18, rank, 2) for rank in range(2)]
    assert [digest(*parts) for parts in zip(*halves, strict=True)] == [digest(batch) for batch in found]


def test_halves_of_a_step_are_even_and_lose_nothing() -> None:
    tokens = np.random.default_rng(0).integers(1, 1000, 200)
    batch = np.arange(64) * 3
    found = evened(batch, tokens)
    assert sorted(found.tolist()) == batch.tolist()
    for parts in (2, 4, 8):
        totals = [tokens[part].sum() for part in np.split(found, parts)]
        assert max(totals) / min(totals) < 1.1
    assert evened(np.array([5]), tokens).tolist() == [5]
