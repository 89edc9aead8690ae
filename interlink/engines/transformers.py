"""Captions by any image-to-text checkpoint of transformers: BLIP-2 and its kin, Qwen2.5-VL and other chat models.

Costs a model in memory per worker. Batched over whatever clips come; when memory runs out the batch is halved for good.
Never runs code that a checkpoint brings along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.engines.frames import evenly, to_picture
from interlink.engines.guard import ensure_torchvision
from interlink.engines.local import Batches, folder_revision, local_folder
from interlink.engines.settings import TransformersSettings
from interlink.errors import StageError, UserError
from interlink.prompts import load

CHAT_PROMPT = load("clip-1")


class Transformers:
    """One checkpoint. Chat models get a clip's frames in a message, all others its middle frame."""

    def __init__(self, settings: TransformersSettings, prompt: str) -> None:
        self.settings = settings
        self.prompt = prompt
        self._batches: Batches[ClipRequest, ClipCaption] = Batches(settings.batch_size, "clips")
        self._model: Any = None
        self._processor: Any = None
        self._tokenizer: Any = None
        self._is_chat = False
        self._device = "cpu"

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is not there, or is no image-to-text model."""
        name = self.settings.model
        folder = local_folder(name, "caption.transformers")
        ensure_torchvision()
        try:
            import torch
            from transformers import AutoModelForImageTextToText, AutoProcessor
            from transformers.utils import logging as transformers_logging
        except ImportError as error:
            raise UserError(
                f"the transformers engine needs a package: {error}", "pip install 'interlink[models]'"
            ) from None
        transformers_logging.disable_progress_bar()  # a worker's stderr is no place for it
        self._device = self.settings.device
        if self._device == "auto":
            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = self.settings.dtype
        if dtype == "auto" and self._device == "cpu":
            dtype = "float32"
        where: dict[str, Any] = {"trust_remote_code": False}
        if folder is None and self.settings.revision:
            where["revision"] = self.settings.revision
        source = str(folder) if folder is not None else name
        try:
            self._processor = AutoProcessor.from_pretrained(source, **where)
            model = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype, **where)
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"cannot load the captioner {name!r}: {first}",
                "check caption.transformers.model: a hub id within reach, or a folder of an image-to-text model",
            ) from error
        self._model = model.to(self._device).eval()
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._tokenizer.padding_side = "left"  # what is generated must follow the prompt at once
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._is_chat = bool(getattr(self._processor, "chat_template", None))
        if self._is_chat and not self.prompt:
            self.prompt = CHAT_PROMPT
        revision = str(getattr(model.config, "_commit_hash", None) or "") if folder is None else folder_revision(folder)
        return Identity(
            engine="transformers",
            model=name if folder is None else folder.name,
            revision=revision,
            prompt=self.prompt,
            parameters={
                "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
                "max_frames": self.settings.max_frames if self._is_chat else 1,
                "max_new_tokens": self.settings.max_new_tokens,
                "num_beams": self.settings.num_beams,
            },
        )

    @property
    def batch_size(self) -> int:
        """As it is now: smaller once memory has run out."""
        return self._batches.size

    def close(self) -> None:
        self._model = self._processor = self._tokenizer = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        def lost(request: ClipRequest, fault: StageError) -> ClipCaption:
            return ClipCaption(request.id, request.clip, error=fault)

        return self._batches.run(requests, self._batch, lost)

    def _batch(self, batch: Sequence[ClipRequest]) -> list[ClipCaption]:
        pictured = [request for request in batch if request.frames]
        texts = iter(self._generate(pictured) if pictured else [])
        answers = []
        for request in batch:
            if not request.frames:
                answers.append(ClipCaption(request.id, request.clip, flag="no_frames"))
                continue
            text = " ".join(next(texts).split())
            answers.append(ClipCaption(request.id, request.clip, text, "" if text else "empty"))
        return answers

    def _generate(self, batch: Sequence[ClipRequest]) -> list[str]:
        """One text per request; every request has a frame."""
        import torch

        inputs = self._inputs(batch)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=self.settings.max_new_tokens,
                num_beams=self.settings.num_beams,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        prompt = inputs.get("input_ids")
        if prompt is not None and torch.equal(output[:, : prompt.shape[1]], prompt):
            output = output[:, prompt.shape[1] :]  # some models repeat the prompt, some do not
        texts: list[str] = self._tokenizer.batch_decode(output, skip_special_tokens=True)
        return texts

    def _inputs(self, batch: Sequence[ClipRequest]) -> Any:
        prompts = [fill_prompt(self.prompt, request) for request in batch]
        if self._is_chat:
            pictures = [[to_picture(f) for f in evenly(r.frames, self.settings.max_frames)] for r in batch]
            texts = [
                self._processor.apply_chat_template(
                    [
                        {
                            "role": "user",
                            "content": [*({"type": "image"} for _ in shown), {"type": "text", "text": prompt}],
                        }
                    ],
                    add_generation_prompt=True,
                    tokenize=False,
                )
                for prompt, shown in zip(prompts, pictures, strict=True)
            ]
            inputs = self._processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        else:
            middles = [to_picture(evenly(request.frames, 1)[0]) for request in batch]
            text = {"text": prompts, "padding": True} if self.prompt else {}
            inputs = self._processor(images=middles, return_tensors="pt", **text)
        return inputs.to(self._device, self._model.dtype)  # only what floats takes the type
