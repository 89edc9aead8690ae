"""The settings of segmentation, and the segmenters by name. Imports nothing heavy.

Packages add segmenters through the entry point group `interlink.segmenters`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from interlink.engines.embedder import EmbedderSettings
from interlink.plugins import Group
from interlink.segment.verdict import Segmenter, Video
from interlink.settings import Settings, added

# name -> module:Class
SEGMENTERS: dict[str, str] = {
    "shots": "interlink.segment.shots:Shots",
    "fixed": "interlink.segment.fixed:Fixed",
    "kts": "interlink.segment.kts:Kts",
    "transnet": "interlink.segment.transnet:Transnet",
    "transcript": "interlink.segment.transcript:Transcript",
    "annotations": "interlink.segment.transcript:Annotated",
}
GROUP = Group("interlink.segmenters", "segmenter", SEGMENTERS, "interlink.segment.verdict:Segmenter")
_OWN = ("length", "kts", "transnet", "transcript")  # fields of the block that belong to one segmenter


class KtsSettings(Settings):
    """Kernel temporal segmentation."""

    alpha: int = Field(5, ge=1, description="least average number of samples per clip (VLog: 10)")
    beta: float = Field(1.0, gt=0, description="seconds from one sample to the next")
    vmax: float = Field(
        1.5, ge=0, description="weight of the penalty on change points; a larger weight gives fewer clips"
    )
    relative: bool = Field(
        True, description="make the penalty relative to the video's scatter; false = absolute, as in the paper"
    )
    window: int = Field(600, ge=20, description="samples divided at once; memory and time grow with its square")
    embedder: EmbedderSettings = Field(
        EmbedderSettings(),
        description="model of the features that are compared; without one, histograms of the picture",
    )


class TransnetSettings(Settings):
    """TransNet V2."""

    threshold: float = Field(0.5, gt=0, lt=1, description="least probability of a transition")


class TranscriptSettings(Settings):
    """Clips that follow speech."""

    by: Literal["sentence", "step"] = Field("step", description="a clip for each sentence, or for each step of speech")
    pause: float = Field(1.0, ge=0, description="seconds without speech that end a step")
    longest: float = Field(20.0, gt=0, description="seconds after which a step ends with its last sentence that fits")
    silence: float = Field(8.0, gt=0, description="seconds without speech that become a separate clip")


class SegmentSettings(Settings):
    """Where clips begin."""

    segmenter: str = Field(
        "shots",
        description="where clips begin: at cuts and fades (shots, or the network transnet), where the content changes "
        "(kts), with sentences or steps of speech (transcript), every `length` seconds (fixed), or as annotated "
        "(annotations: their times are kept, max_clip does not apply); or an entry point of interlink.segmenters",
    )
    options: dict[str, str | int | float | bool] = added({}, "options of a third-party segmenter")
    length: float = Field(10.0, gt=0, description="seconds of a clip with the fixed segmenter")
    kts: KtsSettings = Field(KtsSettings(), description="settings of kts")
    transnet: TransnetSettings = Field(TransnetSettings(), description="settings of transnet")
    transcript: TranscriptSettings = Field(
        TranscriptSettings(),
        description="settings of transcript",
    )
    stitch: float = Field(
        0.0,
        ge=0,
        le=1,
        description="join neighbouring clips with pictures at least this similar (0.95 joins jump cuts); 0 = never",
    )
    merge_below: float = added(
        2.0,
        "seconds; a shorter clip between cuts joins the neighbour it resembles (with choice: best); 0 = never",
        ge=0,
    )

    @property
    def segmenter_class(self) -> type[Segmenter]:
        """The class of the segmenter. Raises UserError where it cannot be imported."""
        found: type[Segmenter] = GROUP.load(self.segmenter)
        return found

    @property
    def of_segmenter(self) -> Any:
        """The settings of the segmenter: this block, or `options` for a third-party segmenter."""
        return self if self.segmenter in SEGMENTERS else GROUP.options_of(self.segmenter, self.options)

    def unread(self) -> frozenset[str]:
        unused = set(_OWN) - set(self.segmenter_class.reads)
        return frozenset(unused | ({"options"} if self.segmenter in SEGMENTERS else set()))

    @field_validator("segmenter")
    @classmethod
    def _known(cls, segmenter: str) -> str:
        return GROUP.check(segmenter)


def make_segmenter(settings: SegmentSettings, video: Video) -> Segmenter:
    """The segmenter of one video, with stitching if the settings ask for it. Raises Dropped if it cannot be divided."""
    chosen = settings.segmenter_class.of(settings.of_segmenter, video)
    if settings.stitch:
        from interlink.segment.stitch import Stitch

        return Stitch(chosen, settings.stitch)
    return chosen
