"""The settings of interleave: which clips, frames and texts a document holds, and in which order."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from interlink.interleave.registry import GROUP, POLICIES, check_policy
from interlink.settings import Settings, added


class FilterSettings(Settings):
    """Which clips stay. The thresholds apply to scores in tables, so that other thresholds recompute no score.

    In a recipe, and with --set, `filter` is short for `interleave.filter`.
    """

    similarity: float | None = Field(
        None, ge=-1, le=1, description="least image–text similarity of a clip, mean over its frames (needs score)"
    )
    agreement: float | None = Field(
        None,
        ge=0,
        le=1,
        description="least share of content words that occur both in a clip's text and in its speech (needs score)",
    )
    language: str = Field("", description="two letters: keep only videos in this language (needs score)")
    safety: float | None = Field(
        None, ge=0, le=1, description="highest value that any safety checker may give a clip (needs score)"
    )
    duplicate_frames: int | None = Field(
        None,
        ge=0,
        le=64,
        description="frames with hashes that differ in at most this many of 64 bits are duplicates (needs score)",
    )
    flags: tuple[str, ...] = Field(
        (), description="leave out clips with a narration that has one of these flags (needs narrate)"
    )
    unfamiliar: bool = added(
        False, "keep clips whose caption is flagged `unfamiliar`: its model was trained on nothing like them"
    )
    sharpness: float | None = Field(None, ge=0, description="least sharpness of a clip (variance of the Laplacian)")
    darkest: float | None = Field(None, ge=0, le=1, description="least brightness of a clip, 0 (black) to 1 (white)")
    brightest: float | None = Field(None, ge=0, le=1, description="greatest brightness of a clip")
    motion: float | None = Field(None, ge=0, description="least motion of a clip (mean change of grey levels)")
    talking: float | None = Field(
        None, ge=0, le=1, description="largest share of a clip that shows a speaker, 0..1; needs keyframes.faces"
    )
    printed: float | None = Field(
        None, ge=0, le=1, description="largest share of a clip's frames that looks like print, 0..1"
    )
    tokens: int = Field(0, ge=0, description="fewest tokens of a clip's text")
    shortest: float = Field(0.0, ge=0, description="shortest clip, seconds")
    longest: float = Field(0.0, ge=0, description="longest clip, seconds (0 = no limit)")

    @property
    def needs(self) -> tuple[str, ...]:
        """The tables that these thresholds read in addition to those that every build has."""
        scored = (self.similarity, self.agreement, self.safety, self.duplicate_frames)
        wanted = ["score"] if self.language or any(value is not None for value in scored) else []
        return (*wanted, "narrate") if self.flags else tuple(wanted)


class AssignmentSettings(Settings):
    """Settings of the assignment policy: Multimodal C4's, with CosMo's noise and threshold."""

    threshold: float = Field(0.24, ge=-1, le=1, description="a frame below this similarity to its sentence is left out")
    noise: float = Field(0.0, ge=0, description="standard deviation of noise on the similarities (CosMo: 0.025)")
    noise_limit: float = Field(0.08, ge=0, description="noise is clipped to ± this")


class StepSettings(Settings):
    """Settings of the step policy: where one step of the task ends and the next begins."""

    overlap: float = Field(
        0.5, ge=0, le=1, description="adjacent clips with at least this share of common content words are one step"
    )
    most_clips: int = Field(4, ge=1, description="most clips of a step")


class InterleaveSettings(Settings):
    """How clips become documents."""

    policy: str = Field(
        "clip",
        description="clip, temporal, sentence, step, assignment, next_utterance, or an entry point "
        "(docs/explanation/telling.md)",
    )
    options: dict[str, str | int | float | bool] = Field({}, description="options of a third-party policy")
    include_speech: bool = Field(True, description="add a clip's speech after its caption (never the same text twice)")
    include_caption: Literal["unnarrated", "always"] = Field(
        "unnarrated", description="use the captions of clips without a narration, or of all clips"
    )
    include_ocr: bool = Field(False, description="add the text on the frames (needs ocr)")
    require_text: bool = Field(True, description="leave out clips that have no text")
    require_frames: bool = Field(True, description="leave out clips that have no frame")
    filter: FilterSettings = Field(FilterSettings(), description="thresholds on scores; `filter` for short")
    adjacent_clips: int = Field(
        0,
        ge=0,
        description="take only this many neighbouring clips of those left, from a place drawn by the seed (0 = all)",
    )
    min_clips: int = Field(1, ge=1, description="fewest clips that a video must have left to become a document")
    clips_per_document: int = Field(
        8,
        ge=0,
        description="most clips of a document; longer videos become several of near-equal length (0 = no limit)",
    )
    images_per_clip: int = Field(0, ge=0, description="most images of a clip, evenly spaced (0 = no limit)")
    max_images: int = Field(
        0, ge=0, description="most images of a document; clips with more keep evenly spaced ones (0 = no limit)"
    )
    max_tokens: int = Field(
        0,
        ge=0,
        description="most tokens of a document; a clip with more keeps its first whole sentences (0 = no limit)",
    )
    speech_shift: float = Field(0.0, description="seconds that are added to the times of all speech")
    lead: Literal["ignore", "correct"] = Field(
        "ignore", description="correct: shift speech by the lead that align measured (needs align)"
    )
    lead_confidence: float = Field(0.5, ge=0, le=1, description="… where its confidence is at least this")
    scrub: bool = Field(False, description="mask e-mail addresses and telephone numbers in all texts and in the title")
    assignment: AssignmentSettings = Field(AssignmentSettings(), description="settings of the assignment policy")
    step: StepSettings = Field(StepSettings(), description="settings of the step policy")

    def unread(self) -> frozenset[str]:
        unused = {"assignment", "step"} - set(GROUP.load(self.policy).reads)
        unused |= {"options"} if self.policy in POLICIES else set()
        return frozenset(unused | ({"lead_confidence"} if self.lead == "ignore" else set()))

    @field_validator("policy")
    @classmethod
    def _known(cls, policy: str) -> str:
        return check_policy(policy)
