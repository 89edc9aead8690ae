"""A CuMo under evaluation: answers one question about one picture, in the prompt version of its training, by beams.

Costs the tower per picture, the prompt once, then one token's pass per token and beam, by the LM's cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.evaluate.beams import beam_search
from cosmos_train.evaluate.decoder import positions
from cosmos_train.evaluate.generate import ends, never_said
from cosmos_train.evaluate.media import Unreadable, look
from cosmos_train.evaluate.readers.folder import DataFolder, Media
from cosmos_train.evaluate.subject import evaluating
from cosmos_train.families.cumo.model import CuMo
from cosmos_train.models.backends import transformers
from cosmos_train.recipe import Recipe
from cosmos_train.stream.decode import decode_exactly
from cosmos_train.stream.talk.corpus import squared
from cosmos_train.stream.talk.prompts import IMAGE, tokenize_question
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.parallel import device_of
from cosmos_train.train.starting import load_any

_READERS = 8  # threads that decode, at most

Pixels = NDArray[np.uint8]  # (3, S, S)


@dataclass
class _Context:
    """N rows to continue, as `decoder.Context` without media: these are tokens like any other."""

    lm: Any
    logits: Tensor
    mask: Tensor
    length: Tensor
    cache: Any

    def pick(self, rows: Tensor) -> None:
        self.logits, self.mask, self.length = self.logits[rows], self.mask[rows], self.length[rows]
        self.cache.reorder_cache(rows)

    def go_on(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[1]
        self.mask = torch.nn.functional.pad(self.mask, (0, count), value=True)
        found: Tensor = self.lm(
            input_ids=tokens,
            attention_mask=self.mask.long(),
            position_ids=self.length + torch.arange(count, device=tokens.device),
            past_key_values=self.cache,
            use_cache=True,
        ).logits
        self.length = self.length + count
        self.logits = found[:, -1]
        return found


@dataclass(frozen=True)
class Talker:
    """checkpoint, step: the source of the weights, for the record."""

    model: CuMo
    tokenizer: Tokenizer
    recipe: Recipe
    device: torch.device
    checkpoint: str = ""
    step: int = 0

    def asked(self) -> AbstractContextManager[None]:
        return evaluating(self.model, self.recipe, self.device)

    def see(self, data: DataFolder, media: Sequence[Media]) -> list[Pixels | Unreadable]:
        """Decodes pictures for the model, or returns the error of reading them."""
        with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
            return list(readers.map(lambda one: self._look(data, one), media))

    def tokenize(self, question: str) -> list[int]:
        """Token ids of the prompt of a question about one picture."""
        return tokenize_question(f"{IMAGE}\n{question.replace(IMAGE, ' ')}", self.tokenizer, self.recipe.data.talk)

    def check_length(self, tokens: int) -> None:
        """Raises UserError (code 2) if this many tokens exceed the language model's context."""
        most = getattr(self.model.lm.config, "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise UserError(
                f"a question and its answer take up to {tokens} tokens, but the language model reads at most {most}",
                "allow shorter answers: --set protocol.talk.tokens=…, protocol.talk.judged_tokens=…",
                2,
            )

    def answer(
        self, pictures: Sequence[Pixels], prompts: Sequence[Sequence[int]], tokens: int, beams: int = 1
    ) -> list[str]:
        """The answer to each prompt, with its picture at its `<visual>` tokens. Inside `asked()`."""
        context = self._begin(pictures, prompts)
        found = beam_search(context, beams, 0.0, tokens, ends(self.tokenizer), never_said(self.tokenizer))
        return [self.tokenizer.decode(ids) for ids in found]

    def _begin(self, pictures: Sequence[Pixels], prompts: Sequence[Sequence[int]]) -> _Context:
        width = max(len(prompt) for prompt in prompts)
        tokens = torch.full((len(prompts), width), self.tokenizer.pad, dtype=torch.long)
        mask = torch.zeros(len(prompts), width, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            tokens[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = True
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        frames = torch.from_numpy(np.stack(pictures)).to(self.device)
        lm: Any = self.model.lm
        cache = transformers().DynamicCache(config=lm.config)
        found = lm(
            inputs_embeds=self.model.embedded(frames, tokens),
            attention_mask=mask.long(),
            position_ids=positions(mask),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return _Context(lm, found.logits[:, -1], mask, mask.sum(1, keepdim=True), cache)

    def _look(self, data: DataFolder, media: Media) -> Pixels | Unreadable:
        path = data.media(media.name)
        if path is None:
            return Unreadable(f"{media.name} is not in {data.root}")
        try:
            frames, _ = look(path, media, 1, decode_exactly)
        except Unreadable as error:
            return error
        return squared(frames[0], self.recipe.data.image.size, self.recipe.data.talk.pad)


def load_talker(path: Path, settings: list[str]) -> Talker:
    """Loads the CuMo at `path` with `key=value` changes to its recipe. Raises UserError if it is not one.

    A model of stage 1 (prompt `plain`) has never read a question, so benchmarks with questions refuse it.
    """
    trained, model = load_any(path)
    if not isinstance(model, CuMo):
        raise UserError(f"{path} is not a CuMo", "give the checkpoint of a CuMo", 2)
    recipe = recipes.build(trained.recipe.model_dump(), settings, str(trained.folder))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    device = device_of(recipe)
    return Talker(model.to(device).eval(), trained.tokenizer, recipe, device, str(trained.folder), trained.step)
