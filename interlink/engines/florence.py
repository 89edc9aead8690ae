"""Region descriptions with boxes by Florence-2 (Xiao et al. 2024), using its task of dense region captions.

Costs the model in memory per worker and up to a thousand tokens per frame. Frames are batched as they arrive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from pydantic import Field

from interlink.engines.captioner import Identity
from interlink.engines.frames import to_picture
from interlink.engines.imaged import ImageTextModel
from interlink.engines.local import Batches
from interlink.engines.place import check_place, gpus_of
from interlink.engines.reader import Box, FrameRequest, FrameText, Line, Reader
from interlink.engines.settings import ImageTextModelSettings
from interlink.errors import StageError, UserError
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "regions.florence2"  # the block of the recipe
TASK = "<DENSE_REGION_CAPTION>"
_BINS = 1000  # Florence-2 gives places in thousandths of the width and the height
_LABELLED = re.compile(r"([^<]+)((?:<loc_\d+>){4,})")
_PLACE = re.compile(r"<loc_(\d+)>")
_MARKS = re.compile(r"</?s>|<pad>")


class FlorenceSettings(ImageTextModelSettings):
    """A Florence-2."""

    max_new_tokens: int = Field(1024, ge=8, description="longest answer for a frame, tokens; a box takes four")
    num_beams: int = Field(3, ge=1, description="beams of the search; 1 = greedy")


Prepared = tuple[Any, list[tuple[int, int]]]  # the model's inputs, and each picture's width and height


class Florence(Reader):
    """One checkpoint."""

    settings_class: ClassVar[type[Settings] | None] = FlorenceSettings

    def __init__(self, settings: FlorenceSettings) -> None:
        super().__init__(settings)
        self._batches: Batches[FrameRequest, Prepared, FrameText] = Batches(
            settings.batch_size, "frames", self._inputs, self._answers, _lost, settings.ahead
        )
        self._open: ImageTextModel | None = None

    @staticmethod
    def resources(settings: FlorenceSettings) -> Resources:
        return Resources(cpus=1.0, gpus=gpus_of(settings.device))

    @staticmethod
    def check(settings: FlorenceSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, WHERE)

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is missing, or is not a Florence-2."""
        model = ImageTextModel.load(self.settings, WHERE)
        if model.kind != "florence2":
            raise UserError(
                f"{model.name} is a {model.kind}, which gives no regions",
                "set regions.florence2.model to a Florence-2, such as florence-community/Florence-2-large",
            )
        self._open = model
        return Identity(
            engine="florence2",
            model=model.name,
            revision=model.revision,
            prompt=TASK,
            parameters={
                "dtype": model.dtype,
                "max_new_tokens": self.settings.max_new_tokens,
                "num_beams": self.settings.num_beams,
            },
        )

    def close(self) -> None:
        self._open = None

    def read(self, requests: Iterable[FrameRequest]) -> Iterator[FrameText]:
        return self._batches.run(requests)

    def _inputs(self, batch: Sequence[FrameRequest]) -> Prepared:
        assert self._open is not None, "call open() first"
        pictures = [to_picture(request.image) for request in batch]
        inputs = self._open.processor(images=pictures, text=[TASK] * len(batch), padding=True, return_tensors="pt")
        return inputs, [picture.size for picture in pictures]

    def _answers(self, batch: Sequence[FrameRequest], prepared: Prepared) -> list[FrameText]:
        assert self._open is not None, "call open() first"
        inputs, sizes = prepared
        answers = self._open.answer(inputs, self.settings.max_new_tokens, self.settings.num_beams, marks=True)
        return [
            FrameText(request.id, request.frame, parse_regions(one.text, *size))
            for request, one, size in zip(batch, answers, sizes, strict=True)
        ]


def parse_regions(text: str, width: int, height: int) -> tuple[Line, ...]:
    """`a red pan<loc_10><loc_20><loc_500><loc_900>…` as regions with boxes in pixels, in order.

    The numbers are left, top, right, bottom in thousandths; several boxes may follow one text. Texts without a complete
    box, boxes without area, and repetitions are left out. `text` may end anywhere.
    """
    found: dict[tuple[str, Box], Line] = {}
    for label, marks in _LABELLED.findall(_MARKS.sub("", text)):
        words = " ".join(label.split())
        bins = [min(int(number), _BINS - 1) for number in _PLACE.findall(marks)]
        for left, top, right, bottom in zip(*(bins[side::4] for side in range(4)), strict=False):
            if words and left < right and top < bottom:
                # The value of a bin is its middle.
                across, down = width / _BINS, height / _BINS
                box = Box((left + 0.5) * across, (top + 0.5) * down, (right + 0.5) * across, (bottom + 0.5) * down)
                found.setdefault((words, box), Line(words, None, box))
    return tuple(found.values())


def _lost(request: FrameRequest, fault: StageError) -> FrameText:
    return FrameText(request.id, request.frame, error=fault)
