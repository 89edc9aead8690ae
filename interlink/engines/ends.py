"""Sentence ends by a token classifier of transformers that restores punctuation, for any language it knows.

Costs a model in memory per worker, and a pass over the words of speech without punctuation. Only safetensors weights
are loaded, no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from interlink.engines.place import Place, check_place
from interlink.errors import UserError
from interlink.settings import Settings, operational

WHERE = "transcribe.restore"
WINDOW, CONTEXT = 160, 32  # words judged at once, and those on either side of them that only give context
ENDS = (".", "?", "!", "。", "？", "！", "PERIOD", "QUESTION", "EXCLAMATION", "FULLSTOP", "EOS")


class RestoreSettings(Settings):
    """A checkpoint that restores the punctuation of speech without any; empty = pauses and word lists."""

    model: str = Field("", description="hub id or folder of a token classifier with labels such as . ? , 0")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    threshold: float = Field(0.5, gt=0, lt=1, description="least probability of a sentence end after a word")
    device: str = operational("auto", "cpu, cuda; auto = cuda if available")


class SentenceEnds:
    """One checkpoint. Call it with words to get the indices of those that begin a sentence, without the first."""

    def __init__(self, settings: RestoreSettings) -> None:
        self._settings = settings
        self._model: Any = None
        self._tokenizer: Any = None
        self._ends: list[int] = []

    @staticmethod
    def check(settings: RestoreSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, WHERE)

    def open(self) -> None:
        """Raises UserError where the checkpoint is missing, is no token classifier, or has no label of an end."""
        settings = self._settings
        place = Place.of(settings.model, settings.revision, settings.device, "auto", WHERE)
        remedy = f"check {WHERE}.model: an accessible hub id, or a folder of a token classifier with safetensors"
        with place.loading("the token classifier", remedy):
            from transformers import AutoModelForTokenClassification, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(place.source, **place.options)
            model, loading = AutoModelForTokenClassification.from_pretrained(
                place.source, dtype=place.dtype, use_safetensors=True, output_loading_info=True, **place.options
            )
        if missing := sorted(loading["missing_keys"]):
            raise UserError(f"{place.name} has no classification head: it has no {missing[0]}", remedy)
        if not tokenizer.is_fast:
            raise UserError(f"{place.name} has a tokenizer that does not tell words apart", remedy)
        labels = {int(number): str(label) for number, label in model.config.id2label.items()}
        self._ends = [number for number, label in labels.items() if any(end in label.upper() for end in ENDS)]
        if not self._ends:
            raise UserError(
                f"{place.name} has no label of a sentence end, but {', '.join(sorted(labels.values())[:8])}", remedy
            )
        self._model, self._tokenizer = model.to(place.device).eval(), tokenizer

    def close(self) -> None:
        self._model = self._tokenizer = None

    def __call__(self, words: Sequence[str]) -> list[int]:
        found: list[int] = []
        for first in range(0, len(words), WINDOW):
            begin, end = max(0, first - CONTEXT), min(len(words), first + WINDOW + CONTEXT)
            likely = self._likely(list(words[begin:end]))
            found += [
                number + 1
                for number in range(first, min(first + WINDOW, len(words) - 1))
                if likely[number - begin] >= self._settings.threshold
            ]
        return found

    def _likely(self, words: list[str]) -> list[float]:
        """The probability of a sentence end after each word, as its last token tells."""
        import torch

        given = self._tokenizer(words, is_split_into_words=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(**given.to(self._model.device)).logits[0].float()
        ends = logits.softmax(-1)[:, self._ends].sum(-1).tolist()
        likely = [0.0] * len(words)
        for token, word in enumerate(given.word_ids(0)):
            if word is not None:
                likely[word] = ends[token]
        return likely
