"""A safety checker for pictures: any image classifier of transformers, and a list of its labels that mean harm.

Costs one model in memory per worker. Frames are batched over the clips of a video, and the next batch is decoded while
the model runs. When memory runs out, the batch size is halved for good. Only safetensors weights are loaded, no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from interlink.engines.captioner import Identity
from interlink.engines.frames import to_picture
from interlink.engines.local import Batches
from interlink.engines.place import Place, check_place, gpus_of
from interlink.errors import UserError
from interlink.score.pictured import Judged, by_clip, harmful
from interlink.score.safety import ClassifierSettings, Judgeable, SafetyChecker, Verdict
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "score.classifier"


class Classifier(SafetyChecker):
    """One checkpoint. The value of a clip is the highest value of its frames."""

    settings_class: ClassVar[type[Settings] | None] = ClassifierSettings
    wants_frames: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __init__(self, settings: ClassifierSettings) -> None:
        super().__init__(settings)
        self._batches: Batches[bytes, Any, Judged] = Batches(
            settings.batch_size, "frames", self._inputs, self._answers, lambda frame, fault: fault, ahead=1
        )
        self._model: Any = None
        self._processor: Any = None
        self._unsafe: dict[int, str] = {}

    @staticmethod
    def resources(settings: ClassifierSettings) -> Resources:
        return Resources(cpus=1.0, gpus=gpus_of(settings.device))

    @staticmethod
    def check(settings: ClassifierSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, WHERE)

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is missing, is not a classifier, or lacks a label."""
        settings = self.settings
        place = Place.of(settings.model, settings.revision, settings.device, settings.dtype, WHERE)
        remedy = f"check {WHERE}.model: an accessible hub id, or a folder of an image classifier with safetensors"
        with place.loading("the image classifier", remedy):
            from transformers import AutoImageProcessor, AutoModelForImageClassification

            processor = AutoImageProcessor.from_pretrained(place.source, **place.options)
            model, loading = AutoModelForImageClassification.from_pretrained(
                place.source, dtype=place.dtype, use_safetensors=True, output_loading_info=True, **place.options
            )
        if missing := sorted(loading["missing_keys"]):
            raise UserError(
                f"{place.name} is a {model.config.model_type} without a classification head: it has no {missing[0]}",
                remedy,
            )
        labels = {int(number): str(label) for number, label in model.config.id2label.items()}
        self._unsafe = harmful(settings.unsafe_labels, labels, place.name, WHERE)
        self._model, self._processor = model.to(place.device).eval(), processor
        return Identity(
            engine="classifier",
            model=place.name,
            revision=place.revision(model),
            parameters={
                "dtype": str(model.dtype).removeprefix("torch."),
                "unsafe_labels": list(self._unsafe.values()),
            },
        )

    @property
    def batch_size(self) -> int:
        """The current batch size: smaller once memory has run out."""
        return self._batches.size

    def judge(self, clips: Sequence[Judgeable]) -> list[Verdict]:
        """Raises StageError for a frame that cannot be decoded."""
        return by_clip(clips, self._batches.run)

    def _inputs(self, batch: Sequence[bytes]) -> Any:
        """The input of the model. Runs in a separate thread."""
        return self._processor(images=[to_picture(frame) for frame in batch], return_tensors="pt")

    def _answers(self, batch: Sequence[bytes], inputs: Any) -> list[Judged]:
        """For each frame the probability of the unsafe labels, and the most likely of them."""
        import torch

        config = self._model.config
        with torch.inference_mode():
            pixels = inputs["pixel_values"].to(self._model.device, self._model.dtype)
            logits = self._model(pixel_values=pixels).logits.float()
            several = config.problem_type == "multi_label_classification"  # labels do not exclude each other
            shares = (logits.sigmoid() if several else logits.softmax(-1))[:, list(self._unsafe)]
            values = shares.amax(-1) if several else shares.sum(-1).clamp(max=1.0)
        names = list(self._unsafe.values())
        likeliest = shares.argmax(-1).tolist()
        return [(value, names[place]) for value, place in zip(values.tolist(), likeliest, strict=True)]
