"""transcribe: the speech of a video with times, from annotations, subtitles or a speech recogniser.

Costs nothing with annotations, milliseconds with sidecar files (the media file's header is read for its clock), a read
of the file with embedded tracks. A recogniser costs the decoding of the sound and the model's time for the speech that
silero-vad finds.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from interlink.engines.ends import RestoreSettings, SentenceEnds
from interlink.engines.language import LanguageDetector
from interlink.engines.recogniser import Recogniser, RecogniserSettings, recogniser_class
from interlink.errors import StageError
from interlink.fetch.facts import working_seconds
from interlink.settings import Settings, added, operational
from interlink.stage import Context, Item, PerItem, Resources, Row
from interlink.subtitles.sources import Found, Source, Wanted, choose
from interlink.text.languages import Label, Languages, label_of, language_of

if TYPE_CHECKING:
    from interlink.engines.captioner import Identity
    from interlink.engines.listen import Listener
    from interlink.media.tracks import Track
    from interlink.subtitles.sentences import Sentence

MOST_MESSAGES = 5  # problems that a row lists


class TranscribeSettings(Settings):
    languages: Languages = Field(
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
    restore: RestoreSettings = added(RestoreSettings(), "sentence ends of speech without punctuation, by a model")
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


class Transcribe(PerItem):
    """One row per video: its sentences with times, in the container's clock. The schema is tables.TRANSCRIBE.

    It uses the first source that has cues: annotations, if the recipe has that stage; sidecar files in the order of
    `languages`, then files that do not state their language, then (with `any_language`) the others; the tracks in the
    container in the same order; then a recogniser. Forced subtitles, signs and commentaries come last, and make the row
    partial. Without a source the row is ok, with source `none` and no sentences.
    """

    name: ClassVar[str] = "transcribe"
    version: ClassVar[int] = 3
    isolated: ClassVar[bool] = True
    settings_class: ClassVar[type[Settings]] = TranscribeSettings

    def __init__(self, settings: TranscribeSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.settings: TranscribeSettings = settings
        self._detector: LanguageDetector | None = None
        self._listener: Listener | None = None
        self._recogniser: Recogniser | None = None
        self._identity: Identity | None = None
        self._ends = SentenceEnds(settings.restore) if settings.restore.model else None

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
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Stretches of speech that a recogniser was given, and those left out, by reason."""
        heard = [one for row in rows if row["status"] == "ok" for one in row.get("heard") or ()]
        if not heard:
            return {}
        left_out = Counter(f"stretches {one['reason']}" for one in heard if not one["kept"])
        return {"stretches": len(heard), **dict(sorted(left_out.items()))}

    @staticmethod
    def idle(settings: TranscribeSettings, rows: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
        return frozenset() if settings.restore.model else frozenset({"restore"})

    @staticmethod
    def check(settings: TranscribeSettings, context: Context) -> None:
        if settings.detect_language:
            LanguageDetector.check()
        if settings.restore.model:
            SentenceEnds.check(settings.restore)
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
        if self._ends is not None:
            self._ends.open()
        if self.settings.listens:
            from interlink.engines.listen import Listener

            self._listener = Listener()
            self._listener.open()
        if self.settings.listener is not None:
            self._recogniser = self.settings.listener(self.settings.speech)
            self._identity = self._recogniser.open()

    def close(self) -> None:
        for part in (self._detector, self._ends, self._listener, self._recogniser):
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
        found, part, sound = _annotated(item), None, None
        is_video = bool(item.rows["download"]["media"])  # else a pair or a page
        if is_video and found is None:
            found = self._sidecar(item, lost)
        if is_video and found is None:
            found, part = self._embedded(item, lost)
        if is_video and self._listener is not None and (found is None or self.settings.sound_shares):
            recognised, sound = self._listen(item, recognise=found is None, lost=lost)
            found = found or recognised
        if is_video and found is None:  # parts of the speech are better than nothing
            found = self._sidecar(item, lost, whole=False) or part
        if found is not None and not found.sentences and not found.marks:
            self._read(found)
        return self._row(item.id, found, sound, lost)

    # -- sources ------------------------------------------------------------------------------------------------

    def _sidecar(self, item: Item, lost: list[str], whole: bool = True) -> Found | None:
        """The best subtitle file. whole: of those that hold all speech; else of forced ones and the like."""
        from interlink.media.clock import container_clock

        row = item.rows["download"]
        stems = (PurePath(row["media"]).stem, str(item.rows["collect"].get("video_id") or item.id))
        sources = []
        for file in row["subtitles"] or []:
            label = label_of(PurePath(file["name"]).stem, stems)
            label = Label(file["language"] or label.language, label.kinds)
            if not label.never_speech and bool(label.incomplete) is not whole:
                sources.append(Source(label, partial(self._load, item, file, label)))
        chosen = self._choose(sources, lost)
        if chosen is None:
            return None
        try:
            clock = container_clock(item)
            chosen.offset, problem = clock.offset(chosen.subtitles.clock)
            lost += [f"{chosen.name}: {problem}"] if problem else []
        except StageError as error:
            if error.error_class not in ("gone", "unreadable"):
                raise
            lost.append(f"the clock of the media file is unknown, so subtitle times count from 0 ({error})")
        return chosen

    def _load(self, item: Item, file: Any, label: Label) -> Found:
        from interlink.subtitles.files import parse

        likely = [language_of(language) for language in self.settings.languages]
        subtitles = parse(item.blob("download", file["data"]), language_of(label.language), likely)
        stated = label.language or (subtitles.language if language_of(subtitles.language) else "")
        return Found("sidecar", file["name"], stated, subtitles, incomplete=label.incomplete)

    def _embedded(self, item: Item, lost: list[str]) -> tuple[Found | None, Found | None]:
        """The best track in the container with all speech, or the best one with parts of it."""
        from interlink.media.probe import describe, local_media, open_media
        from interlink.media.tracks import read_track, text_tracks

        likely = [language_of(language) for language in self.settings.languages]
        with local_media(item) as path, open_media(path) as container:

            def load(track: Track) -> Found:
                found, language = read_track(container, track, likely), language_of(track.label.language)
                return Found("embedded", f"stream {track.index}", language, found, incomplete=track.label.incomplete)

            tracks = text_tracks(describe(container, path), container)
            whole: list[Source] = []
            parts: list[Source] = []
            for track in tracks:
                (parts if track.label.incomplete else whole).append(Source(track.label, partial(load, track)))
            found = self._choose(whole, lost)
            return found, self._choose(parts, lost) if found is None else None

    def _listen(self, item: Item, recognise: bool, lost: list[str]) -> tuple[Found | None, dict[str, Any] | None]:
        """The recogniser's result (None: no speech, or no recogniser), and the shares of the sound."""
        from interlink.engines.heard import kept_of
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
                heard, language = ask(self._recogniser, utterances)
                if heard:
                    kept = kept_of(heard, self.settings.speech.keep)
                    lost += [kept.lost] if kept.lost else []
                    subtitles = Subtitles(stream.codec, kept.cues)
                    found = Found("recognised", f"stream {stream.index}", language, subtitles, heard=kept.rows)
            _use_up(utterances)
        if audio.loss():
            lost.append(audio.loss())
        return found, asdict(hearing.shares)

    # -- choosing and reading -----------------------------------------------------------------------------------

    def _choose(self, sources: list[Source], lost: list[str]) -> Found | None:
        return choose(sources, Wanted(self.settings.languages, self.settings.any_language), self._language, lost)

    def _language(self, source: Source) -> str:
        """The language of a source: stated outside, stated in the file, or detected; or empty."""
        if language_of(source.label.language):
            return source.label.language
        found = source.get()
        if not found.language and self._detector is not None:
            self._read(found)
        return found.language or (found.detected[0] if found.detected else "")

    def _read(self, found: Found) -> None:
        """Fills in sentences, marks and the detected language."""
        from interlink.subtitles.lanes import one_language
        from interlink.subtitles.runs import sentences_of_runs, wanted_runs
        from interlink.subtitles.words import words_of

        wanted = (*self.settings.languages, *([found.language] if found.language else []))
        cues, language = one_language(found.subtitles.cues, wanted)
        found.language = language or found.language
        words, found.marks = words_of(cues)
        kept = words if self._detector is None else wanted_runs(words, wanted, self._detector.detect)
        found.sentences = sentences_of_runs(kept, self._ends)
        found.subtitles.problems += [
            f"a text of {len(mark.text.split())} words stands for {mark.end - mark.start:.0f} s: its times are doubtful"
            for mark in found.marks
            if mark.kind == "long" and found.source != "annotations"  # those spans are as stated
        ]
        if self._detector is not None:
            found.detected = self._detector.detect(" ".join(sentence.text for sentence in found.sentences))

    def _row(self, item_id: str, found: Found | None, sound: dict[str, Any] | None, lost: list[str]) -> Row:
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
            "heard": [],
            "sound": sound,
            "engine": "",
            "model": "",
            "revision": "",
            "parameters": "",
        }
        if found is not None:
            if found.incomplete:
                problems.append(f"{found.name}: {found.incomplete} subtitles, which hold only parts of the speech")
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
                "heard": found.heard,
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


def _annotated(item: Item) -> Found | None:
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
    return Found("annotations", given["file"], "", Subtitles("annotations", cues), revision=given["revision"])


def _times(span: Any, offset: float) -> dict[str, float]:
    return {"start": round(span.start + offset, 3), "end": round(span.end + offset, 3)}


def _sentence(sentence: Sentence, offset: float) -> dict[str, Any]:
    words = [{"text": word.text, "timed": word.timed, **_times(word, offset)} for word in sentence.words]
    return {"text": sentence.text, **_times(sentence, offset), "words": words}


def _use_up(rest: Iterator[Any]) -> None:
    """Reads the rest of the sound, so that the shares cover all of it."""
    for _ in rest:
        pass
