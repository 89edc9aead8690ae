"""Language models by name or from a config, and the same without weights, for counting and planning.

By name it costs a download, or reading a local folder; without weights nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from cosmos_train.errors import UserError
from cosmos_train.models.backends import transformers
from cosmos_train.models.settings import LanguageSettings


class Vocabulary(Protocol):
    """What a model needs of a tokenizer: the number of tokens, and the ids of the special ones."""

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
    """Replaces the tokenizer of a model that is only planned: our tokens follow those of its config."""

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
    """The Hugging Face causal LM of the settings, with a row for every token. UserError if it cannot be made.

    weights=False: built from `config`, even if there is a `name`; its weights are drawn, or absent on `meta`.
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
            "give a hub id that is available, or a local folder",
        ) from error
    for key, value in settings.config.items():
        if getattr(lm.config, key, None) != value:
            found = getattr(lm.config, key, None)
            raise UserError(
                f"{settings.name} has {key} {found!r}, model.language.config says {value!r}",
                "give the right model, or correct model.language.config",
                2,
            )
    return lm


def _from_config(settings: LanguageSettings, vocabulary: Vocabulary, dtype: torch.dtype) -> Any:
    library = transformers()
    fields = dict(settings.config)
    family = fields.pop("model_type", "opt")
    # The config of released weights has its special tokens; a config from scratch gets ours.
    ids = {"bos_token_id": vocabulary.begin, "eos_token_id": vocabulary.end, "pad_token_id": vocabulary.pad}
    defaults = {} if settings.name else {"vocab_size": vocabulary.size, **ids}
    try:
        config = library.AutoConfig.for_model(family, **defaults | fields)
        return library.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"model.language.config: {error}", "its keys are the fields of the family's Hugging Face config", 2
        ) from error
