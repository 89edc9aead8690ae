"""score: measures clips and frames. It filters nothing: thresholds are applied where rows are read, so that another
threshold recomputes no score.

Costs about 0.3 ms per frame (its hash) without an engine; with an image–text model, what that model costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, Field, field_validator

from interlink.engines.captioner import Identity
from interlink.engines.frames import read_frame
from interlink.engines.imagetext import (
    ENGINES,
    GROUP,
    ImageText,
    ImageTextSettings,
    check_image_text,
    image_text_class,
    make_image_text,
)
from interlink.engines.language import LanguageDetector
from interlink.engines.speech import sentences_of_clips
from interlink.score.pictures import difference_hash
from interlink.score.safety import (
    ClassifierSettings,
    NudenetSettings,
    SafetyChecker,
    check_checker,
    checker_class,
    make_checker,
)
from interlink.settings import Settings, added
from interlink.shards.document import count_tokens, join
from interlink.stage import Context, Item, PerItem, Resources, Row
from interlink.text.personal import count as count_personal
from interlink.text.sentences import split
from interlink.text.words import agreement, repeated_share


class ScoreSettings(Settings):
    """What to measure, and with which engines."""

    engine: str = Field("none", description="none, open_clip, or an entry point of interlink.imagetext")
    options: dict[str, str | int | float | bool] = added({}, "options of a third-party engine")
    open_clip: ImageTextSettings = Field(ImageTextSettings(), description="settings of the open_clip engine")
    vectors: bool = Field(
        False,
        description="keep the vectors of frames and sentences: the assignment policy and select's vectors read them",
    )
    hashes: bool = Field(True, description="hash frames, to find frames that look alike")
    detect_language: bool = Field(
        False, description="detect the language from the text; otherwise the transcript's is used"
    )
    safety: tuple[str, ...] = Field(
        (), description="checkers: words, classifier, nudenet, or entry points of interlink.safety"
    )
    blocked_words: tuple[str, ...] = Field((), description="words and phrases that the checker `words` finds")
    classifier: ClassifierSettings = added(ClassifierSettings(), "settings of the checker `classifier`")
    nudenet: NudenetSettings = added(NudenetSettings(), "settings of the checker `nudenet`")

    @property
    def image_text(self) -> type[ImageText] | None:
        """The class of the engine; None without one. Raises UserError where it cannot be imported."""
        return None if self.engine == "none" else image_text_class(self.engine)

    @property
    def of_engine(self) -> BaseModel | Mapping[str, Any]:
        """The settings of the engine: its block, or `options` for a third-party engine."""
        return GROUP.settings_of(self.engine, self, self.options)

    def of_checker(self, name: str) -> Any:
        """The settings of a checker: its block if it is built in and has one, otherwise `blocked_words`."""
        return {"classifier": self.classifier, "nudenet": self.nudenet}.get(name, self.blocked_words)

    def unread(self) -> frozenset[str]:
        unused = {*ENGINES, "classifier", "nudenet"} - {self.engine, *self.safety}
        unused |= {"options"} if self.engine in ("none", *ENGINES) else set()
        return frozenset(unused if self.safety else unused | {"blocked_words"})

    @field_validator("engine")
    @classmethod
    def _known(cls, engine: str) -> str:
        return engine if engine == "none" else check_image_text(engine)

    @field_validator("safety")
    @classmethod
    def _known_checkers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_checker(name) for name in names)


class Score(PerItem):
    """Scores the clips of one video. The schema is tables.SCORE."""

    name: ClassVar[str] = "score"
    version: ClassVar[int] = 2
    settings_class: ClassVar[type[Settings]] = ScoreSettings

    def __init__(self, settings: ScoreSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._engine: ImageText | None = None
        if settings.engine != "none":
            self._engine = make_image_text(settings.engine, settings.of_engine)
        self._language = LanguageDetector() if settings.detect_language else None
        self._checkers: dict[str, SafetyChecker] = {
            name: make_checker(name, settings.of_checker(name)) for name in settings.safety
        }
        self._identity = Identity("")
        self._checked_by: dict[str, Identity] = {}  # checkers with a model

    @staticmethod
    def needs(settings: ScoreSettings) -> tuple[str, ...]:
        return ("keyframes", "transcribe", "caption")

    @staticmethod
    def uses(settings: ScoreSettings) -> tuple[str, ...]:
        return ("narrate",)

    @staticmethod
    def costly(settings: ScoreSettings) -> bool:
        return settings.engine != "none" or any(checker_class(name).costly for name in settings.safety)

    @staticmethod
    def resources(settings: ScoreSettings) -> Resources:
        parts = [checker_class(name).resources(settings.of_checker(name)) for name in settings.safety]
        if settings.image_text is not None:
            parts.append(settings.image_text.resources(settings.of_engine))
        # They run one after the other, so the largest need of one of them is enough.
        return Resources(
            cpus=max([1.0, *(part.cpus for part in parts)]), gpus=max([0.0, *(part.gpus for part in parts)])
        )

    @staticmethod
    def check(settings: ScoreSettings, context: Context) -> None:
        if settings.image_text is not None:
            make_image_text(settings.engine, settings.of_engine)  # raises UserError for wrong options
            settings.image_text.check(settings.of_engine)
        if settings.detect_language:
            LanguageDetector.check()
        for name in settings.safety:
            checker_class(name).check(settings.of_checker(name))

    def open(self) -> None:
        if self._engine is not None:
            self._identity = self._engine.open()
        if self._language is not None:
            self._language.open()
        for name, checker in self._checkers.items():
            if (identity := checker.open()) is not None:
                self._checked_by[name] = identity

    def close(self) -> None:
        for part in (self._engine, *self._checkers.values()):
            if part is not None:
                part.close()

    def deadline(self, item: Item) -> float:
        return 3600.0

    def process(self, item: Item) -> Row:
        """Raises StageError unreadable or network where frames cannot be read."""
        roles_and_texts = clip_texts(item.rows)
        texts = [text for _, text in roles_and_texts]
        clips = item.rows["keyframes"]["clips"]
        speech_sentences = sentences_of_clips(clips, item.rows["transcribe"]["sentences"])
        speech = [join(sentence["text"] for sentence in sentences) for sentences in speech_sentences]
        pixels = self.settings.hashes or self._engine or any(c.wants_frames for c in self._checkers.values())
        frames = [[read_frame(item, f["image"]) if pixels else b"" for f in clip["frames"]] for clip in clips]
        measured = [self._frames(number, images) for number, images in enumerate(frames)]
        vectors = self._texts(texts)
        verdicts = self._safety(frames, [join(words) for words in zip(texts, speech, strict=True)])
        language, probability = self._language_of(item.rows["transcribe"], join([*texts, *speech]))
        entries = []
        for number, text in enumerate(texts):
            likeness = [
                round(float(vectors[number] @ vector), 4) for _, vector in measured[number] if vector is not None
            ] if number in vectors else []  # fmt: skip
            for (row, _), value in zip(measured[number], likeness, strict=False):
                row["similarity"] = value
            safety, unsafe = verdicts[number]
            entries.append(
                {
                    "clip": number,
                    "similarity": round(sum(likeness) / len(likeness), 4) if likeness else None,
                    "best": max(likeness, default=None),
                    "agreement": agreement(text, speech[number]),
                    "tokens": count_tokens(text),
                    "repetition": round(repeated_share(text), 4),
                    "personal": count_personal(text, language) + count_personal(speech[number], language),
                    "safety": safety,
                    "unsafe": unsafe,
                }
            )
        identity = self._identity
        fields = {
            **identity.columns(),
            "checkers": [one.columns() | {"engine": name} for name, one in self._checked_by.items()],
            "language": language,
            "probability": probability,
            "clips": entries,
            "frames": [row for rows in measured for row, _ in rows],
            "sentences": self._sentences(roles_and_texts, speech_sentences),
        }
        return Row(item.id, fields)

    def _frames(self, clip: int, images: Sequence[bytes]) -> list[tuple[dict[str, Any], Any]]:
        """A row and a vector (or None) for each frame."""
        vectors = self._engine.pictures(images) if self._engine is not None and images else [None] * len(images)
        found = []
        for number, (image, vector) in enumerate(zip(images, vectors, strict=True)):
            row: dict[str, Any] = {
                "clip": clip,
                "frame": number,
                "hash": difference_hash(image) if self.settings.hashes else None,
                "similarity": None,
                "vector": _half(vector) if self.settings.vectors and vector is not None else b"",
            }
            found.append((row, vector))
        return found

    def _texts(self, texts: Sequence[str]) -> dict[int, Any]:
        """clip -> vector of its text."""
        numbers = [number for number, text in enumerate(texts) if text]
        if self._engine is None or not numbers:
            return {}
        return dict(zip(numbers, self._engine.texts([texts[number] for number in numbers]), strict=True))

    def _sentences(
        self, texts: Sequence[tuple[str, str]], speech_sentences: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[dict[str, Any]]:
        """The sentences of all texts with vectors, if the settings keep vectors."""
        if self._engine is None or not self.settings.vectors:
            return []
        rows: list[dict[str, Any]] = []
        words: list[str] = []
        for clip, (role, text) in enumerate(texts):
            spoken = [sentence["text"] for sentence in speech_sentences[clip]]
            for kind, sentences in ((role, split(text)), ("speech", spoken)):
                rows += [{"clip": clip, "role": kind, "sentence": n, "vector": b""} for n in range(len(sentences))]
                words += sentences
        for row, vector in zip(rows, self._engine.texts(words), strict=True):
            row["vector"] = _half(vector)
        return rows

    def _safety(self, frames: Sequence[Sequence[bytes]], texts: Sequence[str]) -> list[tuple[float | None, str]]:
        """For each clip the highest value of all checkers, and `checker: what it found`."""
        worst: list[tuple[float | None, str]] = [(None, "")] * len(texts)
        for name, checker in self._checkers.items():
            clips = [(f if checker.wants_frames else (), text) for f, text in zip(frames, texts, strict=True)]
            for number, (value, what) in enumerate(checker.judge(clips)):
                before = worst[number][0]
                if before is None or value > before:
                    worst[number] = (round(value, 4), f"{name}: {what}" if what else "")
        return worst

    def _language_of(self, transcribe: Mapping[str, Any], text: str) -> tuple[str, float | None]:
        if self._language is not None:
            found = self._language.detect(text)
            return found if found is not None else ("", None)
        detected = transcribe["detected"] or {}
        stated = (transcribe["language"] or "").split("-")[0].lower()
        return stated or detected.get("language") or "", detected.get("probability")


def clip_texts(rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(role, text) of every clip: its narration, or its caption if it has none, as in interleave."""
    captions = {row["clip"]: join([row["caption"] or ""]) for row in rows["caption"]["clips"]}
    narrated = rows["narrate"]["clips"] if "narrate" in rows else ()
    narrations = {row["clip"]: join([row["narration"] or ""]) for row in narrated}
    found = []
    for number in range(len(rows["keyframes"]["clips"])):
        narration = narrations.get(number)
        found.append(("narration", narration) if narration else ("caption", captions.get(number, "")))
    return found


def _half(vector: Any) -> bytes:
    import numpy as np

    data: bytes = np.asarray(vector, np.float16).tobytes()
    return data
