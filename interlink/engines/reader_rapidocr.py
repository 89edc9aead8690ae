"""OCR by RapidOCR: PaddleOCR's PP-OCR models on ONNX Runtime. The package contains the weights.

Finds and reads Latin and Chinese text. Costs 0.1 to 0.5 s per frame on one core, mostly for detecting lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.engines.reader import Box, FrameRequest, FrameText, Line, Reader, in_reading_order
from interlink.errors import StageError, UserError
from interlink.settings import Settings, operational
from interlink.stage import Resources


class RapidOcrSettings(Settings):
    """RapidOCR, run locally on the CPU."""

    min_score: float = Field(0.7, ge=0, le=1, description="lines with less confidence are left out")
    min_characters: int = Field(
        3,
        ge=1,
        description="lines with fewer letters and digits are left out: objects are often read as one or two letters",
    )
    max_height: float = Field(
        0.33, gt=0, le=1, description="lines higher than this share of the frame are left out: they are objects"
    )
    detect_side: int = Field(
        480, ge=96, le=2048, description="pixels to which a frame's short side is enlarged for detecting lines"
    )
    upside_down: bool = Field(False, description="also read upside-down lines")
    threads: int = operational(1, "threads of one worker", ge=1)


class RapidOcr(Reader):
    """The engine `rapidocr`."""

    settings_class: ClassVar[type[Settings] | None] = RapidOcrSettings

    def __init__(self, settings: RapidOcrSettings) -> None:
        super().__init__(settings)
        self._engine: Any = None

    @staticmethod
    def resources(settings: RapidOcrSettings) -> Resources:
        return Resources(cpus=float(settings.threads), memory_mb=800)

    @staticmethod
    def check(settings: RapidOcrSettings) -> None:
        for package in ("rapidocr", "onnxruntime"):
            if find_spec(package) is None:
                raise _missing(f"No module named {package!r}")

    def open(self) -> Identity:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise _missing(error) from error
        settings = self.settings
        self._engine = RapidOCR(
            params={
                "Global.log_level": "error",
                "Global.text_score": settings.min_score,
                "Global.use_cls": settings.upside_down,
                "Det.limit_side_len": settings.detect_side,
                "EngineConfig.onnxruntime.intra_op_num_threads": settings.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        parts = [self._engine.cfg.Det, self._engine.cfg.Rec]
        model = " + ".join(f"{part.ocr_version.value} {part.task_type.value} {part.model_type.value}" for part in parts)
        shaping = settings.model_dump(exclude={"threads"})
        return Identity("rapidocr", model, metadata.version("rapidocr"), parameters=shaping)

    def close(self) -> None:
        self._engine = None

    def read(self, requests: Iterable[FrameRequest]) -> Iterator[FrameText]:
        for request in requests:
            try:
                yield FrameText(request.id, request.frame, self._lines(request.image))
            except StageError as error:
                yield FrameText(request.id, request.frame, error=error)

    def _lines(self, image: bytes) -> tuple[Line, ...]:
        import simplejpeg

        try:
            picture = simplejpeg.decode_jpeg(image, colorspace="BGR")
        except ValueError as error:
            raise StageError("unreadable", f"a frame is not a JPEG: {error}") from error
        found = self._engine(picture)
        if not found.txts:
            return ()
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            box = _hull(corners, picture)
            letters = sum(character.isalnum() for character in text)
            tall = box.bottom - box.top > self.settings.max_height * picture.shape[0]
            if letters >= self.settings.min_characters and not tall:
                lines.append((box, Line(text.strip(), round(float(score), 4), box)))
        return in_reading_order(lines)


def _missing(why: object) -> UserError:
    return UserError(
        f"the ocr engine `rapidocr` needs rapidocr and onnxruntime ({why})",
        "pip install 'interlink[ocr]', or set ocr.engine to caption",
        2,
    )


def _hull(corners: Any, picture: Any) -> Box:
    """The axis-aligned box around four corners (4, 2), clipped to the picture (H, W, 3)."""
    height, width = picture.shape[:2]
    x, y = corners[:, 0].clip(0, width), corners[:, 1].clip(0, height)
    left, top, right, bottom = (round(float(value), 1) for value in (x.min(), y.min(), x.max(), y.max()))
    return Box(left, top, right, bottom)
