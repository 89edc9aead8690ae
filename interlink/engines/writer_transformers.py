"""Texts by any causal language model of transformers, batched over many videos. Costs a model in memory per worker.

Never runs code of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from interlink.engines.captioner import Identity
from interlink.engines.local import Batches
from interlink.engines.place import Place, check_place, gpus_of
from interlink.engines.settings import WriterSettings
from interlink.engines.writer import Writer, WriteRequest, Written
from interlink.errors import StageError
from interlink.settings import Settings
from interlink.stage import Resources

WHERE = "narrate.transformers"  # the block of the recipe


class TransformersWriter(Writer):
    """One checkpoint. A chat model gets rules and request as messages, other models as one text."""

    settings_class: ClassVar[type[Settings] | None] = WriterSettings

    def __init__(self, settings: WriterSettings) -> None:
        super().__init__(settings)
        self._batches: Batches[WriteRequest, Any, Written] = Batches(
            settings.batch_size, "texts", self._inputs, self._write, _lost
        )
        self._model: Any = None
        self._tokenizer: Any = None
        self._device = "cpu"

    @staticmethod
    def resources(settings: WriterSettings) -> Resources:
        return Resources(cpus=1.0, gpus=gpus_of(settings.device))

    @staticmethod
    def parallel(settings: WriterSettings) -> int:
        return settings.batch_size

    @staticmethod
    def check(settings: WriterSettings) -> None:
        check_place(settings.model, settings.revision, settings.device, WHERE)

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is missing, or is not a language model."""
        given = self.settings
        place = Place.of(given.model, given.revision, given.device, given.dtype, WHERE)
        self._device = place.device
        remedy = f"check {WHERE}.model: an accessible hub id, or a folder of a causal language model"
        with place.loading("the language model", remedy):
            from transformers import AutoModelForCausalLM, AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(place.source, padding_side="left", **place.options)
            model = AutoModelForCausalLM.from_pretrained(place.source, dtype=place.dtype, **place.options)
        self._model = model.to(self._device).eval()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        return Identity(
            engine="transformers",
            model=place.name,
            revision=place.revision(model),
            parameters={
                "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
                "max_new_tokens": self.settings.max_new_tokens,
                "num_beams": self.settings.num_beams,
            },
        )

    def close(self) -> None:
        self._model = self._tokenizer = None

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        return self._batches.run(requests)

    def _inputs(self, batch: Sequence[WriteRequest]) -> Any:
        inputs = self._tokenizer([self._text(request) for request in batch], padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)  # some tokenizers return it, but causal models do not accept it
        return inputs

    def _write(self, batch: Sequence[WriteRequest], inputs: Any) -> list[Written]:
        import torch

        inputs = inputs.to(self._device)
        room = getattr(self._model.config, "max_position_embeddings", None)
        length = inputs["input_ids"].shape[1]
        if room and length + self.settings.max_new_tokens > room:
            raise StageError(
                "model",
                f"a prompt of {length} tokens and an answer of {self.settings.max_new_tokens} exceed the "
                f"model's {room}; reduce the history",
            )
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
        fresh = output[:, length:]
        answers = []
        for request, ids in zip(batch, fresh, strict=True):
            text = " ".join(self._tokenizer.decode(ids, skip_special_tokens=True).split())
            cut = len(ids) >= self.settings.max_new_tokens and not self._has_ended(ids)
            answers.append(Written(request.id, request.clip, text, ("length" if cut else "") if text else "empty"))
        return answers

    def _has_ended(self, ids: Any) -> bool:
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return any(int(token) in ends for token in ids)

    def _text(self, request: WriteRequest) -> str:
        if getattr(self._tokenizer, "chat_template", None):
            messages = [{"role": "system", "content": request.system}] if request.system else []
            messages.append({"role": "user", "content": request.prompt})
            text: str = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            return text
        return "\n".join(filter(None, (request.system, request.prompt)))


def _lost(request: WriteRequest, fault: StageError) -> Written:
    return Written(request.id, request.clip, error=fault)
