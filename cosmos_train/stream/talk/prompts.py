"""Turns of a conversation as tokens: the text around them, and which tokens are learned.

The versions equal those of LLaVA and CuMo (their `conversation.py` and `train.py`), including spaces:
docs/how-to/evaluate.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cosmos_train.stream.talk.settings import Prompt, TalkSettings
from cosmos_train.stream.tokenizer import Tokenizer

IMAGE = "<image>"  # marks a picture in a text, in LLaVA's format
_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True)
class Turn:
    asked: str
    answered: str


@dataclass(frozen=True)
class TokenizedTurns:
    """ids of a sample, and which of them are learned: answers and their end marker."""

    ids: list[int]
    learned: list[bool]


def _pieces(turns: Sequence[Turn], prompt: Prompt) -> Iterator[tuple[str, str]]:
    """(text before an answer, answer with its end marker but without the end token) of each turn."""
    for number, turn in enumerate(turns):
        if prompt == "plain":
            yield IMAGE if IMAGE in turn.asked else "", turn.answered + "\n"
        elif prompt == "vicuna_v1":
            yield (
                f"{_SYSTEM} USER: {turn.asked} ASSISTANT:" if not number else f"USER: {turn.asked} ASSISTANT:",
                turn.answered,
            )
        else:
            with_system = not number and prompt == "mistral_instruct_system"
            system = f"<<SYS>>\n{_SYSTEM}\n<</SYS>>\n\n" if with_system else ""
            yield f"[INST] {system}{turn.asked} [/INST]", turn.answered + " "


def tokenize_turns(turns: Sequence[Turn], tokenizer: Tokenizer, settings: TalkSettings, longest: int) -> TokenizedTurns:
    """`<begin>` and each turn, cut at `longest` ids; a picture is `image_tokens` times `<visual>`, not learned.

    Raises ValueError if no answer would be left to learn, or a picture would be cut.
    """
    ids, learned = [tokenizer.begin], [False]
    for before, answer in _pieces(turns, settings.prompt):
        ids += _placed(before, tokenizer, settings)
        learned += [False] * (len(ids) - len(learned))
        ids += [*tokenizer.encode(tokenizer.without_markers(answer).replace(IMAGE, " ")), tokenizer.end]
        learned += [True] * (len(ids) - len(learned))
    if tokenizer.visual in ids[longest:]:
        raise ValueError(f"its picture does not fit in data.max_tokens={longest}")
    if not any(learned[:longest]):
        raise ValueError(f"no answer is left within data.max_tokens={longest}")
    return TokenizedTurns(ids[:longest], learned[:longest])


def tokenize_question(asked: str, tokenizer: Tokenizer, settings: TalkSettings) -> list[int]:
    """`<begin>` and the text before the answer to a first question, as in training."""
    before, _ = next(_pieces((Turn(asked, ""),), settings.prompt))
    return [tokenizer.begin, *_placed(before, tokenizer, settings)]


def _placed(before: str, tokenizer: Tokenizer, settings: TalkSettings) -> list[int]:
    """Ids of the text before an answer, with `<visual>` once for each token of a picture."""
    ids: list[int] = []
    for number, text in enumerate(tokenizer.without_markers(before).split(IMAGE)):
        if number:
            ids += [tokenizer.visual] * settings.image_tokens
        ids += tokenizer.encode(text) if text else []
    return ids
