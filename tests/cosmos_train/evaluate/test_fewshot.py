"""Whole evaluations of a tiny model on tiny folders in the benchmarks' layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.evaluate.embedder import CosMoEmbedder
from cosmos_train.evaluate.fewshot import Result, ask, clean, score
from cosmos_train.evaluate.loading import cosmo_embedder
from cosmos_train.evaluate.metrics.cider import cider_d
from cosmos_train.evaluate.predictions import Predictions
from cosmos_train.evaluate.protocol import BUNDLED, Protocol
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media
from cosmos_train.evaluate.retrieval import retrieve
from cosmos_train.evaluate.rices import LikeDemonstrations
from cosmos_train.evaluate.run import as_json, print_results
from cosmos_train.evaluate.subject import Gallery, Seen, Subject
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.families.cosmo.model import CosMo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer

QUICK = {"beams": 2, "caption_tokens": 6, "answer_tokens": 3, "batch_size": 4}
COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "white": (240, 240, 240)}


@pytest.fixture
def subject(model_of: Callable[..., CosMo], tokenizer: Tokenizer, recipe_of: Callable[..., Recipe]) -> Subject:
    return Subject(model_of("llama"), tokenizer, recipe_of("llama"), torch.device("cpu"), "tiny", 7)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """12 pictures to learn from and 6 to be asked about, in Karpathy's layout: a colour each, and captions of it."""
    rows = []
    (tmp_path / "val2014").mkdir()
    for number in range(18):
        colour = list(COLOURS)[number % 4]
        name = f"COCO_val2014_{number:012d}.jpg"
        level = 6 * number
        pixels = tuple(max(0, min(255, value - 40 + level)) for value in COLOURS[colour])
        Image.new("RGB", (48, 40), pixels).save(tmp_path / "val2014" / name, quality=95)
        rows.append(
            {
                "filepath": "val2014", "filename": name, "imgid": number, "cocoid": number,
                "split": "train" if number < 12 else "test",
                "sentences": [{"raw": f"a {colour} square"}, {"raw": f"the {colour} square lies {number}"}],
            }
        )  # fmt: skip
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": rows}))
    return tmp_path


def asked(subject: Subject, task: str, data: Path, shots: int, path: Path | None = None, **settings: Any) -> Result:
    protocol = Protocol.model_validate({**QUICK, **settings})
    with Predictions(path, {"task": task, "shots": shots, **settings}) as kept:
        return ask(subject, TASKS[task], DataFolder(data), protocol, shots, kept)


@pytest.mark.parametrize("shots", [0, 4, 8])
def test_captions_are_scored_by_cider(subject: Subject, coco: Path, tmp_path: Path, shots: int) -> None:
    """Given 6 pictures, the score is CIDEr-D of what the predictions file holds, a hundredfold."""
    found = asked(subject, "coco-caption", coco, shots, tmp_path / "said.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert len(rows) == 7
    references = [
        [f"a {c} square", f"the {c} square lies {n}"] for n, c in ((n, list(COLOURS)[n % 4]) for n in range(12, 18))
    ]
    expected = cider_d([row["said"] for row in rows[1:]], references)
    assert found.score == pytest.approx(100 * sum(expected) / 6)
    assert (found.examples, found.left_out, found.shots, found.metric, found.step) == (6, 0, shots, "CIDEr-D", 7)


def test_a_score_that_means_nothing_says_so(subject: Subject, coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(subject, "coco-caption", coco, 0, examples=1)
    assert found.examples == 1 and "CIDEr-D of 1 picture(s) is 0 for every caption" in found.warning
    print_results([found], Console(width=200))
    assert "warning: coco-caption: CIDEr-D of 1 picture(s)" in capsys.readouterr().out
    assert as_json([found])[0]["warning"] == found.warning
    assert asked(subject, "coco-caption", coco, 0, examples=2).warning == ""


def test_the_batch_size_changes_nothing(subject: Subject, coco: Path, tmp_path: Path) -> None:
    said = []
    for size in (1, 5):
        path = tmp_path / f"{size}.jsonl"
        asked(subject, "coco-caption", coco, 4, path, batch_size=size, cache_megabytes=size - 1)
        said.append([json.loads(line) for line in path.read_text().splitlines()][1:])
    assert said[0] == said[1]


def test_pictures_and_demonstrations_change_what_is_said(subject: Subject, coco: Path, tmp_path: Path) -> None:
    """Given open gates, 4 shots, other 4 shots, and the same with other pictures are answered each in its way."""
    said = []
    for name, seed in (("four", 42), ("other", 1), ("pictures", 42)):
        if name == "pictures":
            for number in range(12, 18):
                Image.new("RGB", (48, 40), (0, 0, 0)).save(coco / "val2014" / f"COCO_val2014_{number:012d}.jpg")
        asked(subject, "coco-caption", coco, 4, tmp_path / name, seed=seed)
        said.append((tmp_path / name).read_text().partition("\n")[2])
    assert len(set(said)) == 3


def test_a_run_that_was_cut_off_goes_on(subject: Subject, coco: Path, tmp_path: Path) -> None:
    """Given 3 whole lines and a torn one, the 3 are kept, the rest asked, and the result is the same."""
    path = tmp_path / "said.jsonl"
    whole = asked(subject, "coco-caption", coco, 4, path)
    lines = path.read_text().splitlines(keepends=True)
    marked = [json.loads(line) for line in lines[1:4]]
    path.write_text(lines[0] + "".join(json.dumps({**row, "kept": True}) + "\n" for row in marked) + lines[4][:9])
    again = asked(subject, "coco-caption", coco, 4, path)
    assert again == whole
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("kept", False) for row in rows[1:]] == [True] * 3 + [False] * 3
    with pytest.raises(UserError, match="another checkpoint, task or protocol"):
        asked(subject, "coco-caption", coco, 4, path, seed=1)


def test_media_that_are_missing_or_broken_are_left_out_and_named(subject: Subject, coco: Path) -> None:
    (coco / "val2014" / f"COCO_val2014_{13:012d}.jpg").unlink()
    (coco / "val2014" / f"COCO_val2014_{15:012d}.jpg").write_bytes(b"\xff\xd8 torn")
    with pytest.raises(UserError, match="1 of 6 examples have no readable media, for example 13"):
        asked(subject, "coco-caption", coco, 0)
    found = asked(subject, "coco-caption", coco, 0, max_left_out=0.5)
    assert (found.examples, found.left_out) == (4, 2)
    assert [line.partition(":")[0] for line in found.left_out_named] == ["13", "15"]


def test_too_few_training_examples_are_reported(subject: Subject, coco: Path) -> None:
    with pytest.raises(UserError, match="12 demonstrations need more training examples than the 12"):
        asked(subject, "coco-caption", coco, 12)


def test_prompts_that_do_not_fit_are_reported_before_anything_is_asked(subject: Subject, coco: Path) -> None:
    with pytest.raises(UserError, match="but the language model reads at most 256"):
        asked(subject, "coco-caption", coco, 10, caption_tokens=200)


def test_rices_shows_the_nearest_last(subject: Subject, coco: Path) -> None:
    data = DataFolder(coco)
    training = TASKS["coco-caption"].reader(data, "train")
    example = TASKS["coco-caption"].reader(data, "test")[0]
    gallery = Gallery(subject, data, 1, 10)
    with subject.asked():
        like = LikeDemonstrations(training, gallery, 5)
        chosen = like.choose(example, 4)
        seen = gallery.see([example, *training])
    vectors = torch.stack([one.vector for one in seen if isinstance(one, Seen)])
    order = (vectors[1:] @ vectors[0]).argsort(descending=True).tolist()
    assert [one.id for one in chosen] == [training[n].id for n in order[:4][::-1]]
    assert asked(subject, "coco-caption", coco, 4, demonstrations="rices").examples == 6


def test_questions_are_scored_by_the_official_accuracy(subject: Subject, tmp_path: Path) -> None:
    """Given four questions that ten people answered alike, the score is the share that was answered like them."""
    for split in ("train", "val"):
        for number in range(4):
            Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(tmp_path / f"VizWiz_{split}_{number}.jpg")
        rows = [
            {"image": f"VizWiz_{split}_{n}.jpg", "question": "what colour is it", "answers": [{"answer": "red"}] * 10}
            for n in range(4)
        ]
        (tmp_path / f"{split}.json").write_text(json.dumps(rows))
    found = asked(subject, "vizwiz", tmp_path, 2, tmp_path / "said.jsonl")
    said = [json.loads(line)["said"] for line in (tmp_path / "said.jsonl").read_text().splitlines()[1:]]
    assert found.score == pytest.approx(
        100 * sum(one.strip().lower() in ("red", "a red", "the red") for one in said) / 4
    )
    assert found.metric == "accuracy, %"


def test_score_of_questions() -> None:
    examples = [Example(str(n), Media("x"), answers=(("two",),) * 10) for n in range(4)]
    done = {"0": {"said": "2"}, "1": {"said": "Two."}, "2": {"said": "three"}, "3": {"left_out": "gone"}}
    found, _, chance = score(TASKS["okvqa"], examples, done)
    assert (found.value, chance) == (pytest.approx(2 / 3), None)


@pytest.mark.parametrize("protocol", ["default", "cosmo"])
def test_memes_are_scored_by_likelihood(subject: Subject, tmp_path: Path, protocol: str) -> None:
    """The score is the ROC-AUC of the margins in the predictions; the two labels' likelihoods are those of the text."""
    for name in ("train", "dev_seen"):
        rows = []
        for number in range(6):
            Image.new("RGB", (32, 32), (40 * number, 0, 99)).save(tmp_path / f"{name}{number}.png")
            rows.append({"id": number, "img": f"img/{name}{number}.png", "label": number % 2, "text": "the man says"})
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = BUNDLED[protocol].model_copy(update={"batch_size": 4})
    with Predictions(tmp_path / "said.jsonl", {}) as kept:
        found = ask(subject, TASKS["hateful-memes"], DataFolder(tmp_path), settings, 2, kept)
    rows = [json.loads(line)["likelihoods"] for line in (tmp_path / "said.jsonl").read_text().splitlines()[1:]]
    margins = [yes - no for no, yes in rows]
    assert len(set(margins)) > 3
    pairs = [(a > b) + (a == b) / 2 for a in margins[1::2] for b in margins[::2]]
    assert found.score == pytest.approx(100 * sum(pairs) / 9)
    assert (found.chance, found.metric) == (50.0, "ROC-AUC, %")


def test_video_questions_read_frames(subject: Subject, tmp_path: Path) -> None:
    for split, number in (("train", 0), ("train", 1), ("test", 2), ("test", 3)):
        frames = [Image.new("L", (20, 20), 20 * k + number) for k in range(4)]
        frames[0].save(tmp_path / f"gif{number}.gif", save_all=True, append_images=frames[1:], duration=200)
        path = tmp_path / f"{split.capitalize()}_frameqa_question.csv"
        head = "" if path.exists() else "gif_name\tquestion\tanswer\ttype\tvid_id\tkey\n"
        with path.open("a") as file:
            file.write(head + f"gif{number}\twhat is it\tdog\t0\tID\t{number}\n")
    found = asked(subject, "tgif-qa", tmp_path, 1)
    assert (found.examples, found.metric) == (2, "accuracy, %")


def embedder(subject: Subject) -> CosMoEmbedder:
    return cosmo_embedder(subject, Protocol(), Protocol().prompts.retrieval)


def test_retrieval_goes_both_ways(subject: Subject, coco: Path) -> None:
    to_text, to_media = retrieve(embedder(subject), TASKS["coco-retrieval"], DataFolder(coco), Protocol())
    assert (to_text.examples, to_text.chance) == (6, pytest.approx(100 / 6))
    assert to_media.chance == pytest.approx(100 / 6)
    assert to_text.metric == "R@1 media to text, %"
    for found in (to_text, to_media):
        assert found.more["R@1"] == found.score <= found.more["R@5"] <= found.more["R@10"]
    assert to_media.more["R@10"] == 100.0  # of 6 pictures


def test_retrieval_finds_what_the_vectors_say(subject: Subject, coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given texts whose vectors are their pictures', every first is right."""
    data = DataFolder(coco)
    gallery = Gallery(subject, data, 1, 10)
    examples = TASKS["coco-retrieval"].reader(data, "test")
    with subject.asked():
        vectors = torch.stack([one.vector for one in gallery.see(examples) if isinstance(one, Seen)])
    monkeypatch.setattr(
        subject.model, "encode_text", lambda tokens, mask: vectors.repeat_interleave(2, 0)[: len(tokens)]
    )
    found = retrieve(embedder(subject), TASKS["coco-retrieval"], data, Protocol())
    assert [one.score for one in found] == [100.0, 100.0]


def test_what_is_said_ends_where_the_next_demonstration_would_begin() -> None:
    assert clean('a "red" dog Output: a cat', ("Output",)) == "a red dog"
    assert clean("yes, it is", Protocol().answer_stops) == "yes"
    assert clean("two Question: what", Protocol().answer_stops) == "two"
    assert clean("1,000 people, at least", Protocol().answer_stops) == "1,000 people"


def test_asking_leaves_a_model_in_training_as_it_was(subject: Subject, coco: Path) -> None:
    subject.model.train()
    asked(subject, "coco-caption", coco, 0)
    assert subject.model.training
    assert replace(subject, step=8).step == 8
