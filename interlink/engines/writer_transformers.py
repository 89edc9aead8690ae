"""Texts by any causal language model of transformers. Costs a model in memory per worker; batched over many videos.

Never runs code that a checkpoint brings along.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interlink.engines.captioner import Identity
from interlink.engines.guard import ensure_torchvision
from interlink.engines.local import Batches, folder_revision, local_folder
from interlink.engines.settings import WriterSettings
from interlink.engines.writer import WriteRequest, Written
from interlink.errors import StageError, UserError


class TransformersWriter:
    """One checkpoint. Chat models get rules and request as messages, others as one text after the other."""

    def __init__(self, settings: WriterSettings) -> None:
        self.settings = settings
        self._batches: Batches[WriteRequest, Any, Written] = Batches(
            settings.batch_size, "texts", self._inputs, self._write, _lost
        )
        self._model: Any = None
        self._tokenizer: Any = None
        self._device = "cpu"

    @property
    def parallel(self) -> int:
        return self._batches.size

    def open(self) -> Identity:
        """Loads the checkpoint. Raises UserError where it is not there, or is no language model."""
        name = self.settings.model
        folder = local_folder(name, "narrate.transformers")
        ensure_torchvision()
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
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
            self._tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", **where)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, **where)
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"cannot load the language model {name!r}: {first}",
                "check narrate.transformers.model: a hub id within reach, or a folder of a causal language model",
            ) from error
        self._model = model.to(self._device).eval()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        revision = str(getattr(model.config, "_commit_hash", None) or "") if folder is None else folder_revision(folder)
        return Identity(
            engine="transformers",
            model=folder.name if folder is not None else name,
            revision=revision,
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
        inputs.pop("token_type_ids", None)  # some tokenizers make what no causal model takes
        return inputs

    def _write(self, batch: Sequence[WriteRequest], inputs: Any) -> list[Written]:
        import torch

        inputs = inputs.to(self._device)
        room = getattr(self._model.config, "max_position_embeddings", None)
        length = inputs["input_ids"].shape[1]
        if room and length + self.settings.max_new_tokens > room:
            raise StageError(
                "model",
                f"a prompt of {length} tokens and an answer of {self.settings.max_new_tokens} are more than the "
                f"model's {room}; take less history",
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
