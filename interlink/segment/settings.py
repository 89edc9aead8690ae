"""What a recipe may say about where clips begin, and the segmenter that comes of it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from interlink.engines.embedder import EmbedderSettings
from interlink.stage import Settings

if TYPE_CHECKING:
    from interlink.segment.verdict import Segmenter


class KtsSettings(Settings):
    """Kernel temporal segmentation."""

    alpha: int = Field(5, ge=1, description="samples that a clip has on average, at least (VLog: 10)")
    beta: float = Field(1.0, gt=0, description="seconds from one sample to the next")
    vmax: float = Field(1.5, ge=0, description="weight of the penalty on change points; more gives fewer clips")
    relative: bool = Field(
        True, description="the penalty is taken relative to the video's own scatter; false = as in the paper"
    )
    window: int = Field(600, ge=20, description="samples divided at once; memory and time grow with its square")
    embedder: EmbedderSettings = Field(
        EmbedderSettings(),
        description="the model whose features are compared; without one, histograms of the picture",
    )


class TransnetSettings(Settings):
    """TransNet V2."""

    threshold: float = Field(0.5, gt=0, lt=1, description="least probability of a transition")


class TranscriptSettings(Settings):
    """Clips that follow speech."""

    by: Literal["sentence", "step"] = Field("step", description="a clip for each sentence, or for each step of speech")
    pause: float = Field(1.0, ge=0, description="seconds without speech that end a step")
    longest: float = Field(20.0, gt=0, description="seconds after which a step ends with its last sentence that fits")
    silence: float = Field(8.0, gt=0, description="seconds without speech that are a clip of their own")


class SegmentSettings(Settings):
    """Where clips begin."""

    segmenter: Literal["shots", "fixed", "kts", "transnet", "transcript", "annotations"] = Field(
        "shots",
        description="where clips begin: at cuts and fades (shots, or the network transnet), where the content changes "
        "(kts), with sentences or steps of speech (transcript), every `length` seconds (fixed), or as annotated "
        "(annotations: their times are kept, max_clip divides none)",
    )
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
        description="join neighbours whose pictures have at least this much in common (0.95 joins jump cuts); 0 = none",
    )


def make_segmenter(
    settings: SegmentSettings, sentences: Sequence[Mapping[str, Any]], picture: Callable[[], Any]
) -> Segmenter:
    """The segmenter of one video. sentences: what is said in it, for `transcript`, or its annotated clips. picture:
    gives the decoded picture whose look is being fed, for an embedder."""
    chosen = _chosen(settings, sentences, picture)
    if settings.stitch:
        from interlink.segment.stitch import Stitch

        return Stitch(chosen, settings.stitch)
    return chosen


def prepare(settings: SegmentSettings) -> None:
    """Loads what the segmenter needs, once a process, on one thread. UserError where it is not installed."""
    if settings.segmenter == "transnet":
        from interlink.segment.transnet import network

        network()
    elif settings.segmenter == "kts" and settings.kts.embedder.model:
        from interlink.engines.embedder import embedder

        embedder(settings.kts.embedder)


def _chosen(settings: SegmentSettings, sentences: Sequence[Mapping[str, Any]], picture: Callable[[], Any]) -> Segmenter:
    if settings.segmenter == "fixed":
        from interlink.segment.fixed import Fixed

        return Fixed(settings.length)
    if settings.segmenter == "kts":
        from interlink.segment.kts import Kts

        kts = settings.kts
        if kts.embedder.model:
            from interlink.engines.embedder import embedder

            model = embedder(kts.embedder)
            return Kts(kts.alpha, kts.beta, kts.vmax, kts.relative, kts.window, lambda _: model.embed(picture()))
        return Kts(kts.alpha, kts.beta, kts.vmax, kts.relative, kts.window)
    if settings.segmenter == "transnet":
        from interlink.segment.transnet import Transnet

        return Transnet(settings.transnet.threshold)
    if settings.segmenter == "transcript":
        from interlink.segment.transcript import Transcript, plan

        said = settings.transcript
        return Transcript(plan(sentences, said.by, said.pause, said.longest, said.silence))
    if settings.segmenter == "annotations":
        from interlink.segment.transcript import Transcript, plan

        return Transcript(plan(sentences, "sentence", pause=0.0, longest=0.0, silence=0.0))
    from interlink.segment.shots import Shots

    return Shots()
