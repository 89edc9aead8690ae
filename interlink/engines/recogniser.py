"""The base class of speech recognisers: batches of speech in, words with times and the engine's own doubt out.

Imports nothing heavy: an engine imports its libraries in `open`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.engines.heard import Heard, KeepSettings
from interlink.errors import StageError, UserError
from interlink.plugins import Group
from interlink.settings import Settings, added, operational
from interlink.stage import Resources

if TYPE_CHECKING:
    from interlink.media.audio import Samples

# name -> module:Class
RECOGNISERS: dict[str, str] = {
    "faster-whisper": "interlink.engines.recogniser_faster:FasterWhisper",
    "transformers": "interlink.engines.recogniser_transformers:TransformersWhisper",
}
GROUP = Group("", "recogniser", RECOGNISERS, "interlink.engines.recogniser:Recogniser", also=("none",))
WINDOW_SECONDS = 30.0  # input length of Whisper
PEAK, GAIN = 0.5, 10.0  # amplitude that quiet speech is brought to, and the most it is multiplied by
UNHEARD = 2.5  # seconds without a word at the end of a stretch from which they are recognised once more


class RecogniserSettings(Settings):
    """A Whisper checkpoint, and its decoding."""

    model: str = Field("", description="hub id, or a local folder (for faster-whisper: converted by ctranslate2)")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    language: str = Field("", description="two letters of the spoken language; empty = detected from the speech")
    beams: int = Field(5, ge=1, description="beams of the search; 1 = greedy, faster and less right")
    precision: str = Field(
        "auto",
        description="number type: float32, float16, bfloat16; faster-whisper also int8 and similar; auto = as saved",
    )
    keep: KeepSettings = added(KeepSettings(), "thresholds that keep invented text out")
    device: str = operational("auto", "cpu, cuda; auto = cuda if available (with Ray, set cuda to reserve a GPU)")
    batch_size: int = operational(8, "stretches of speech per batch; halved automatically when memory runs out", ge=1)
    threads: int = operational(1, "CPU threads of one worker", ge=1)


@dataclass(frozen=True)
class Utterance:
    """A stretch of speech: float32 samples at 16 kHz, at most 30 s. start: seconds, in the container's clock."""

    start: float
    samples: Samples

    @property
    def end(self) -> float:
        from interlink.media.audio import RATE

        return self.start + len(self.samples) / RATE


class Recogniser(Engine):
    """A speech recogniser. Use `recognise` to feed it."""

    settings_class: ClassVar[type[Settings] | None] = RecogniserSettings

    def __init__(self, settings: RecogniserSettings) -> None:
        super().__init__(settings)
        self.batch_size = settings.batch_size  # the current size: smaller once memory has run out

    @staticmethod
    def resources(settings: RecogniserSettings) -> Resources:
        """What one worker needs."""
        return Resources(cpus=float(settings.threads), gpus=float(settings.device.startswith("cuda")), memory_mb=2000)

    @abstractmethod
    def open(self) -> Identity:
        """Loads the model. Raises UserError where the settings cannot be used."""

    @abstractmethod
    def language_of(self, utterances: Sequence[Utterance]) -> str:
        """Two letters of the language spoken in these; the settings' language if they name one."""

    @abstractmethod
    def recognise(self, utterances: Sequence[Utterance], language: str) -> list[list[Heard]]:
        """What is heard in each utterance of a batch, with times in the container's clock."""


def recogniser_class(name: str) -> type[Recogniser]:
    """The class of an engine. Raises UserError for an unknown name."""
    found: type[Recogniser] = GROUP.load(name)
    return found


def make_recogniser(name: str, settings: RecogniserSettings) -> Recogniser:
    """The engine `name`, not yet opened."""
    return recogniser_class(name)(settings)


def recognise(engine: Recogniser, utterances: Iterable[Utterance]) -> tuple[list[Heard], str]:
    """(all that is heard, language) of one video, batch by batch. The language is detected from the first batch.

    Quiet speech is made louder. Where the engine stops early, the rest of the stretch is recognised once more.

    Raises StageError `memory` where a single utterance does not fit into memory.
    """
    waiting = iter(utterances)
    heard: list[Heard] = []
    language = ""
    while batch := [_loud(one) for one in islice(waiting, engine.batch_size)]:
        language = language or _guarded(engine, batch, lambda part: [engine.language_of(part)])[0]
        found = _guarded(engine, batch, partial(engine.recognise, language=language))
        rests = [_rest(utterance, stretches) for utterance, stretches in zip(batch, found, strict=True)]
        asked = [rest for rest in rests if rest is not None]
        later = iter(_guarded(engine, asked, partial(engine.recognise, language=language)) if asked else ())
        for stretches, rest in zip(found, rests, strict=True):
            heard += [*stretches, *(next(later) if rest is not None else ())]
    return heard, language


def _loud(utterance: Utterance) -> Utterance:
    """Quiet speech with a peak of half of full scale, and at most ten times as loud; else the same."""
    import numpy as np

    peak = float(np.abs(utterance.samples).max(initial=0.0))
    gain = min(GAIN, PEAK / peak) if peak else 1.0
    return Utterance(utterance.start, utterance.samples * np.float32(gain)) if gain > 1 else utterance


def _rest(utterance: Utterance, heard: Sequence[Heard]) -> Utterance | None:
    """What follows the last word, where that is longer than any pause in a stretch; else None."""
    from interlink.media.audio import RATE

    times = [token.end for one in heard if one.cue for token in one.cue.lines[0].tokens if token.end is not None]
    if not times or utterance.end - max(times) < UNHEARD:
        return None
    begin = max(times)
    return Utterance(round(begin, 3), utterance.samples[round((begin - utterance.start) * RATE) :])


def _guarded(
    engine: Recogniser, batch: Sequence[Utterance], ask: Callable[[Sequence[Utterance]], list[Any]]
) -> list[Any]:
    """The engine's answers. When memory runs out, the batch size is halved for good."""
    try:
        return ask(batch)
    except Exception as error:
        if not _out_of_memory(error):
            raise
    if len(batch) == 1:
        raise StageError("memory", "the recogniser ran out of memory on one stretch of speech; use a smaller model")
    engine.batch_size = max(1, len(batch) // 2)
    middle = len(batch) // 2
    return [*_guarded(engine, batch[:middle], ask), *_guarded(engine, batch[middle:], ask)]


def _out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def unknown_language(language: str, known: Iterable[str]) -> UserError:
    """The error for a language that a checkpoint does not know."""
    return UserError(
        f"the recogniser does not know the language {language!r}",
        f"set transcribe.speech.language to one of: {', '.join(sorted(known))}; or leave it empty to detect it",
        2,
    )
