"""transcribe: the speech of a video with times, from annotations, subtitles or a speech recogniser.

Costs nothing with annotations, milliseconds with sidecar files (the media file's header is read for its clock), a read
of the file with embedded tracks. A recogniser costs the decoding of the sound and the model's time for the speech that
silero-vad finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from interlink.engines.language import LanguageDetector
from interlink.engines.language_codes import short
from interlink.engines.recogniser import Recogniser, RecogniserSettings, recogniser_class
from interlink.errors import StageError
from interlink.fetch.facts import working_seconds
from interlink.settings import Settings, operational
from interlink.stage import Context, Item, PerItem, Resources, Row

if TYPE_CHECKING:
    from interlink.engines.captioner import Identity
    from interlink.engines.listen import Listener
    from interlink.media.probe import StreamInfo
    from interlink.subtitles.cues import Subtitles
    from interlink.subtitles.sentences import Sentence
    from interlink.subtitles.words import Mark

MOST_MESSAGES = 5  # problems that a row lists


class TranscribeSettings(Settings):
    languages: tuple[str, ...] = Field(
        ("en",), description="wanted languages, in order of preference (en also matches en-US)"
    )
    any_language: bool = Field(True, description="use another language if none of `languages` is available")
    detect_language: bool = Field(
        False,
        description="detect the language of the text (py3langid), and choose by it where a file does not state one",
    )
    recogniser: Literal["none", "faster-whisper", "transformers"] = Field(
        "none", description="speech recogniser for videos without subtitles"
    )
    speech: RecogniserSettings = Field(
        RecogniserSettings(),
        description="model and decoding of the recogniser",
    )
    sound_shares: bool = Field(
        False, description="measure the shares of speech, silence and other sound also for videos with subtitles"
    )
    deadline_seconds: float = operational(60.0, "an item counts as stalled after this many seconds, plus …", gt=0)
    deadline_per_second: float = operational(
        10.0, "… if it decodes sound: this many per second of media, if the site states its length", ge=0
    )
    deadline_per_megabyte: float = operational(300.0, "… but at most this many per megabyte", ge=0)

    @property
    def listener(self) -> type[Recogniser] | None:
        """The class of the recogniser; None without one."""
        return None if self.recogniser == "none" else recogniser_class(self.recogniser)

    @property
    def listens(self) -> bool:
        return self.recogniser != "none" or self.sound_shares

    def unread(self) -> frozenset[str]:
        return frozenset(("speech",)) if self.recogniser == "none" else frozenset()


@dataclass
class _Found:
    """The result of one source of speech. offset: seconds added to its times."""

    source: str
    name: str
    language: str
    subtitles: Subtitles
    offset: float = 0.0
    sentences: list[Sentence] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    detected: tuple[str, float] | None = None
    revision: str = ""


@dataclass
class _Source:
    """Subtitles that are read at most once, on demand."""

    language: str  # as stated
    load: Callable[[], _Found]
    found: _Found | None = None

    def get(self) -> _Found:
        if self.found is None:
            self.found = self.load()
        return self.found


class Transcribe(PerItem):
    """One row per video: its sentences with times, in the container's clock. The schema is tables.TRANSCRIBE.

    It uses the first source that has cues: annotations, if the recipe has that stage; sidecar files in the order of
    `languages`, then files that do not state their language, then (with `any_language`) the others; the tracks in the
    container in the same order; then a recogniser. Without a source the row is ok, with source `none` and no sentences.
    """

    name: ClassVar[str] = "transcribe"
    version: ClassVar[int] = 2
    isolated: ClassVar[bool] = True
    settings_class: ClassVar[type[Settings]] = TranscribeSettings

    def __init__(self, settings: TranscribeSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.settings: TranscribeSettings = settings
        self._detector: LanguageDetector | None = None
        self._listener: Listener | None = None
        self._recogniser: Recogniser | None = None
        self._identity: Identity | None = None

    @staticmethod
    def needs(settings: TranscribeSettings) -> tuple[str, ...]:
        return ("download",)

    @staticmethod
    def uses(settings: TranscribeSettings) -> tuple[str, ...]:
        return ("annotations",)

    @staticmethod
    def costly(settings: TranscribeSettings) -> bool:
        return settings.listener is not None

    @staticmethod
    def resources(settings: TranscribeSettings) -> Resources:
        return Resources(cpus=0.5) if settings.listener is None else settings.listener.resources(settings.speech)

    @staticmethod
    def check(settings: TranscribeSettings, context: Context) -> None:
        if settings.detect_language:
            LanguageDetector.check()
        if settings.listens:
            from interlink.engines.listen import Listener

            Listener.check()
        if settings.listener is not None:
            settings.listener.check(settings.speech)

    def open(self) -> None:
        """Loads what the settings need. Raises UserError where a package or a model is missing."""
        if self.settings.detect_language:
            self._detector = LanguageDetector()
            self._detector.open()
        if self.settings.listens:
            from interlink.engines.listen import Listener

            self._listener = Listener()
            self._listener.open()
        if self.settings.listener is not None:
            self._recogniser = self.settings.listener(self.settings.speech)
            self._identity = self._recogniser.open()

    def close(self) -> None:
        for part in (self._detector, self._listener, self._recogniser):
            if part is not None:
                part.close()

    def deadline(self, item: Item) -> float:
        row, settings = item.rows["download"], self.settings
        megabytes = (row.get("size") or 0) / 1e6
        reading = settings.deadline_seconds + 0.2 * megabytes  # a slow disk reads 5 MB/s
        if not settings.listens:
            return reading
        return reading + working_seconds(row, settings.deadline_per_second, settings.deadline_per_megabyte)

    def process(self, item: Item) -> Row:
        lost: list[str] = []
        found, sound = _annotated(item), None
        is_video = bool(item.rows["download"]["media"])  # else a pair or a page
        if is_video:
            found = found or self._sidecar(item, lost) or self._embedded(item, lost)
        if is_video and self._listener is not None and (found is None or self.settings.sound_shares):
            recognised, sound = self._listen(item, recognise=found is None, lost=lost)
            found = found or recognised
        if found is not None and not found.sentences and not found.marks:
            self._read(found)
        return self._row(item.id, found, sound, lost)

    # -- sources ------------------------------------------------------------------------------------------------

    def _sidecar(self, item: Item, lost: list[str]) -> _Found | None:
        from interlink.media.clock import presentation_start
        from interlink.subtitles.files import is_chapters, parse

        def load(file: Any) -> _Found:
            return _Found("sidecar", file["name"], file["language"] or "", parse(item.blob("download", file["data"])))

        files = [each for each in item.rows["download"]["subtitles"] or [] if not is_chapters(each["name"])]
        chosen = self._choose([_Source(file["language"] or "", partial(load, file)) for file in files], lost)
        if chosen is not None:
            try:
                chosen.offset = presentation_start(item)
            except StageError as error:
                if error.error_class not in ("gone", "unreadable"):
                    raise
                lost.append(f"the clock of the media file is unknown, so subtitle times count from 0 ({error})")
        return chosen

    def _embedded(self, item: Item, lost: list[str]) -> _Found | None:
        from interlink.media.probe import describe, local_media, open_media
        from interlink.media.tracks import read_track, text_tracks

        with local_media(item) as path, open_media(path) as container:

            def load(track: StreamInfo) -> _Found:
                found = read_track(container, track)
                return _Found("embedded", f"stream {track.index}", short(track.language), found)

            tracks = text_tracks(describe(container, path), container)
            return self._choose([_Source(track.language, partial(load, track)) for track in tracks], lost)

    def _listen(self, item: Item, recognise: bool, lost: list[str]) -> tuple[_Found | None, dict[str, Any] | None]:
        """The recogniser's result (None: no speech, or no recogniser), and the shares of the sound."""
        from interlink.engines.listen import BLOCK, Shares
        from interlink.engines.recogniser import recognise as ask
        from interlink.media.audio import Audio, heard_stream
        from interlink.media.probe import describe, local_media, open_media
        from interlink.subtitles.cues import Subtitles

        assert self._listener is not None
        with local_media(item) as path, open_media(path) as container:
            stream = heard_stream(describe(container, path))
            if stream is None:
                return None, asdict(Shares())
            audio = Audio(container, stream, BLOCK)
            hearing = self._listener.hear()
            utterances = hearing.utterances(audio, lambda: audio.start)
            found = None
            if recognise and self._recogniser is not None:
                cues, language = ask(self._recogniser, utterances)
                if cues:
                    found = _Found("recognised", f"stream {stream.index}", language, Subtitles(stream.codec, cues))
            _use_up(utterances)
        if audio.loss():
            lost.append(audio.loss())
        return found, asdict(hearing.shares)

    # -- choosing and reading -----------------------------------------------------------------------------------

    def _choose(self, sources: list[_Source], lost: list[str]) -> _Found | None:
        """The first source with cues, in order of preference; None if no source has cues in an allowed language."""
        wanted = [short(language) for language in self.settings.languages]
        ranked: list[tuple[int, _Source]] = []
        for source in sources:
            language = short(source.language)
            if not language and self._detector is not None:
                self._read(source.get())
                detected = source.get().detected
                language = detected[0] if detected else ""
            if language in wanted:
                ranked.append((wanted.index(language), source))
            elif not language:
                ranked.append((len(wanted), source))
            elif self.settings.any_language:
                ranked.append((len(wanted) + 1, source))
        for _, source in sorted(ranked, key=lambda pair: pair[0]):
            found = source.get()
            if found.subtitles.cues:
                return found
            if found.source == "sidecar":  # a subtitle file without cues is damaged; a track may be empty
                lost.append(f"{found.name}: no cue could be read")
            else:
                lost += [f"{found.name}: {problem}" for problem in found.subtitles.problems]
        return None

    def _read(self, found: _Found) -> None:
        """Fills in sentences, marks and the detected language."""
        from interlink.subtitles.sentences import sentences_of
        from interlink.subtitles.words import words_of

        words, found.marks = words_of(found.subtitles.cues)
        found.sentences = sentences_of(words)
        if self._detector is not None:
            found.detected = self._detector.detect(" ".join(sentence.text for sentence in found.sentences))

    def _row(self, item_id: str, found: _Found | None, sound: dict[str, Any] | None, lost: list[str]) -> Row:
        problems = list(lost)
        fields: dict[str, Any] = {
            "source": "none",
            "name": "",
            "format": "",
            "language": "",
            "detected": None,
            "clock_offset": 0.0,
            "sentences": [],
            "marks": [],
            "sound": sound,
            "engine": "",
            "model": "",
            "revision": "",
            "parameters": "",
        }
        if found is not None:
            problems += [f"{found.name}: {problem}" for problem in found.subtitles.problems]
            detected = found.detected
            fields |= {
                "source": found.source,
                "name": found.name,
                "format": found.subtitles.format,
                "language": found.language or (detected[0] if detected else ""),
                "detected": {"language": detected[0], "probability": detected[1]} if detected else None,
                "clock_offset": found.offset,
                "sentences": [_sentence(sentence, found.offset) for sentence in found.sentences],
                "marks": [{"text": mark.text, "kind": mark.kind, **_times(mark, found.offset)} for mark in found.marks],
            }
            if found.source == "annotations":
                fields |= {"engine": "annotations", "model": found.name, "revision": found.revision}
            if found.source == "recognised" and self._identity is not None:
                fields |= {
                    "engine": self._identity.engine,
                    "model": self._identity.model,
                    "revision": self._identity.revision,
                    "parameters": json.dumps(dict(self._identity.parameters), sort_keys=True),
                }
        more = len(problems) - MOST_MESSAGES
        shown = [*problems[:MOST_MESSAGES], *([f"and {more} more"] if more > 0 else [])]
        return Row(item_id, fields, partial=bool(problems), message="; ".join(shown))


def _annotated(item: Item) -> _Found | None:
    """The speech of the annotations. Its lines are read as cues, so that rolling repeats are removed here too."""
    from interlink.subtitles.cues import CueMaker, Subtitles

    given = item.rows["annotations"]["speech"] if "annotations" in item.rows else None
    if given is None:
        return None
    cues = []
    for span in given["spans"]:
        maker = CueMaker(span["start"], span["end"])
        maker.add(span["text"])
        if cue := maker.cue():
            cues.append(cue)
    if not cues:
        return None
    return _Found("annotations", given["file"], "", Subtitles("annotations", cues), revision=given["revision"])


def _times(span: Any, offset: float) -> dict[str, float]:
    return {"start": round(span.start + offset, 3), "end": round(span.end + offset, 3)}


def _sentence(sentence: Sentence, offset: float) -> dict[str, Any]:
    words = [{"text": word.text, "timed": word.timed, **_times(word, offset)} for word in sentence.words]
    return {"text": sentence.text, **_times(sentence, offset), "words": words}


def _use_up(rest: Iterator[Any]) -> None:
    """Reads the rest of the sound, so that the shares cover all of it."""
    for _ in rest:
        pass
