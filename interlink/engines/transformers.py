"""Captions by any image-to-text checkpoint of transformers: BLIP-2, Florence-2, Qwen2.5-VL and other chat models.

Costs a model in memory per worker. Clips are batched as they arrive, and the next batch is decoded while the model
runs. When memory runs out, the batch size is halved for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.engines.frames import evenly, to_picture
from interlink.engines.imaged import ImageTextModel, ModelAnswer
from interlink.engines.local import Batches
from interlink.engines.place import check_place, gpus_of
from interlink.engines.settings import TransformersSettings
from interlink.errors import StageError
from interlink.prompts import load
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "caption.transformers"  # the block of the recipe
CHAT_PROMPT = load("clip-1")
FLORENCE_PROMPT = "<DETAILED_CAPTION>"  # the name of a task of Florence-2


class Transformers(Captioner):
    """One checkpoint. A chat model gets a clip's frames in a message, other models get its middle frame."""

    settings_class: ClassVar[type[Settings] | None] = TransformersSettings

    def __init__(self, settings: TransformersSettings, prompt: str) -> None:
        super().__init__(settings, prompt)
        self._batches: Batches[ClipRequest, Any, ClipCaption] = Batches(
            settings.batch_size, "clips", self._inputs, self._answers, _lost, settings.ahead
        )
        self._open: ImageTextModel | None = None
        self._is_chat = False

    @staticmethod
    def resources(settings: TransformersSettings) -> Resources:
        return Resources(cpus=1.0, gpus=gpus_of(settings.device))

    @staticmethod
    def parallel(settings: TransformersSettings) -> int:
        return settings.batch_size

    @staticmethod
    def check(settings: TransformersSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, WHERE)

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is missing, or is not an image-to-text model."""
        model = self._open = ImageTextModel.load(self.settings, WHERE)
        self._is_chat = bool(getattr(model.processor, "chat_template", None))
        if not self.prompt:
            self.prompt = CHAT_PROMPT if self._is_chat else FLORENCE_PROMPT if model.kind == "florence2" else ""
        return Identity(
            engine="transformers",
            model=model.name,
            revision=model.revision,
            prompt=self.prompt,
            parameters={
                "dtype": model.dtype,
                "max_frames": self.settings.max_frames if self._is_chat else 1,
                "max_new_tokens": self.settings.max_new_tokens,
                "num_beams": self.settings.num_beams,
            },
        )

    @property
    def batch_size(self) -> int:
        """The current batch size: smaller once memory has run out."""
        return self._batches.size

    def close(self) -> None:
        self._open = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        return self._batches.run(requests)

    def _answers(self, batch: Sequence[ClipRequest], inputs: Any) -> list[ClipCaption]:
        settings = self.settings
        found: list[ModelAnswer] = []
        if inputs is not None:
            assert self._open is not None, "call open() first"
            found = self._open.answer(inputs, settings.max_new_tokens, settings.num_beams)
        remaining = iter(found)
        answers = []
        for request in batch:
            if not request.frames:
                answers.append(ClipCaption(request.id, request.clip, flag="no_frames"))
                continue
            one = next(remaining)
            flag = "empty" if not one.text else "length" if one.cut else ""
            answers.append(ClipCaption(request.id, request.clip, one.text, flag, tokens=one.tokens))
        return answers

    def _inputs(self, batch: Sequence[ClipRequest]) -> Any:
        """The model's inputs for the clips with frames; None without such clips. Runs in a separate thread."""
        assert self._open is not None, "call open() first"
        processor = self._open.processor
        batch = [request for request in batch if request.frames]
        if not batch:
            return None
        prompts = [fill_prompt(self.prompt, request) for request in batch]
        if not self._is_chat:
            middles = [to_picture(evenly(request.frames, 1)[0]) for request in batch]
            text = {"text": prompts, "padding": True} if self.prompt else {}
            return processor(images=middles, return_tensors="pt", **text)
        pictures = [[to_picture(f) for f in evenly(r.frames, self.settings.max_frames)] for r in batch]
        texts = [
            processor.apply_chat_template(message(prompt, len(shown)), add_generation_prompt=True, tokenize=False)
            for prompt, shown in zip(prompts, pictures, strict=True)
        ]
        return processor(text=texts, images=pictures, padding=True, return_tensors="pt")


def message(prompt: str, images: int) -> list[dict[str, Any]]:
    """A conversation with one question about `images` images, for chat templates."""
    content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": prompt}]
    return [{"role": "user", "content": content}]


def _lost(request: ClipRequest, fault: StageError) -> ClipCaption:
    return ClipCaption(request.id, request.clip, error=fault)
