"""Stands in for vLLM where there is none: takes what its documentation says, refuses what it does not, and answers at
once with what it was asked. Not a test of vLLM."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

made: list[LLM] = []


@dataclass
class SamplingParams:
    temperature: float = 1.0
    max_tokens: int | None = 16
    seed: int | None = None


@dataclass
class CompletionOutput:
    text: str
    token_ids: list[int]
    finish_reason: str | None


@dataclass
class RequestOutput:
    outputs: list[CompletionOutput]


class _Config:
    _commit_hash = "c0ffee"


class LLM:
    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        tensor_parallel_size: int = 1,
        revision: str | None = None,
        seed: int = 0,
        gpu_memory_utilization: float = 0.92,
        trust_remote_code: bool = False,
        max_model_len: int | None = None,
        limit_mm_per_prompt: dict[str, int] | None = None,
    ) -> None:
        if "missing" in model:
            raise ValueError(f"{model} is not known\nmore of it")
        assert not trust_remote_code
        self.made = {"model": model, "revision": revision, "tensor_parallel_size": tensor_parallel_size, "seed": seed}
        self.images = (limit_mm_per_prompt or {}).get("image", 1)
        self.calls: list[tuple[str, int, SamplingParams]] = []
        self.llm_engine = type("Engine", (), {"model_config": type("Model", (), {"hf_config": _Config()})()})()
        made.append(self)

    def chat(
        self, messages: list[list[dict[str, Any]]], sampling_params: SamplingParams, use_tqdm: bool = True
    ) -> list[RequestOutput]:
        self.calls.append(("chat", len(messages), sampling_params))
        return [self._answer(_seen(conversation, self.images), sampling_params) for conversation in messages]

    def generate(
        self, prompts: list[dict[str, Any]], sampling_params: SamplingParams, *, use_tqdm: bool = True
    ) -> list[RequestOutput]:
        self.calls.append(("generate", len(prompts), sampling_params))
        return [
            self._answer(f"{one['multi_modal_data']['image'].size} {one['prompt']}", sampling_params) for one in prompts
        ]

    def _answer(self, text: str, sampling: SamplingParams) -> RequestOutput:
        if "too long" in text:
            raise ValueError("The decoder prompt is longer than the maximum model length")
        words = [] if "say nothing" in text else text.split()
        kept = words[: sampling.max_tokens]
        reason = "length" if len(kept) < len(words) else "stop"
        return RequestOutput([CompletionOutput(" ".join(kept), list(range(len(kept))), reason)])


def _seen(conversation: list[dict[str, Any]], most: int) -> str:
    """The conversation in words, each image by six digits of its sum."""
    found = []
    for message in conversation:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        images = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        if len(images) > most:
            raise ValueError(f"At most {most} image(s) may be provided in one prompt.")
        for url in images:
            head, _, data = url.partition(",")
            assert head == "data:image/jpeg;base64"
            found.append(hashlib.sha256(base64.b64decode(data)).hexdigest()[:6])
        found += [part["text"] for part in parts if part["type"] == "text"]
    return " ".join(found)
