"""Whisper by transformers: any saved Whisper checkpoint, including distilled and fine-tuned ones.

Words have times if the checkpoint names its alignment heads; otherwise only phrases have. Costs a model in memory per
worker, and one more pass of the decoder over its answers, which gives the probabilities. Never runs code of a
checkpoint.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from interlink.engines.captioner import Identity
from interlink.engines.heard import Heard, Piece, cue_of
from interlink.engines.place import Place, check_place
from interlink.engines.recogniser import Recogniser, RecogniserSettings, Utterance, unknown_language
from interlink.errors import UserError
from interlink.media.audio import RATE
from interlink.subtitles.cues import Cue

BLOCK = "transcribe.speech"
NO_SPEECH = ("<|nospeech|>", "<|nocaptions|>")  # the token, as old and new tokenizers name it
# A word with the space before it; in scripts without spaces, at least a sentence with its end.
PIECE = re.compile(r"\s*(?:[^\s。！？]+[。！？]*|[。！？]+)")


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

        with torch.inference_mode():
            numbers = Counter(self._pipeline.model.detect_language(self._features(utterances)).tolist())
        names = {number: name for name, number in self._languages.items()}
        # The most frequent; with ties, the first one.
        return names[max(numbers, key=lambda number: numbers[number])]

    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Heard]]:
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
        sure = self._probabilities(utterances, [answer["text"] for answer in answers], language)
        return [
            [Heard(utterance.start, round(utterance.end, 3), self._cue(utterance, answer), *measures)]
            for utterance, answer, measures in zip(utterances, answers, sure, strict=True)
        ]

    def _cue(self, utterance: Utterance, answer: dict[str, Any]) -> Cue | None:
        chunks = answer.get("chunks") or [{"text": answer["text"], "timestamp": (None, None)}]
        pieces: list[Piece] = []
        for chunk in chunks:
            start, end = chunk["timestamp"]
            if self._word_times:
                pieces.append((chunk["text"], start, end))
            else:  # the first word gets the phrase's start; the others divide the rest
                pieces += [
                    (word, start if number == 0 else None, None)
                    for number, word in enumerate(PIECE.findall(chunk["text"]))
                ]
        return cue_of(pieces, utterance.start, utterance.end)

    def _probabilities(
        self, utterances: Sequence[Utterance], texts: Sequence[str], language: str
    ) -> list[tuple[float | None, float]]:
        """(probability of no speech, mean log probability of the text's tokens) of each utterance."""
        import torch

        model, tokenizer = self._pipeline.model, self._pipeline.tokenizer
        generation, end = model.generation_config, tokenizer.eos_token_id
        prompt = [model.config.decoder_start_token_id]
        if self._languages:
            prompt += [self._languages[language], generation.task_to_id["transcribe"]]
        if (plain := getattr(generation, "no_timestamps_token_id", None)) is not None:
            prompt.append(plain)
        most = model.config.max_target_positions - len(prompt) - 1
        answers = [[*tokenizer(text, add_special_tokens=False).input_ids[:most], end] for text in texts]
        longest = max(len(answer) for answer in answers)
        rows = [[*prompt, *answer[:-1], *[end] * (longest - len(answer))] for answer in answers]
        with torch.inference_mode():
            given = torch.tensor(rows, device=model.device)
            logits = model(input_features=self._features(utterances), decoder_input_ids=given).logits.float()
            likely = logits.log_softmax(-1).cpu()
        known = tokenizer.get_vocab()
        silent = next((known[name] for name in NO_SPEECH if name in known), None)
        found: list[tuple[float | None, float]] = []
        for number, answer in enumerate(answers):
            own = likely[number, len(prompt) - 1 : len(prompt) - 1 + len(answer)]
            mean = float(own[range(len(answer)), answer].mean())
            found.append((None if silent is None else float(likely[number, 0, silent].exp()), mean))
        return found

    def _features(self, utterances: Sequence[Utterance]) -> Any:
        """(utterances, mel bins, frames) of the sound, where the model is."""
        samples = [utterance.samples for utterance in utterances]
        found = self._pipeline.feature_extractor(samples, sampling_rate=RATE, return_tensors="pt").input_features
        return found.to(self._pipeline.model.device, self._pipeline.model.dtype)


def _languages(generation: Any) -> dict[str, int]:
    if not getattr(generation, "is_multilingual", True):
        return {}
    return {name.strip("<|>"): int(number) for name, number in (getattr(generation, "lang_to_id", None) or {}).items()}
