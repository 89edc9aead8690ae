"""Language models by name or from a config, and the same without weights, to count and to plan.

By name costs a download, or reading a local folder; without weights nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from cosmos_train.errors import UserError
from cosmos_train.models.backends import transformers
from cosmos_train.models.settings import LanguageSettings


class Vocabulary(Protocol):
    """Of a tokenizer, what a model needs: how many tokens there are, and the ids of the special ones."""

    @property
    def size(self) -> int: ...
    @property
    def begin(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def pad(self) -> int: ...
    @property
    def visual(self) -> int: ...
    @property
    def end_of_chunk(self) -> int: ...


@dataclass(frozen=True)
class PlannedVocabulary:
    """Stands for the tokenizer of a model that is only planned: our tokens follow those its config has."""

    size: int
    begin: int = 0
    end: int = 0
    pad: int = 0

    @classmethod
    def of(cls, settings: LanguageSettings) -> PlannedVocabulary:
        words = int(settings.config.get("vocab_size", settings.vocabulary))
        return cls(words + 2 if settings.name else words)

    @property
    def visual(self) -> int:
        return self.size - 2

    @property
    def end_of_chunk(self) -> int:
        return self.size - 1


def build_lm(settings: LanguageSettings, vocabulary: Vocabulary, weights: bool = True) -> Any:
    """The Hugging Face causal LM the settings name, with a row for every token. UserError where it cannot be made.

    weights=False: built from `config` alone, whatever `name` says; its numbers are then drawn, or absent on `meta`.
    """
    dtype = getattr(torch, settings.dtype)
    lm = _by_name(settings, dtype) if settings.name and weights else _from_config(settings, vocabulary, dtype)
    if lm.get_input_embeddings().num_embeddings < vocabulary.size:
        lm.resize_token_embeddings(vocabulary.size, mean_resizing=False)
    return lm


def _by_name(settings: LanguageSettings, dtype: torch.dtype) -> Any:
    try:
        lm = transformers().AutoModelForCausalLM.from_pretrained(
            settings.name, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load the language model {settings.name}: {error}",
            "name a hub id that is at hand, or a local folder",
        ) from error
    for key, value in settings.config.items():
        if getattr(lm.config, key, None) != value:
            found = getattr(lm.config, key, None)
            raise UserError(
                f"{settings.name} has {key} {found!r}, the recipe expects {value!r}",
                "give the model that the recipe means, or correct model.language.config",
                2,
            )
    return lm


def _from_config(settings: LanguageSettings, vocabulary: Vocabulary, dtype: torch.dtype) -> Any:
    library = transformers()
    fields = dict(settings.config)
    family = fields.pop("model_type", "opt")
    # The released weights' config knows its own special tokens; one from scratch gets ours.
    ids = {"bos_token_id": vocabulary.begin, "eos_token_id": vocabulary.end, "pad_token_id": vocabulary.pad}
    defaults = {} if settings.name else {"vocab_size": vocabulary.size, **ids}
    try:
        config = library.AutoConfig.for_model(family, **defaults | fields)
        return library.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"model.language.config: {error}", "its keys are the fields of the family's Hugging Face config", 2
        ) from error
