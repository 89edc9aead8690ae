"""Whisper by transformers: any saved Whisper checkpoint, including distilled and fine-tuned ones.

Words have times if the checkpoint names its alignment heads; otherwise only phrases have. Costs a model in memory per
worker. Never runs code of a checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from interlink.engines.captioner import Identity
from interlink.engines.place import Place, check_place
from interlink.engines.recogniser import Recogniser, RecogniserSettings, Utterance, cue_of_words, unknown_language
from interlink.errors import UserError
from interlink.media.audio import RATE
from interlink.subtitles.cues import Cue

BLOCK = "transcribe.speech"


class TransformersWhisper(Recogniser):
    """One checkpoint."""

    def __init__(self, settings: RecogniserSettings) -> None:
        super().__init__(settings)
        self._pipeline: Any = None
        self._word_times = False
        self._languages: dict[str, int] = {}  # two letters -> token; empty: an English-only checkpoint

    @staticmethod
    def check(settings: RecogniserSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, BLOCK)

    def open(self) -> Identity:
        """Raises UserError where the package or the checkpoint is missing, or the checkpoint is not a Whisper."""
        given = self.settings
        place = Place.of(given.model, given.revision, given.device, given.precision, BLOCK)
        import torch
        from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor, pipeline

        torch.set_num_threads(given.threads)
        with place.loading(
            "the recogniser", f"check {BLOCK}.model: an accessible hub id, or a folder of a Whisper model"
        ):
            processor = AutoProcessor.from_pretrained(place.source, **place.options)
            model = AutoModelForSpeechSeq2Seq.from_pretrained(place.source, dtype=place.dtype, **place.options)
            model = model.to(place.device).eval()
        if model.config.model_type != "whisper":
            raise UserError(
                f"{given.model!r} is a {model.config.model_type}, not a Whisper",
                f"set {BLOCK}.model to a Whisper model",
            )
        self._languages = _languages(model.generation_config)
        if given.language and given.language not in (self._languages or {"en": 0}):
            raise unknown_language(given.language, self._languages or {"en": 0})
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        self._pipeline = pipeline(
            "automatic-speech-recognition",
            model=model,
            tokenizer=processor.tokenizer,
            feature_extractor=processor.feature_extractor,
        )
        self._word_times = bool(getattr(model.generation_config, "alignment_heads", None))
        return Identity(
            engine="transformers",
            model=place.name,
            revision=place.revision(model),
            parameters={
                "beams": self.settings.beams,
                "precision": str(next(model.parameters()).dtype).removeprefix("torch."),
                "word_times": self._word_times,
            },
        )

    def close(self) -> None:
        self._pipeline = None

    def language_of(self, utterances: Sequence[Utterance]) -> str:
        if self.settings.language or not self._languages:
            return self.settings.language or "en"
        import torch

        model = self._pipeline.model
        features = self._pipeline.feature_extractor(
            [utterance.samples for utterance in utterances], sampling_rate=RATE, return_tensors="pt"
        ).input_features.to(model.device, model.dtype)
        with torch.inference_mode():
            numbers = Counter(model.detect_language(features).tolist())
        names = {number: name for name, number in self._languages.items()}
        # The most frequent; with ties, the first one.
        return names[max(numbers, key=lambda number: numbers[number])]

    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Cue]]:
        generation = self._pipeline.model.generation_config
        ask: dict[str, Any] = {"num_beams": self.settings.beams, "do_sample": False}
        if self._languages:
            ask |= {"language": language, "task": "transcribe"}
        has_times = getattr(generation, "no_timestamps_token_id", None) is not None
        answers = self._pipeline(
            [{"raw": utterance.samples, "sampling_rate": RATE} for utterance in utterances],
            batch_size=len(utterances),
            return_timestamps="word" if self._word_times else has_times,
            generate_kwargs=ask,
        )
        return [self._cues(utterance, answer) for utterance, answer in zip(utterances, answers, strict=True)]

    def _cues(self, utterance: Utterance, answer: dict[str, Any]) -> list[Cue]:
        chunks = answer.get("chunks") or [{"text": answer["text"], "timestamp": (None, None)}]
        timed_words: list[tuple[str, float | None, float | None]] = []
        for chunk in chunks:
            start, end = chunk["timestamp"]
            if self._word_times:
                timed_words.append((chunk["text"], start, end))
            else:  # the first word gets the phrase's start; the others divide the rest
                timed_words += [
                    (word, start if number == 0 else None, None) for number, word in enumerate(chunk["text"].split())
                ]
        cue = cue_of_words(utterance, timed_words)
        return [cue] if cue is not None else []


def _languages(generation: Any) -> dict[str, int]:
    if not getattr(generation, "is_multilingual", True):
        return {}
    return {name.strip("<|>"): int(number) for name, number in (getattr(generation, "lang_to_id", None) or {}).items()}
