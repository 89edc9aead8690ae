"""Going on from a cache says what running the whole text would; beams find what Hugging Face's search finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.beams import beam_search
from cosmos_train.evaluate.decoder import begin, likelihoods
from cosmos_train.evaluate.generate import caption
from cosmos_train.families.cosmo.model import CosMo, Media
from cosmos_train.models.backends import transformers
from cosmos_train.stream.tokenizer import Tokenizer

Make = Callable[..., CosMo]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def clips(number: int, count: int) -> Tensor:
    """Latents (count, n, D) of media that nobody drew."""
    return torch.randn(count, 3, 32, generator=torch.Generator().manual_seed(number))


def prompts(tokenizer: Tokenizer) -> tuple[list[list[int]], list[Tensor]]:
    """Three prompts of different lengths with one, two and three media."""
    see, end = tokenizer.visual, tokenizer.end_of_chunk
    one = [tokenizer.begin, see, *tokenizer.encode("what colour is it")]
    two = [tokenizer.begin, see, *tokenizer.encode("a red square"), end, see, *tokenizer.encode("a")]
    three = [*two[:-2], see, *tokenizer.encode("a green dog lies left"), end, see]
    return [one, two, three], [clips(1, 1), clips(2, 2), clips(3, 3)]


def whole(model: CosMo, tokens: list[int], media: Tensor) -> Tensor:
    """Logits (L, V) of one row without padding or cache."""
    return model(torch.tensor([tokens]), media[None])[0][0]


@pytest.mark.parametrize("family", ["opt", "llama", "mistral", "gpt_neox", "qwen2"])
@pytest.mark.parametrize("attend", ["immediate", "all"])
def test_going_on_equals_running_the_whole_text(model_of: Make, tokenizer: Tokenizer, family: str, attend: str) -> None:
    """Given prompts of different lengths in one padded batch, the next tokens' logits are those of each row alone."""
    model = model_of(family, attend)
    rows, media = prompts(tokenizer)
    context = begin(model, rows, media, tokenizer.pad)
    for row, tokens, seen in zip(range(3), rows, media, strict=True):
        assert torch.allclose(context.logits[row], whole(model, tokens, seen)[-1], atol=1e-4)
    following = torch.tensor([[30, 40], [50, 60], [70, 80]])
    found = context.go_on(following[:, :1])
    found = torch.cat([found, context.go_on(following[:, 1:])], 1)
    for row, tokens, seen in zip(range(3), rows, media, strict=True):
        expected = whole(model, [*tokens, *following[row].tolist()], seen)[-2:]
        assert torch.allclose(found[row], expected, atol=1e-4)


def test_the_media_matter(model_of: Make, tokenizer: Tokenizer) -> None:
    model = model_of()
    rows, media = prompts(tokenizer)
    own = begin(model, rows, media, tokenizer.pad).logits
    other = begin(model, rows, [clips(9, len(one)) for one in media], tokenizer.pad).logits
    assert not torch.allclose(own, other, atol=1e-2)


@pytest.mark.parametrize("family", ["opt", "llama"])
@pytest.mark.parametrize(("beams", "penalty"), [(1, 0.0), (3, 0.0), (5, -2.0), (4, 1.0)])
def test_beams_find_what_hugging_face_finds(
    model_of: Make, tokenizer: Tokenizer, family: str, beams: int, penalty: float
) -> None:
    """Given shut gates, the language model is Hugging Face's own, and so must be its text; 8 prompts of each."""
    model = model_of(family, gate=0.0)
    plain = transformers().AutoModelForCausalLM.from_config(model.language.lm.config).eval()
    plain.load_state_dict(model.language.lm.state_dict())
    ended = 0
    for seed in range(8):
        draw = torch.Generator().manual_seed(seed)
        row = [tokenizer.begin, tokenizer.visual, *torch.randint(20, 300, (4,), generator=draw).tolist()]
        media = [clips(seed, 1)]
        freely = beam_search(begin(model, [row], media, tokenizer.pad), 1, 0.0, 8, ())[0]
        enders = (tokenizer.end_of_chunk, tokenizer.end, freely[3])  # one that will be said
        found = beam_search(begin(model, [row], media, tokenizer.pad), beams, penalty, 8, enders)[0]
        expected = plain.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), num_beams=beams,
            max_new_tokens=8, length_penalty=penalty, eos_token_id=list(enders), pad_token_id=tokenizer.pad,
            early_stopping="never" if beams > 1 else False, do_sample=False,
        )[0, len(row) :].tolist()  # fmt: skip
        cut = [number for number, token in enumerate(expected) if token in (*enders, tokenizer.pad)]
        assert found == expected[: cut[0] if cut else 8], seed
        ended += bool(cut)
    assert ended >= 2


def test_beams_of_a_batch_are_those_of_each_row_alone(model_of: Make, tokenizer: Tokenizer) -> None:
    model = model_of()
    rows, media = prompts(tokenizer)
    enders = (tokenizer.end_of_chunk, 45)
    together = beam_search(begin(model, rows, media, tokenizer.pad), 3, -1.0, 10, enders)
    alone = [
        beam_search(begin(model, [row], [seen], tokenizer.pad), 3, -1.0, 10, enders)[0]
        for row, seen in zip(rows, media, strict=True)
    ]
    assert together == alone


def test_a_token_that_must_not_be_said_is_not(model_of: Make, tokenizer: Tokenizer) -> None:
    model = model_of()
    rows, media = prompts(tokenizer)
    said = beam_search(begin(model, rows[:1], media[:1], tokenizer.pad), 1, 0.0, 6, ())[0]
    other = beam_search(begin(model, rows[:1], media[:1], tokenizer.pad), 1, 0.0, 6, (), never=(said[0],))[0]
    assert said[0] not in other


def test_likelihoods_of_continuations_are_those_of_the_whole_text(model_of: Make, tokenizer: Tokenizer) -> None:
    model = model_of()
    rows, media = prompts(tokenizer)
    choices = [[60, 61, 62], [60], [63, 64]]
    found = likelihoods(begin(model, rows, media, tokenizer.pad), choices, tokenizer.pad)
    for row, tokens, seen in zip(found, rows, media, strict=True):
        for said, choice in zip(row, choices, strict=True):
            likely = whole(model, [*tokens, *choice], seen).log_softmax(-1)
            expected = [float(likely[len(tokens) - 1 + i, token]) for i, token in enumerate(choice)]
            assert said.tolist() == pytest.approx([*expected, *[0.0] * (3 - len(choice))], abs=1e-4)


def test_a_prompt_longer_than_the_model_reads_is_refused(model_of: Make, tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="257 tokens, but the language model reads at most 256"):
        begin(model_of(), [[tokenizer.begin, tokenizer.visual, *[50] * 255]], [clips(0, 1)], tokenizer.pad)


def test_a_caption_holds_words_alone(model_of: Make, tokenizer: Tokenizer) -> None:
    media = Media(torch.stack([clips(1, 2), clips(2, 2)]), torch.zeros(4, 32))
    for beams in (1, 3):
        said = caption(model_of(), tokenizer, media, 12, beams)
        assert len(said) == 2
        assert not any("<" in one for one in said)
