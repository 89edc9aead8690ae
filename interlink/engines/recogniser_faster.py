"""Whisper by faster-whisper (CTranslate2): fast, also on a CPU. Gives times for words.

Costs a model in memory per worker; large-v3 in int8 takes about the duration of the speech on one CPU core.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlink.engines.captioner import Identity
from interlink.engines.heard import Heard, Piece, cue_of
from interlink.engines.local import folder_revision, local_folder
from interlink.engines.present import importing, require_model, require_packages
from interlink.engines.recogniser import (
    WINDOW_SECONDS,
    Recogniser,
    RecogniserSettings,
    Utterance,
    unknown_language,
)
from interlink.errors import UserError
from interlink.media.audio import RATE

BLOCK = "transcribe.speech"
_WHO, _INSTALL = "the faster-whisper recogniser", "pip install 'interlink[speech]'"
FILES = ("model.bin", "config.json", "tokenizer.json")


class FasterWhisper(Recogniser):
    """One converted checkpoint."""

    def __init__(self, settings: RecogniserSettings) -> None:
        super().__init__(settings)
        self._model: Any = None

    @staticmethod
    def check(settings: RecogniserSettings) -> None:
        if _folder(settings.model) is None:
            require_model(settings.model, settings.revision, BLOCK)
        require_packages(_WHO, ("faster_whisper",), _INSTALL)

    def open(self) -> Identity:
        """Raises UserError where the package or the checkpoint is missing."""
        name = self.settings.model
        folder = _folder(name)
        with importing(_WHO, _INSTALL):
            from faster_whisper import WhisperModel
        precision = "default" if self.settings.precision == "auto" else self.settings.precision
        try:
            self._model = WhisperModel(
                name if folder is None else str(folder),
                device=self.settings.device,
                compute_type=precision,
                cpu_threads=self.settings.threads,
                revision=self.settings.revision or None,
            )
        except (OSError, ValueError, RuntimeError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(
                f"cannot load the recogniser {name!r}: {first}",
                f"check {BLOCK}.model: an accessible hub id, or a folder converted by ctranslate2",
            ) from error
        wanted = self.settings.language
        if wanted and wanted not in self._model.supported_languages:
            raise unknown_language(wanted, self._model.supported_languages)
        return Identity(
            engine="faster-whisper",
            model=name if folder is None else folder.name,
            revision=self.settings.revision if folder is None else folder_revision(folder),
            parameters={"beams": self.settings.beams, "precision": str(self._model.model.compute_type)},
        )

    def close(self) -> None:
        self._model = None

    def language_of(self, utterances: Sequence[Utterance]) -> str:
        if not self._model.model.is_multilingual:
            return "en"
        if self.settings.language:
            return str(self.settings.language)
        import numpy as np

        samples = np.concatenate([utterance.samples for utterance in utterances])
        language, _, _ = self._model.detect_language(samples, language_detection_segments=len(utterances))
        return str(language)

    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Heard]]:
        import numpy as np
        from faster_whisper import BatchedInferencePipeline

        # Each utterance gets a separate window, so that the window of a segment identifies its utterance.
        window = round(WINDOW_SECONDS * RATE)
        samples = np.zeros(len(utterances) * window, dtype=np.float32)
        for number, utterance in enumerate(utterances):
            samples[number * window : number * window + len(utterance.samples)] = utterance.samples
        spans = [
            {"start": number * WINDOW_SECONDS, "end": number * WINDOW_SECONDS + len(utterance.samples) / RATE}
            for number, utterance in enumerate(utterances)
        ]
        segments, _ = BatchedInferencePipeline(self._model).transcribe(
            samples,
            language=language or None,
            clip_timestamps=spans,
            batch_size=len(utterances),
            beam_size=self.settings.beams,
            temperature=0.0,
            word_timestamps=True,
        )
        heard: list[list[Heard]] = [[] for _ in utterances]
        for segment in segments:
            number = round(segment.seek / self._model.frames_per_second / WINDOW_SECONDS)
            heard[number].append(_heard(segment, number * WINDOW_SECONDS, utterances[number]))
        return heard


def _heard(segment: Any, window: float, utterance: Utterance) -> Heard:
    """A segment of the engine. window: the time that its times count from."""
    start = min(utterance.start + max(0.0, segment.start - window), utterance.end)
    end = min(utterance.start + segment.end - window, utterance.end)
    pieces: list[Piece] = [(word.word, word.start - window, word.end - window) for word in segment.words or ()]
    return Heard(
        start=round(start, 3),
        end=round(max(start, end), 3),
        cue=cue_of(pieces, utterance.start, utterance.end),
        no_speech=float(segment.no_speech_prob),
        logprob=float(segment.avg_logprob),
    )


def _folder(model: str) -> Path | None:
    """The folder of a model name, None for a hub id. Raises UserError where it has no converted checkpoint."""
    folder = local_folder(model, BLOCK)
    missing = [file for file in FILES if folder is not None and not (folder / file).is_file()]
    if missing:
        raise UserError(
            f"{model} is not a model of faster-whisper: {', '.join(missing)} is missing",
            f"convert it with ct2-transformers-converter --copy_files tokenizer.json, or change {BLOCK}.model",
        )
    return folder
