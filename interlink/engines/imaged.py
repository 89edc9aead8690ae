"""Image-to-text checkpoints of transformers: loads one and generates text. Costs the model in memory.

Never runs code of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

from interlink.engines.place import Place
from interlink.engines.settings import ImageTextModelSettings


@dataclass(frozen=True)
class ModelAnswer:
    """One answer. tokens: without begin, end and padding tokens; cut: whether it reached the token limit."""

    text: str
    tokens: int
    cut: bool


@dataclass
class ImageTextModel:
    """A loaded checkpoint. name: its hub id or folder name; kind: transformers' name of its architecture."""

    model: Any
    processor: Any
    tokenizer: Any
    reader: Any  # a second tokenizer, for decoding: one object is not safe in two threads
    name: str
    revision: str
    kind: str
    device: Any

    @classmethod
    def load(cls, settings: ImageTextModelSettings, where: str) -> ImageTextModel:
        """where: the block of the recipe with `settings`. Raises UserError where it is missing or another kind."""
        place = Place.of(settings.model, settings.revision, settings.device, settings.dtype, where)
        how: dict[str, Any] = {"dtype": place.dtype}
        if settings.attention != "auto":
            how["attn_implementation"] = settings.attention
        if place.device == "spread":
            how["device_map"] = "auto"
        remedy = f"check {where}.model: an accessible hub id, or a folder of an image-to-text model"
        with place.loading("the model", remedy):
            from transformers import AutoModelForImageTextToText, AutoProcessor

            processor = AutoProcessor.from_pretrained(place.source, **place.options)
            model = AutoModelForImageTextToText.from_pretrained(place.source, **place.options, **how)
        model = (model if place.device == "spread" else model.to(place.device)).eval()
        tokenizer = getattr(processor, "tokenizer", processor)
        # Padding must not separate a decoder's prompt from its answer; an encoder's prompt begins at position 0.
        tokenizer.padding_side = "right" if model.config.is_encoder_decoder else "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(
            model,
            processor,
            tokenizer,
            _twin(tokenizer),
            name=place.name,
            revision=place.revision(model),
            kind=str(model.config.model_type),
            device=model.device,
        )

    @property
    def dtype(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    def answer(self, inputs: Any, max_new_tokens: int, num_beams: int, marks: bool = False) -> list[ModelAnswer]:
        """Generates an answer for each input of a batch. marks: keep special tokens, such as places in the image."""
        import torch

        inputs = inputs.to(self.device, self.model.dtype)  # only what floats takes the type
        with torch.inference_mode():
            output = self.model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
            )
        prompt = inputs.get("input_ids")
        if prompt is not None and torch.equal(output[:, : prompt.shape[1]], prompt):
            output = output[:, prompt.shape[1] :]  # some models repeat the prompt, some do not
        return [self._decoded(ids, marks) for ids in output.tolist()]

    def _decoded(self, ids: Sequence[int], marks: bool) -> ModelAnswer:
        special = set(self.reader.all_special_ids)
        ids = list(dropwhile(special.__contains__, ids))  # image and begin tokens, which some models repeat
        ends = self.model.generation_config.eos_token_id  # the end tokens
        ends = ends if isinstance(ends, list) else [ends]
        end = next((place for place, token in enumerate(ids) if token in ends), None)
        kept = [token for token in ids[:end] if token != self.reader.pad_token_id]
        text = self.reader.decode(kept, skip_special_tokens=not marks)
        return ModelAnswer(
            " ".join(text.split()), sum(token not in special for token in kept), end is None and bool(kept)
        )


def _twin(tokenizer: Any) -> Any:
    from copy import deepcopy

    return deepcopy(tokenizer)
