"""What the model is shown: the paper's prompts token by token, demonstrations that depend on nothing but their seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos_train.errors import UserError
from cosmos_train.evaluate import protocol as protocols
from cosmos_train.evaluate.prompts import RandomDemonstrations, Writer, draw
from cosmos_train.evaluate.protocol import BUNDLED, Protocol
from cosmos_train.evaluate.readers.folder import Example, Media
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.stream.tokenizer import Tokenizer

COSMO = BUNDLED["cosmo"]


def example(number: int) -> Example:
    return Example(
        str(number), Media(f"{number}.jpg"), references=(f"a red dog {number}",), question=f"what is it {number}?",
        answers=(("cat",), ("a dog",), ("a dog",)), text="white people", label="yes" if number % 2 else "no",
    )  # fmt: skip


def said(tokenizer: Tokenizer, tokens: tuple[int, ...]) -> str:
    return tokenizer.backend.decode(list(tokens), skip_special_tokens=False).replace(" <", "<").replace("> ", ">")


def test_the_papers_caption_prompt(tokenizer: Tokenizer) -> None:
    writer = Writer(TASKS["coco-caption"], COSMO, tokenizer)
    prompt = writer.write(example(9), [example(1), example(2)], shots=2)
    assert said(tokenizer, prompt.tokens) == (
        "<s><visual>Output:a red dog 1<|endofchunk|><visual>Output:a red dog 2<|endofchunk|><visual>Output:"
    )
    assert [one.id for one in prompt.media] == ["1", "2", "9"]


def test_zero_shots_keep_two_texts_and_no_pictures(tokenizer: Tokenizer) -> None:
    writer = Writer(TASKS["coco-caption"], COSMO, tokenizer)
    assert writer.demonstrations(0) == 2
    prompt = writer.write(example(9), [example(1), example(2)], shots=0)
    assert said(tokenizer, prompt.tokens) == (
        "<s>Output:a red dog 1<|endofchunk|>Output:a red dog 2<|endofchunk|><visual>Output:"
    )
    assert [one.id for one in prompt.media] == ["9"]
    assert Writer(TASKS["msvd-qa"], COSMO, tokenizer).demonstrations(0) == 0
    assert Writer(TASKS["coco-caption"], Protocol(), tokenizer).demonstrations(0) == 0


def test_the_papers_question_prompt(tokenizer: Tokenizer) -> None:
    writer = Writer(TASKS["okvqa"], COSMO, tokenizer)
    prompt = writer.write(example(9), [example(1)], shots=1)
    assert said(tokenizer, prompt.tokens) == (
        "<s><visual>Question:what is it 1? Short answer:cat<|endofchunk|><visual>Question:what is it 9? Short answer:"
    )
    assert "Short answer: a dog" in said(
        tokenizer, Writer(TASKS["okvqa"], Protocol(), tokenizer).write(example(9), [example(1)], 1).tokens
    )


def test_a_meme_is_asked_for_its_labels(tokenizer: Tokenizer) -> None:
    writer = Writer(TASKS["hateful-memes"], COSMO, tokenizer)
    prompt = writer.write(example(9), [example(1)], shots=1)
    text = "<visual>is an image with: 'white people' written on it. Is it hateful? Answer:"
    assert said(tokenizer, prompt.tokens) == f"<s>{text}yes<|endofchunk|>{text}"
    assert [tokenizer.decode(list(label)) for label in prompt.labels] == ["no", "yes"]


def test_words_of_a_question_are_never_special(tokenizer: Tokenizer) -> None:
    """A question that says {answer} is asked as it is."""
    odd = Example("1", Media("1.jpg"), question="is {answer} a word?", answers=(("yes",),))
    prompt = Writer(TASKS["okvqa"], Protocol(), tokenizer).write(odd, [], 0)
    assert "is {answer} a word?" in said(tokenizer, prompt.tokens)


def test_demonstrations_depend_on_the_seed_and_the_example_alone() -> None:
    training = [example(n) for n in range(50)]
    one = RandomDemonstrations(training, 20, 42)
    two = RandomDemonstrations(training, 20, 42)
    assert len(one.query_set) == 20
    two.choose(example(99), 4)
    assert one.choose(example(7), 4) == two.choose(example(7), 4)
    assert one.choose(example(7), 4) != one.choose(example(8), 4)
    assert RandomDemonstrations(training, 20, 43).query_set != one.query_set
    everything = RandomDemonstrations(training, 0, 42).choose(example(7), 49)
    assert example(7) not in everything
    assert len({found.id for found in everything}) == 49


def test_a_draw_keeps_the_order() -> None:
    training = [example(n) for n in range(50)]
    ids = [int(one.id) for one in draw(training, 10, 1)]
    assert ids == sorted(ids)
    assert draw(training, 0, 1) == draw(training, 99, 1) == training


def test_a_protocol_is_a_file_with_what_differs(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("beams: 2\nprompts: {caption: '<visual>Say: {answer}'}\n")
    found = protocols.load(str(tmp_path / "mine.yaml"), ["seed=7", "prompts.retrieval='{text}'"])
    assert (found.name, found.beams, found.seed, found.prompts.caption) == ("mine", 2, 7, "<visual>Say: {answer}")
    assert found.prompts.retrieval == "{text}"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (["beems=3"], "beems"),
        (["prompts.caption=say it"], "prompts.caption"),
        (["prompts.question=<visual>{question}"], "prompts.question"),
        (["beams=0"], "beams"),
    ],
)
def test_a_wrong_protocol_is_refused(settings: list[str], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        protocols.load("cosmo", settings)
    with pytest.raises(UserError, match="there is no protocol nonsense"):
        protocols.load("nonsense", [])
