"""A CuMo is asked: in its own prompt version, by the cache as without it, scored, judged, and going on where it was."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from caption_server import CaptionServer
from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate import judge
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers.folder import Example, Media
from cosmos_train.evaluate.run import evaluate_task
from cosmos_train.evaluate.talk import _right, longest_answer, ratio, worded
from cosmos_train.evaluate.talker import Talker, load_talker
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.stream.talk.prompts import Turn, tokenize_turns
from cosmos_train.train.trainer import train
from cumo_recipe import cumo_recipe
from judged import paint

PROMPT = {"prompt": "mistral_instruct", "image_tokens": 4}


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("talk") / "run"
    experts = {"count": 2, "top_k": 1, "places": ["vision", "connector"]}
    language = {
        "config": {
            "model_type": "mistral", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512,
            "tie_word_embeddings": False,
        },
        "vocabulary": 400,
    }  # fmt: skip
    recipe = cumo_recipe(shards, train__steps=2, data__talk=PROMPT, model__experts=experts, model__language=language)
    train(recipe, out, False, Console(quiet=True))
    return out


def opinionated(talker: Talker) -> Talker:
    """With weights larger than usual it says something else to everything."""
    with torch.no_grad():
        for name, parameter in talker.model.named_parameters():
            if name.startswith("lm.") and parameter.dim() == 2:
                parameter.mul_(12.0)
    return talker


def test_a_question_is_spelled_as_in_training(run: Path) -> None:
    talker = load_talker(run, [])
    found = talker.tokenize("a red square lies left?")
    turns = (Turn("<image>\na red square lies left?", "blue"),)
    trained = tokenize_turns(turns, talker.tokenizer, talker.recipe.data.talk, 64)
    first = trained.learned.index(True)
    assert found == trained.ids[:first]
    assert found.count(talker.tokenizer.visual) == 4
    assert (
        talker.tokenize("what is <image> there?").count(talker.tokenizer.visual) == 4
    )  # one picture, whatever is said


@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_the_whole_model_run_again_for_each_word(run: Path, beams: int) -> None:
    talker = opinionated(load_talker(run, []))
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32)).astype(np.uint8))
    prompts = [talker.tokenize(text) for text in ("left?", "what colour is the square that lies on the right?", "a b")]
    with talker.asked():
        found = talker.answer(pictures, prompts, 6, beams)
        alone = [talker.answer([one], [prompt], 6, beams)[0] for one, prompt in zip(pictures, prompts, strict=True)]
        assert found == alone  # a row does not see the padding of others
        if beams > 1:
            return
        never = {talker.tokenizer.visual, talker.tokenizer.begin, talker.tokenizer.pad}
        for picture, prompt, said in zip(pictures, prompts, found, strict=True):
            ids = list(prompt)
            for _ in range(6):
                frames, tokens = torch.from_numpy(picture)[None], torch.tensor([ids])
                logits = talker.model(frames, tokens, torch.ones_like(tokens, dtype=torch.bool))[0, -1]
                logits[list(never)] = -math.inf
                ids.append(int(logits.argmax()))
                if ids[-1] in (talker.tokenizer.end, talker.tokenizer.end_of_chunk):
                    ids.pop()
                    break
            assert talker.tokenizer.decode(ids[len(prompt) :]) == said
    assert len(set(found)) > 1


def test_questions_are_worded_as_the_protocol_says() -> None:
    choice = Example("1", Media("1.jpg"), question="Which {choices}?", choices=("x", "{question}"), label="A")
    assert worded(choice, TASKS["scienceqa"], Protocol()) == (
        "Which {choices}?\nA. x\nB. {question}\nAnswer with the option's letter from the given choices directly."
    )
    open_ended = Example("1", Media("1.jpg"), question="How many?", answers=(("3",),))
    assert worded(open_ended, TASKS["mmmu"], Protocol()).endswith(
        "\nAnswer the question using a single word or phrase."
    )
    assert worded(open_ended, TASKS["mathvista"], Protocol()) == "How many?"
    assert worded(open_ended, TASKS["mm-vet"], Protocol()) == "How many?"
    with pytest.raises(ValueError, match=r"must hold \{question\}, \{choices\}"):
        Protocol.model_validate({"talk": {"choice": "{question}"}})


def test_judged_answers_are_as_long_as_each_benchmark_asks_for() -> None:
    found = {name: longest_answer(TASKS[name], Protocol()) for name in ("llava-bench", "mm-vet", "scienceqa")}
    assert found == {"llava-bench": 128, "mm-vet": 1024, "scienceqa": 64}
    own = Protocol.model_validate({"talk": {"judged_tokens": 7}})
    assert longest_answer(TASKS["mm-vet"], own) == 7


@pytest.fixture
def science(tmp_path: Path) -> Path:
    base = {"choices": ["x", "y"], "hint": "", "image": "image.png"}
    rows = {
        str(n): base | {"question": f"Which {n}?", "answer": n % 2, "subject": "a" if n < 4 else "b"} for n in range(6)
    }
    for key in rows:
        paint(tmp_path / "science/test" / key / "image.png", (40 * int(key), 0, 0))
    (tmp_path / "science/problems.json").write_text(json.dumps(rows))
    (tmp_path / "science/pid_splits.json").write_text(json.dumps({"test": list(rows)}))
    return tmp_path / "science"


def test_the_command_asks_and_goes_on_from_what_was_said(run: Path, science: Path, tmp_path: Path) -> None:
    command = [
        "evaluate",
        str(run),
        "--task",
        "scienceqa",
        "--data",
        str(science),
        "--predictions",
        str(tmp_path / "said"),
    ]
    command += ["--set", "protocol.talk.tokens=3", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["examples"], found["chance"], found["metric"]) == (6, 50, "accuracy, %")
    assert set(found["more"]) == {"a", "b", "no choice named"}
    kept = tmp_path / "said" / "scienceqa-0.jsonl"
    head, *lines = kept.read_text().splitlines()
    answers = ["A", "B", "B", "B", "A", "(B)"]
    rows = [{"id": json.loads(line)["id"], "said": said} for line, said in zip(lines, answers, strict=True)]
    kept.write_text("\n".join([head, *map(json.dumps, rows[:5])]) + "\n")
    (found,) = json.loads(CliRunner().invoke(app, command).stdout)
    again = kept.read_text().splitlines()
    assert again[:6] == [head, *map(json.dumps, rows[:5])]
    assert json.loads(again[6]) == json.loads(lines[5])  # only what was missing was asked
    assert found["more"]["a"] == 75


def test_vqa_and_captions_are_scored_as_those_of_a_cosmo(run: Path, tmp_path: Path) -> None:
    asked = {"20": {"question": "Is it?", "imageId": "n1", "answer": "no"}}
    (tmp_path / "testdev_balanced_questions.json").write_text(json.dumps(asked))
    paint(tmp_path / "n1.jpg")
    (found,) = evaluate_task(run, "gqa", tmp_path, [0])
    assert (found.metric, found.examples, found.split) == ("accuracy, %", 1, "testdev")
    (tmp_path / "results.token").write_text("n1.jpg#0\ta square\nn1.jpg#1\ta red square\n")
    (tmp_path / "test.txt").write_text("n1\n")
    (found,) = evaluate_task(run, "flickr30k-caption", tmp_path, [0])
    assert found.metric == "CIDEr-D"


def test_what_cannot_be_asked_is_said(run: Path, science: Path, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot use demonstrations"):
        evaluate_task(run, "scienceqa", science, [4])
    with pytest.raises(UserError, match="a CuMo cannot do imagenet-classify") as error:
        evaluate_task(run, "imagenet-classify", science, [])
    assert "mmmu" in error.value.do and "msvd-caption" not in error.value.do
    with pytest.raises(UserError, match="a CuMo cannot do msvd-caption"):
        evaluate_task(run, "msvd-caption", science, [0])
    with pytest.raises(UserError, match="the language model reads at most 512"):
        evaluate_task(run, "scienceqa", science, [0], settings=["protocol.talk.tokens=600"])
    with pytest.raises(UserError, match=r"trained with data\.talk\.prompt=plain"):
        evaluate_task(run, "scienceqa", science, [0], settings=["data.talk.prompt=plain"])
    with pytest.raises(UserError, match="none is configured"):
        evaluate_task(run, "mm-vet", science, [0])


def test_pairs_are_right_where_both_are() -> None:
    def one(key: str, group: str) -> Example:
        return Example(key, Media("1.jpg"), choices=("x", "y"), label="A", group=group)

    said = [(one("1", "p"), "A"), (one("2", "p"), "(a)"), (one("3", "q"), "A"), (one("4", "q"), "B")]
    estimate, metric, chance, more = _right(said, True)
    assert (estimate.value, metric, chance) == (0.5, "accuracy of pairs, %", 25)
    assert more == {"each question": 75, "no choice named": 0}


@pytest.fixture
def vet(tmp_path: Path) -> Path:
    rows = {f"v1_{n}": {"imagename": f"v1_{n}.png", "question": f"What {n}?", "answer": str(n),
                        "capability": ["ocr"] if n else ["ocr", "math"]} for n in range(4)}  # fmt: skip
    for n in range(4):
        paint(tmp_path / "vet" / f"v1_{n}.png")
    (tmp_path / "vet/mm-vet.json").write_text(json.dumps(rows))
    return tmp_path / "vet"


def judged_by(server: CaptionServer) -> list[str]:
    settings = {"model": "judge", "base_url": server.url, "api_key_env": '""', "max_attempts": 2}
    return [f"protocol.judge.{key}={value}" for key, value in settings.items()] + ["protocol.talk.judged_tokens=3"]


def test_a_judge_grades_answers_and_is_paid_once(run: Path, vet: Path, tmp_path: Path) -> None:
    with CaptionServer() as server:
        server.write = lambda prompt: "1.0" if "What 0?" in prompt else "0.5, partly"
        settings = judged_by(server)
        (found,) = evaluate_task(run, "mm-vet", vet, [0], settings=settings, predictions=tmp_path / "said")
        assert found.score == pytest.approx(62.5)
        assert found.more == {"math": 100, "ocr": 62.5}
        assert found.metric == "marks of the judge, %"
        asked = len(server.bodies)
        assert asked == 4
        prompt = server.bodies[0]["messages"][-1]["content"]
        assert "The right answer" in prompt and "{" not in prompt
        (again,) = evaluate_task(run, "mm-vet", vet, [0], settings=settings, predictions=tmp_path / "said")
        assert again == found
        assert len(server.bodies) == asked


def test_a_judge_that_gives_no_marks_is_reported_and_asked_again(run: Path, vet: Path, tmp_path: Path) -> None:
    with CaptionServer() as server:
        server.write = lambda prompt: "I cannot say" if "What 3?" in prompt else "0.4"
        settings = judged_by(server)
        with pytest.raises(UserError, match="1 of 4"):
            evaluate_task(run, "mm-vet", vet, [0], settings=settings, predictions=tmp_path / "said")
        allowed = [*settings, "protocol.max_left_out=0.5"]
        (found,) = evaluate_task(run, "mm-vet", vet, [0], settings=allowed)
        assert (found.examples, found.left_out) == (3, 1)
        assert found.left_out_named == ("v1_3: the judge gave no marks: I cannot say",)
        before = len(server.bodies)
        server.write = lambda prompt: "0.8"
        (found,) = evaluate_task(run, "mm-vet", vet, [0], settings=settings, predictions=tmp_path / "said")
        assert len(server.bodies) == before + 1
        assert found.score == pytest.approx(50)


def test_a_judge_compares_with_a_reference(run: Path, tmp_path: Path) -> None:
    rows = [{"question_id": n, "image": f"{n}.jpg", "text": f"Name {n}?", "category": "conv" if n else "detail"}
            for n in range(3)]  # fmt: skip

    def lines(name: str, those: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("\n".join(map(json.dumps, those)))

    lines("questions.jsonl", rows)  # type: ignore[arg-type]
    lines("context.jsonl", [{"image": f"{n}.jpg", "caption": f"Scene {n}."} for n in range(3)])
    lines("answers_gpt4.jsonl", [{"question_id": n, "text": f"It is {n}."} for n in range(3)])
    for n in range(3):
        paint(tmp_path / f"{n}.jpg")
    with CaptionServer() as server:
        server.write = lambda prompt: "8 4\nbecause" if "Name 0?" in prompt else "10, 7.5"
        (found,) = evaluate_task(run, "llava-bench", tmp_path, [0], settings=judged_by(server))
        prompt = next(body["messages"][-1]["content"] for body in server.bodies if "Name 1?" in str(body))
    assert "Scene 1." in prompt and "It is 1." in prompt
    assert found.score == pytest.approx(100 * 19 / 28)
    assert found.more == {"conv": 75, "detail": 50}


def test_a_judge_without_a_key_is_named(run: Path, vet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    settings = ["protocol.judge.model=x", "protocol.judge.api_key_env=NO_SUCH_KEY", "protocol.talk.judged_tokens=2"]
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        evaluate_task(run, "mm-vet", vet, [0], settings=settings)


@pytest.mark.parametrize(
    ("rubric", "reply", "marks"),
    [("compared", "8 9.5 good", (8, 9.5)), ("compared", "7, 6", (7, 6)), ("compared", "11 3", ()),
     ("compared", "no", ()), ("graded", "0.3", (0.3,)), ("graded", "Score: 1.0", (1,)), ("graded", "7", ())],
)  # fmt: skip
def test_marks_are_read_from_replies(rubric: str, reply: str, marks: tuple[float, ...]) -> None:
    assert judge.RUBRICS[rubric].read(reply) == marks


def test_the_error_of_a_ratio_is_that_of_resampling() -> None:
    draw = np.random.default_rng(0)
    below = draw.uniform(6, 10, 400)
    above = 0.7 * below + draw.normal(0, 1, 400)
    found = ratio(list(above), list(below))
    picks = draw.integers(0, 400, (2000, 400))
    resampled = above[picks].sum(1) / below[picks].sum(1)
    assert found.value == pytest.approx(above.sum() / below.sum())
    assert found.error == pytest.approx(resampled.std(), rel=0.1)
