"""Image-to-text checkpoints of transformers: loading one, asking it, and what it said. Costs the model in memory.

Never runs code that a checkpoint brings along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any

from interlink.engines.place import Place
from interlink.engines.settings import ImageTextModelSettings


@dataclass(frozen=True)
class Said:
    """One answer. tokens: without those that only begin, end or fill; cut: it met the limit of tokens."""

    text: str
    tokens: int
    cut: bool


@dataclass
class ImageTextModel:
    """A checkpoint that is open. name: its hub id or its folder's; kind: transformers' name of its architecture."""

    model: Any
    processor: Any
    tokenizer: Any
    reader: Any  # the tokenizer once more, for what was said: one object does not serve two threads
    name: str
    revision: str
    kind: str
    device: Any

    @classmethod
    def load(cls, settings: ImageTextModelSettings, where: str) -> ImageTextModel:
        """where: the block of the recipe that `settings` is. UserError where it is not there, or is no such model."""
        place = Place.of(settings.model, settings.revision, settings.device, settings.dtype, where)
        how: dict[str, Any] = {"dtype": place.dtype}
        if settings.attention != "auto":
            how["attn_implementation"] = settings.attention
        if place.device == "spread":
            how["device_map"] = "auto"
        remedy = f"check {where}.model: a hub id within reach, or a folder of an image-to-text model"
        with place.loading("the model", remedy):
            from transformers import AutoModelForImageTextToText, AutoProcessor

            processor = AutoProcessor.from_pretrained(place.source, **place.options)
            model = AutoModelForImageTextToText.from_pretrained(place.source, **place.options, **how)
        model = (model if place.device == "spread" else model.to(place.device)).eval()
        tokenizer = getattr(processor, "tokenizer", processor)
        # What is generated must follow the prompt at once; an encoder's prompt begins at its first place.
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

    def answer(self, inputs: Any, max_new_tokens: int, num_beams: int, marks: bool = False) -> list[Said]:
        """What follows the inputs of a batch. marks: keep tokens that are no words, such as places in the image."""
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
        return [self._said(ids, marks) for ids in output.tolist()]

    def _said(self, ids: Sequence[int], marks: bool) -> Said:
        special = set(self.reader.all_special_ids)
        ids = list(dropwhile(special.__contains__, ids))  # what stands for the image, and what begins: in some models
        ends = self.model.generation_config.eos_token_id  # the token that ends as well
        ends = ends if isinstance(ends, list) else [ends]
        end = next((place for place, token in enumerate(ids) if token in ends), None)
        said = [token for token in ids[:end] if token != self.reader.pad_token_id]
        text = self.reader.decode(said, skip_special_tokens=not marks)
        return Said(" ".join(text.split()), sum(token not in special for token in said), end is None and bool(said))


def _twin(tokenizer: Any) -> Any:
    from copy import deepcopy

    return deepcopy(tokenizer)
